//! A native stand-in for Debezium: outbox tables from PostgreSQL's WAL to Kafka, record for record.

#[cfg(feature = "cli")]
pub mod cli;
mod error;
mod position;
mod progress;
mod relay;
mod row_position;
mod rows;
mod settings;
mod status;
mod tables;

pub use self::error::Error;
pub use self::relay::{CheckStatus, Relay, ServerCheck};
pub use self::row_position::{ParseRowPositionError, RowPosition};
pub use self::settings::{
    ClientCertificate, CompressionType, ConfigurationCheck, Finding, KeyEffect, PoisonPolicy, PostgresSettings,
    RelaySettings, RelaySettingsBuilder, SettingsError, SslMode, TopicCreation,
};
pub use self::status::{Mode, Readiness, RelayStatus};
pub use outbox_kafka::{
    Pem, Properties, Sasl, Secret, SecretSource, Security as KafkaSecurity, Tls, Token, TokenSource, Verification,
};
pub use outbox_wal::{Lsn, Timeouts};
