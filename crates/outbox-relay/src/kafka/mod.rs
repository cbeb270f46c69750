//! Kafka, as far as the relay needs it: batches of its own, written by an idempotent producer, and the ends of logs.

mod api;
mod backoff;
mod cluster;
mod connection;
mod create_topic;
mod error;
mod error_code;
mod fetch;
mod frames;
mod list_offsets;
mod murmur2;
mod pending;
mod produce;
mod produced;
mod producer_id;
mod record_batch;
mod sasl;
mod scram;
mod security;
mod settings;
mod tail;
mod tls;
mod topic;

#[cfg(test)]
mod tests;

pub(crate) use self::cluster::Cluster;
pub(crate) use self::create_topic::NewTopic;
pub(crate) use self::error::Error;
pub(crate) use self::error_code::ErrorCode;
pub(crate) use self::list_offsets::OffsetAt;
pub(crate) use self::murmur2::partition;
pub(crate) use self::produce::ToProduce;
pub(crate) use self::produced::Produced;
#[cfg(test)]
pub(crate) use self::produced::RejectedRecord;
pub(crate) use self::record_batch::{BatchBuilder, BatchHeader, Compression, Producer, RecordBody, RecordView};
pub(crate) use self::sasl::{Mechanism, Sasl};
pub(crate) use self::security::Security;
pub(crate) use self::settings::Settings;
#[cfg(test)]
pub(crate) use self::tail::Tail;
pub(crate) use self::tail::{Entry, TailStart};
pub(crate) use self::tls::Tls;
pub(crate) use self::topic::Topic;
