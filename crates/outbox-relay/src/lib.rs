//! A native stand-in for Debezium: outbox tables from PostgreSQL's WAL to Kafka, record for record.
//!
//! The relay reads the replication slot of a connector's configuration, encodes each inserted row as Debezium's
//! EventRouter does, and writes it to Kafka in the order of commits. It confirms a transaction to PostgreSQL only after
//! the brokers have acknowledged its records. The program `outbox-relay` is this crate with a command line.
//!
//! ```no_run
//! use outbox_core::Pipeline;
//! use outbox_relay::{Relay, RelaySettings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Pipeline::recommended().config().clone().with_database_url("postgres://connector@db.internal/orders")?;
//! let relay = Relay::new(RelaySettings::builder(config, ["kafka:9092"]).build()?)?;
//! let status = relay.status(); // readiness, mode and metrics
//!
//! let stop = async { _ = tokio::signal::ctrl_c().await };
//! relay.run(stop).await?;
//! println!("{}", status.prometheus_text());
//! # Ok(())
//! # }
//! ```
//!
//! # Delivery
//!
//! - An event is written if its transaction has committed, in the order of commits for each partition.
//! - Each event is written once, also after a crash or a take-over: the relay reads the end of a partition before its
//!   first batch, and skips rows whose own records are there.
//! - One process holds the slot. A second one waits, and takes over when the first one ends.
//!
//! # Settings
//!
//! - [`RelaySettings::builder`] takes a connector's configuration, [`RelaySettings::from_connector_json`] its file.
//!   [`ConfigurationCheck`] reports rejected settings, and settings with another effect than in Debezium.
//! - [`PoisonPolicy`] decides what happens to a row that can never become a record.
//! - [`KafkaSecurity`] and [`PostgresSettings`] hold TLS and logins. Secrets are read again for each connection.
//!
//! # Errors
//!
//! [`Error::is_poison`] and [`Error::row`] name a row that can never be written. [`SettingsError`] lists all findings
//! about a configuration. Errors that may pass, such as an unreachable broker, do not end [`Relay::run`].
//!
//! # Features
//!
//! - `otlp`: sends traces and metrics of the program to an OpenTelemetry collector.

#![allow(unreachable_pub, reason = "items are `pub` in private modules, and this file exports what is public")]

#[cfg(feature = "cli")]
pub mod cli;
mod driver;
mod error;
mod position;
mod progress;
mod rows;
mod settings;
mod status;
mod tables;

pub use self::driver::{CheckStatus, Relay, ServerCheck};
pub use self::error::Error;
pub use self::position::{ParseRowPositionError, RowPosition};
pub use self::settings::{
    ClientCertificate, ConfigurationCheck, Finding, KeySupport, PoisonPolicy, PostgresSettings, RelaySettings,
    RelaySettingsBuilder, SettingsError, TopicCreation, read_connector_file,
};
pub use self::status::{Mode, Readiness, RelayStatus};
pub use outbox_kafka::{
    Compression, Pem, Properties, Sasl, Secret, SecretSource, Security as KafkaSecurity, Tls, Token, TokenSource,
    Verification,
};
pub use outbox_wal::{Lsn, Timeouts, TlsMode};
