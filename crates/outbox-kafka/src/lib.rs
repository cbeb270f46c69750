//! A Kafka client for programs that keep their own order and their own positions.
//!
//! It offers the parts of Kafka's protocol that such a program needs, and leaves the rest out: there are no members of
//! consumer groups and no background batching.
//!
//! - [`Cluster`] finds brokers, topics and leaders, keeps one connection to each broker, creates topics, looks up
//!   offsets and gives out producer ids.
//! - [`BatchBuilder`] encodes records into a batch of an idempotent producer; [`Cluster`] sends the batches of many
//!   partitions in one request for each broker, and [`Produced`] is the outcome of each.
//! - [`Fetcher`] reads partitions, over one connection for each broker: only records of committed transactions, every
//!   codec, compacted logs, null header values and repeated header names.
//! - [`Cluster::commit_offsets`] shows a program's positions to Kafka's tools, as those of a consumer group.
//! - [`Security`] holds TLS and the login: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER. It understands the
//!   properties of Kafka's own clients, and reads its secrets again for each new connection.
//!
//! A request that changes nothing is tried again within [`Settings::request_timeout`] after a transient error. A
//! produce request is sent once: the caller decides, because only it knows whether the order allows another attempt.
//!
//! ```no_run
//! use outbox_kafka::{Cluster, OffsetAt, Settings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = Cluster::new(Settings::new(["localhost:9092"]));
//! if let Some(topic) = cluster.topic("orders").await? {
//!     let end = cluster.list_offsets(&topic, 0, OffsetAt::Latest).await?;
//!     println!("{} has {} partitions; the first one ends at {end}", topic.name(), topic.partitions());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! [`Error::is_transient`] means that the same request may succeed later, [`Error::is_security`] that a login, a
//! certificate or a permission was rejected, and [`Error::is_unsupported`] that the broker lacks the request.
//! [`Error::api`], [`Error::code`] and the text name the request, the code and the broker.
//!
//! # Cancellation
//!
//! Dropping a future gives up its answer, not its request: the broker may have carried it out. A connection stays
//! usable for other requests.
#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "values of Kafka's protocol, built and matched by the workspace's own crates"
)]

mod answer_fields;
mod answer_walk;
mod api;
mod capabilities;
mod client_properties;
mod cluster;
mod compression_choice;
mod connect;
mod connection;
mod consume;
mod create_topic;
mod error;
mod error_code;
mod fetch;
mod frames;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gap;
mod group_offsets;
mod jaas;
mod list_offsets;
mod login;
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
mod topic_check;

#[cfg(test)]
mod tests;

pub use self::capabilities::Capabilities;
pub use self::cluster::Cluster;
pub use self::compression_choice::CompressionChoice;
pub use self::consume::{FetchLimits, Fetched, Fetcher, PartitionStream, Record, Unreadable};
pub use self::create_topic::NewTopic;
pub use self::error::Error;
pub use self::error_code::ErrorCode;
pub use self::gap::Gap;
pub use self::group_offsets::GroupOffset;
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
pub use self::topic_check::TopicRights;
pub use outbox_net::{Pem, Properties, Secret, SecretSource, Tls, Verification};
