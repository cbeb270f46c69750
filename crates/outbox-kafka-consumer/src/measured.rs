//! The consumer's steps from a partition to an event, for the benchmarks of this workspace. No part of the API: it may
//! change or vanish at any time.

use std::sync::Arc;

use outbox_core::Pipeline;
use outbox_core::record::{DecodeHints, Decoded};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::brokers::Brokers;
use crate::runtime::{Chunk, Memory, read};
use crate::source::{Choice, Chosen, Message, PartitionReader as _, RecordSource as _};
use crate::{Error, Reader};

/// Decodes a record that rskafka has fetched.
pub fn decode(
    pipeline: &Pipeline,
    topic: &str,
    hints: &mut DecodeHints,
    record: rskafka::record::Record,
) -> Result<Decoded<()>, outbox_core::Error> {
    Message::from(record).decode(pipeline, topic, hints)
}

/// Decodes a record that the native reader has fetched.
pub fn decode_native(
    pipeline: &Pipeline,
    topic: &str,
    hints: &mut DecodeHints,
    record: outbox_kafka::Record,
) -> Result<Decoded<()>, outbox_core::Error> {
    Message::from(record).decode(pipeline, topic, hints)
}

/// The readers of a cluster's partitions.
#[derive(Debug)]
pub struct Source(Choice);

impl Source {
    /// Connects to nothing yet.
    pub fn new(brokers: Vec<String>, reader: Reader) -> Self {
        Self(Choice::new(reader, &Brokers::new(brokers, outbox_kafka::Security::new()), 256 << 20))
    }

    /// Opens a partition.
    pub async fn open(&self, topic: &str, number: i32) -> Result<Partition, Error> {
        let mut reader = self.0.open(topic, number).await?;
        let end = reader.end().await?;
        Ok(Partition { reader, topic: topic.into(), number, end })
    }
}

/// A partition that is open, and not yet read.
#[derive(Debug)]
pub struct Partition {
    reader: Chosen,
    topic: Arc<str>,
    number: i32,
    end: i64,
}

impl Partition {
    /// Fetches in a task, and decodes in the caller's, all records that the partition had when it was opened.
    pub async fn read(self, pipeline: &Pipeline, mut take: impl FnMut(Decoded<()>)) -> Result<usize, Error> {
        let Self { reader, topic, number, end } = self;
        let (sender, mut chunks) = mpsc::channel(1);
        let mut fetching = JoinSet::new();
        let memory = Memory::new(Arc::new(Semaphore::new(u32::MAX as usize)), u32::MAX);
        fetching.spawn(read(reader, topic.to_string(), number, 0, memory, sender, |_| {}));

        let (mut count, mut position, mut hints) = (0, 0, DecodeHints::default());
        while position < end {
            let (records, next) = match chunks.recv().await {
                Some(Chunk::Records { records, next, .. }) => (records, next),
                Some(Chunk::Failed(e)) => return Err(e),
                None => {
                    let ended = fetching.join_next().await.and_then(Result::ok).flatten();
                    return Err(ended.map_or_else(|| Error::kafka("keep a reader going"), |ended| ended.error));
                }
                _ => return Err(Error::kafka("read the partition from its beginning to its end")),
            };
            for (offset, message) in records {
                let decoded = message.decode(pipeline, &topic, &mut hints);
                take(decoded.map_err(|e| Error::record(&topic, number, offset, "it cannot be decoded").caused_by(e))?);
                if offset < position {
                    return Err(Error::record(&topic, number, offset, "it is not in order"));
                }
                (count, position) = (count + 1, offset + 1);
            }
            position = position.max(next);
        }
        Ok(count)
    }
}
