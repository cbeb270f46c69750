//! PostgreSQL, a Kafka-protocol broker, and the records of events, for the tests of services that use the outbox.
//!
//! - [`Postgres`] starts a PostgreSQL for a test: the installed programs, or a version that it downloads. Each
//!   [`Database`] has a unique name and is dropped with its value.
//! - [`Broker`] is a broker in this process that speaks Kafka's protocol, with [faults](Broker::faults) on demand. It
//!   can [imitate](Imitation) services that lack a part of Kafka.
//! - [`PublishedRecords`] makes the record of an event as Debezium or the relay writes it.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use outbox_core::{OutboxEvent, Pipeline};
//! use outbox_testkit::{Broker, PublishedRecords};
//!
//! let broker = Broker::start().await?;
//! broker.create_topic("outbox.events.order", 1)?;
//!
//! // A record as the relay writes it.
//! let event = OutboxEvent::builder("order", "42", "OrderCreated").json(r#"{"quantity":2}"#).build()?;
//! let record = PublishedRecords::by_relay(Pipeline::recommended()).of(&event)?;
//! assert_eq!(record.topic, "outbox.events.order");
//!
//! // Clients connect to this address.
//! println!("bootstrap.servers={}", broker.address());
//! # Ok(())
//! # }
//! ```
//!
//! A server for a test:
//!
//! ```no_run
//! # async fn example() -> Result<(), outbox_testkit::PostgresError> {
//! let postgres = outbox_testkit::Postgres::shared().await?; // one for all tests of the program
//! let database = postgres.database().await?; // one for each test
//! println!("DATABASE_URL={}", database.url());
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `broker`: [`Broker`].
//! - `postgres`: [`Postgres`], with the programs that are installed.
//! - `download`: downloads PostgreSQL if it is not installed. The variable `OUTBOX_POSTGRES_BIN` names the directory of
//!   other programs.
//!
//! All of them are on by default.

#[cfg(feature = "broker")]
mod broker;
#[cfg(feature = "postgres")]
mod postgres;
mod records;

#[cfg(feature = "broker")]
pub use self::broker::{
    Api, Broker, BrokerBuilder, BrokerError, Codec, Fault, Faults, Imitation, Injected, RecordBatch, ResponseError,
    Transaction,
};
#[cfg(feature = "postgres")]
pub use self::postgres::{Database, Durability, Postgres, PostgresBuilder, PostgresError};
pub use self::records::PublishedRecords;

/// The search for PostgreSQL on this machine, for the tools of this workspace. It may change at any time.
#[cfg(feature = "postgres")]
#[doc(hidden)]
pub mod local {
    #[cfg(feature = "download")]
    pub use crate::postgres::download;
    pub use crate::postgres::{Account, Programs};
}
