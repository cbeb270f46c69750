//! PostgreSQL and a Kafka-protocol broker for the tests of services that use the outbox.

#[cfg(feature = "broker")]
mod broker;
#[cfg(feature = "postgres")]
mod postgres;

#[cfg(feature = "broker")]
pub use self::broker::{Broker, BrokerBuilder, BrokerError, Fault, Faults, Injected, ResponseError};
#[cfg(feature = "postgres")]
pub use self::postgres::{Database, Durability, Postgres, PostgresBuilder, PostgresError};
