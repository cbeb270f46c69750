//! A Kafka-protocol broker in this process.

mod api;
mod builder;
mod cluster;
mod connection;
mod error;
mod faults;
mod groups;
mod handle;
mod imitation;
mod log;
mod server;
mod shared;
mod topic;
mod transaction;
mod transactions;
mod wire;

pub use kafka_protocol::ResponseError;

pub use self::builder::BrokerBuilder;
pub use self::error::BrokerError;
pub use self::faults::{Fault, Faults, Injected};
pub use self::handle::Broker;
pub use self::imitation::Imitation;
pub use self::log::{Codec, RecordBatch};
pub use self::transaction::Transaction;
pub use self::wire::Api;
