use std::time::Duration;

use outbox_kafka::Compression;

use super::Finding;
use super::postgres::number;
use super::resolved::Resolved;

/// Returns how batches are compressed (`producer.override.compression.type`).
pub(super) fn compression(config: &Resolved) -> Result<Compression, Finding> {
    let key = "producer.override.compression.type";
    match config.get(key).unwrap_or("none").to_ascii_lowercase().as_str() {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        "snappy" => Ok(Compression::Snappy),
        "lz4" => Ok(Compression::Lz4),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(Finding::new(key, "it is one of none, gzip, snappy, lz4, zstd")),
    }
}

/// Returns the largest batch in bytes, uncompressed (`producer.override.max.request.size`).
pub(super) fn max_request_size(config: &Resolved) -> Result<usize, Finding> {
    // The default of Kafka's producer.
    number(config, "producer.override.max.request.size", 1_048_576)
}

/// Returns the largest age of a topic's metadata (`producer.override.metadata.max.age.ms`).
pub(super) fn metadata_max_age(config: &Resolved) -> Result<Duration, Finding> {
    // With Kafka's default of five minutes, raised numbers of partitions would be noticed too late.
    number(config, "producer.override.metadata.max.age.ms", 30_000).map(Duration::from_millis)
}

/// The policy for a row that can never become a record in Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoisonPolicy {
    /// The relay stops, with an error that names the row and the remedy.
    #[default]
    Stop,
    /// The row goes to this topic, and the relay continues.
    DeadLetter(String),
}
