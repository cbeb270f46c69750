use std::sync::Arc;
use std::time::Duration;

use outbox_core::uuid::Uuid;
use outbox_net::{Backoff, ErrorChain};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::Shared;
use super::in_flight::InFlight;
use crate::Error;
use crate::source::{Chosen, Fetched, Message, PartitionReader, RecordSource as _};

/// The output of the reader.
pub enum Chunk {
    Records {
        records: Vec<(i64, Message)>,
        /// The offset after all records that were read.
        next: i64,
        end: i64,
        /// The records' share of the process's memory for records.
        memory: Option<OwnedSemaphorePermit>,
    },
    /// There is nothing at this offset.
    CompactedAway(i64),
    /// The topic does not hold the offset. This is the last chunk.
    Lost { offset: i64, earliest: i64, end: i64 },
    /// The topic was deleted and created again. This is the last chunk.
    Recreated { offset: i64, earliest: i64 },
    /// The reader has failed, and continues with the next chunk.
    Interrupted(Error),
    /// A record cannot be read. This is the last chunk.
    Failed(Error),
}

/// The memory for records that all partitions of a process share.
pub struct Memory {
    free: Arc<Semaphore>,
    total: u32,
}

/// The time that a partition waits for memory that others may hold for long, as a paused topic does. Then it continues
/// with one chunk, so that no partition starves.
const STARVING: Duration = Duration::from_secs(1);

impl Memory {
    pub fn new(free: Arc<Semaphore>, total: u32) -> Self {
        Self { free, total }
    }

    async fn take(&self, records: &[(i64, Message)]) -> Option<OwnedSemaphorePermit> {
        let bytes: usize = records.iter().map(|(_, message)| message.size()).sum();
        let share = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total);
        timeout(STARVING, Arc::clone(&self.free).acquire_many_owned(share)).await.ok()?.ok()
    }
}

/// The reason why a reader has ended, and the offset at which the next one begins.
pub struct Interrupted {
    pub next: i64,
    pub error: Error,
}

/// The interval at which the end of a partition is read while nothing is fetched, because handlers are slow or paused.
const END_INTERVAL: Duration = Duration::from_secs(5);

/// Waits for room for another chunk, and passes on the end of the partition meanwhile. `None` if the receiver is
/// closed.
async fn room<'a>(
    reader: &mut impl PartitionReader,
    chunks: &'a mpsc::Sender<Chunk>,
    note_end: &impl Fn(i64),
) -> Option<mpsc::Permit<'a, Chunk>> {
    let reserved = chunks.reserve();
    tokio::pin!(reserved);
    loop {
        if let Ok(room) = timeout(END_INTERVAL, &mut reserved).await {
            return room.ok();
        }
        // An error shows again at the next fetch.
        if let Ok(end) = reader.end().await {
            note_end(end);
        }
    }
}

/// Fetches ahead by one chunk. Returns why fetching failed; `None` after the last chunk.
pub async fn read(
    mut reader: impl PartitionReader,
    topic: String,
    partition: i32,
    mut offset: i64,
    memory: Memory,
    chunks: mpsc::Sender<Chunk>,
    note_end: impl Fn(i64),
) -> Option<Interrupted> {
    loop {
        // Memory is reserved before the fetch, so that fetched records always count.
        let room = room(&mut reader, &chunks, &note_end).await?;
        let (chunk, next) = match reader.fetch(offset).await {
            Ok(Fetched::Records { records, next, end }) => {
                let memory = memory.take(&records).await;
                (Chunk::Records { records, next, end, memory }, Some(next))
            }
            Ok(Fetched::CompactedAway) => (Chunk::CompactedAway(offset), Some(offset.saturating_add(1))),
            Ok(Fetched::OutOfRange { earliest, end }) => (Chunk::Lost { offset, earliest, end }, None),
            Ok(Fetched::Unreadable { offset, reason, cause }) => {
                (Chunk::Failed(Error::record(&topic, partition, offset, reason).caused_by(cause)), None)
            }
            Err(error) if error.is_transient() => return Some(Interrupted { next: offset, error }),
            Err(e) => (Chunk::Failed(e), None),
        };
        room.send(chunk);

        match next {
            Some(next) => offset = next,
            None => return None,
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Reads a partition for as long as it is owned. If Kafka fails, the handlers of records that were read continue, and a
/// new reader continues at the next offset.
pub struct ReadTask {
    shared: Arc<Shared>,
    in_flight: Arc<InFlight>,
    topic_id: Option<Uuid>,
}

impl ReadTask {
    pub fn new(shared: Arc<Shared>, in_flight: Arc<InFlight>, topic_id: Option<Uuid>) -> Self {
        Self { shared, in_flight, topic_id }
    }

    /// Reads from an offset on, and sends the chunks, until the receiver is closed or the last chunk is sent.
    pub async fn run(self, mut reader: Chosen, mut offset: i64, chunks: mpsc::Sender<Chunk>) {
        let (topic, partition) = (&*self.in_flight.topic, self.in_flight.partition);
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        while let Some(Interrupted { next, mut error }) =
            read(reader, topic.to_owned(), partition, offset, self.memory(), chunks.clone(), |end| {
                self.in_flight.set_end(end);
            })
            .await
        {
            if next > offset {
                backoff.reset();
            }
            offset = next;
            reader = loop {
                let retry_in = backoff.delay();
                tracing::warn!(
                    target: "outbox.consumer", topic, partition, offset,
                    error = %ErrorChain::new(&error), ?retry_in, "reading interrupted"
                );

                if chunks.send(Chunk::Interrupted(error)).await.is_err() {
                    return;
                }
                tokio::time::sleep(retry_in).await;

                match self.reopen(offset).await {
                    Ok(Reopened::Same(reader)) => break *reader,
                    Ok(Reopened::Recreated(chunk)) => {
                        // If the receiver is closed, the partition is no longer owned.
                        _ = chunks.send(chunk).await;
                        return;
                    }
                    Err(e) => error = e,
                }
            };
        }
    }

    fn memory(&self) -> Memory {
        Memory::new(Arc::clone(&self.shared.memory), self.shared.options.max_memory)
    }

    async fn reopen(&self, offset: i64) -> Result<Reopened, Error> {
        let mut reader = self.shared.cluster.open(&self.in_flight.topic, self.in_flight.partition).await?;
        match (self.topic_id, reader.topic_id()) {
            (Some(known), Some(found)) if known != found => {
                Ok(Reopened::Recreated(Chunk::Recreated { offset, earliest: reader.earliest().await? }))
            }
            _ => Ok(Reopened::Same(reader.into())),
        }
    }
}

enum Reopened {
    Same(Box<Chosen>),
    /// The topic was deleted and created again.
    Recreated(Chunk),
}
