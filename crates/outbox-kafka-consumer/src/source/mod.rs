//! The source of records. The trait is private. rskafka and the native reader are behind it, and the conformance suite
//! tests their behaviour.

mod choice;
#[cfg(test)]
mod conformance;
mod message;

use std::collections::{BTreeMap, BTreeSet};

use outbox_core::uuid::Uuid;

pub use self::choice::{Choice, Chosen};
pub use self::message::{Headers, Message};
use crate::Error;

/// The brokers of a cluster.
pub trait RecordSource: Send + Sync + 'static {
    /// Reads one partition.
    type Reader: PartitionReader;

    /// Returns the partitions of the topics that exist, or why a topic cannot be described.
    fn partitions(
        &self,
        topics: &BTreeSet<String>,
    ) -> impl Future<Output = Result<BTreeMap<String, Result<BTreeSet<i32>, Error>>, Error>> + Send;

    /// Opens a partition at its current leader. A topic or partition that does not exist is an error, and is not
    /// created.
    fn open(&self, topic: &str, partition: i32) -> impl Future<Output = Result<Self::Reader, Error>> + Send;
}

/// One partition. Every call ends in bounded time, whatever the broker does. After an error the reader is not to be
/// used again.
pub trait PartitionReader: Send + 'static {
    /// Returns the id that distinguishes the topic from a later one of the same name, if the reader has it.
    fn topic_id(&self) -> Option<Uuid>;

    /// Returns the first offset that is there.
    fn earliest(&mut self) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Returns the offset after the last record that can be read.
    fn end(&mut self) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Fetches records from an offset on: each record once, in order, none before the offset; waits a moment if there
    /// are no new records.
    fn fetch(&mut self, offset: i64) -> impl Future<Output = Result<Fetched, Error>> + Send;
}

/// The result of a fetch.
#[derive(Debug)]
pub enum Fetched {
    /// Records with their offsets, in order, and the next offset to fetch: there is no other record before it. There
    /// are none if nothing is new. The end is the offset after the last record.
    Records { records: Vec<(i64, Message)>, next: i64, end: i64 },
    /// The offset is not in the partition (any more, or yet), which reaches from the first to before the second.
    OutOfRange { earliest: i64, end: i64 },
    /// The record at this offset cannot be read. Those before it were returned.
    Unreadable { offset: i64, reason: String, cause: Box<dyn std::error::Error + Send + Sync> },
    /// There is no record at this offset, although there are records after it: compaction has emptied the batch.
    CompactedAway,
}
