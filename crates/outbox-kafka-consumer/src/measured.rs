//! The consumer's way from a partition to an event, for this workspace's own measurements. No part of the API: it may
//! change or vanish at any time.

use std::sync::Arc;

use outbox_core::{Decoded, Pipeline};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Error;
use crate::kafka::{Cluster, Reader};
use crate::runtime::{Chunk, read};
use crate::source::{Message, PartitionReader as _, RecordSource as _};

/// What becomes of one record that rskafka has fetched.
pub fn decode(
    pipeline: &Pipeline,
    topic: &str,
    record: rskafka::record::Record,
) -> Result<Decoded<()>, outbox_core::Error> {
    Message::from(record).decode(pipeline, topic)
}

/// A partition that is open, and not yet read.
#[derive(Debug)]
pub struct Partition {
    reader: Reader,
    topic: Arc<str>,
    number: i32,
    end: i64,
}

impl Partition {
    /// Opens it.
    pub async fn open(brokers: Vec<String>, topic: &str, number: i32) -> Result<Self, Error> {
        let mut reader = Cluster::new(brokers).open(topic, number).await?;
        let end = reader.end().await?;
        Ok(Self { reader, topic: topic.into(), number, end })
    }

    /// Fetches in a task, and decodes in this one, all that was there when it was opened.
    pub async fn read(self, pipeline: &Pipeline, mut take: impl FnMut(Decoded<()>)) -> Result<usize, Error> {
        let Self { reader, topic, number, end } = self;
        let (sender, mut chunks) = mpsc::channel(1);
        let mut fetching = JoinSet::new();
        fetching.spawn(read(reader, topic.to_string(), number, 0, sender));
        let (mut count, mut next) = (0, 0);
        while next < end {
            let records = match chunks.recv().await {
                Some(Chunk::Records { records, .. }) => records,
                Some(Chunk::Failed(e)) => return Err(e),
                _ => return Err(Error::kafka("read the partition from its beginning to its end")),
            };
            for (offset, message) in records {
                let decoded = message.decode(pipeline, &topic);
                take(decoded.map_err(|e| Error::record(&topic, number, offset, "it cannot be decoded").caused_by(e))?);
                (count, next) = (count + 1, offset + 1);
            }
        }
        Ok(count)
    }
}
