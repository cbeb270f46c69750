//! PostgreSQL, a Kafka-protocol broker, and the records of events, for the tests of services that use the outbox.

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
