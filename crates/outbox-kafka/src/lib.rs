//! Kafka, as far as the relay needs it: batches of its own, written by an idempotent producer, and the ends of logs.
#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "values of Kafka's protocol, built and matched by the workspace's own crates"
)]

mod api;
mod capabilities;
mod client_properties;
mod cluster;
mod compression_choice;
mod connection;
mod consume;
mod create_topic;
mod error;
mod error_code;
mod fetch;
mod frames;
mod jaas;
mod list_offsets;
mod murmur2;
mod pending;
mod produce;
mod produced;
mod producer_id;
mod record_batch;
mod retries;
mod sasl;
mod scram;
mod security;
mod settings;
mod tail;
mod token;
mod topic;

#[cfg(test)]
mod tests;

pub use self::capabilities::{Capabilities, Gap};
pub use self::cluster::Cluster;
pub use self::compression_choice::CompressionChoice;
pub use self::consume::{FetchLimits, Fetched, Fetcher, PartitionStream, Record, RecordHeaders, Unreadable};
pub use self::create_topic::NewTopic;
pub use self::error::Error;
pub use self::error_code::ErrorCode;
pub use self::list_offsets::OffsetAt;
pub use self::murmur2::partition;
pub use self::produce::ToProduce;
pub use self::produced::Produced;
#[cfg(test)]
pub use self::produced::RejectedRecord;
pub use self::record_batch::{BatchBuilder, BatchHeader, Compression, Producer, RecordBody, RecordView};
pub use self::sasl::{Credentials, Mechanism, Sasl};
pub use self::security::Security;
pub use self::settings::Settings;
pub use self::tail::{Entry, Tail, TailStart};
pub use self::token::{Token, TokenSource};
pub use self::topic::{Topic, is_legal_topic_name};
pub use outbox_net::{Pem, Properties, Secret, SecretSource, Tls, Verification};
