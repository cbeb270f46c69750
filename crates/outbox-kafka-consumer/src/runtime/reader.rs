use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::Error;
use crate::source::{Fetched, Message, PartitionReader};

/// The output of the reader.
pub(crate) enum Chunk {
    Records {
        records: Vec<(i64, Message)>,
        /// The offset behind all that was read.
        next: i64,
        end: i64,
        /// The records' share of the process's memory for records.
        memory: Option<OwnedSemaphorePermit>,
    },
    /// There is nothing at this offset.
    CompactedAway(i64),
    /// The topic does not hold the offset. The last chunk.
    Lost { offset: i64, earliest: i64, end: i64 },
    /// There is another topic of the same name now. The last chunk.
    Recreated { offset: i64, earliest: i64 },
    /// The reader has failed, and continues with what comes next.
    Interrupted(Error),
    /// A record cannot be read. The last chunk.
    Failed(Error),
}

/// The memory for records that all partitions of a process share.
pub(crate) struct Memory {
    free: Arc<Semaphore>,
    total: u32,
}

/// How long a partition waits for memory that others may hold for long, as a paused topic does. Then it continues with
/// one chunk, so that no partition starves.
const STARVING: Duration = Duration::from_secs(1);

impl Memory {
    pub(crate) fn new(free: Arc<Semaphore>, total: u32) -> Self {
        Self { free, total }
    }

    async fn take(&self, records: &[(i64, Message)]) -> Option<OwnedSemaphorePermit> {
        let bytes: usize = records.iter().map(|(_, message)| message.size()).sum();
        let share = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total);
        timeout(STARVING, Arc::clone(&self.free).acquire_many_owned(share)).await.ok()?.ok()
    }
}

/// Why a reader has ended, and where the next one is to begin.
pub(crate) struct Interrupted {
    pub(crate) next: i64,
    pub(crate) error: Error,
}

/// Fetches ahead, one chunk beyond what is taken. Returns why fetching failed; `None` after the last chunk.
pub(crate) async fn read(
    mut reader: impl PartitionReader,
    topic: String,
    partition: i32,
    mut offset: i64,
    memory: Memory,
    chunks: mpsc::Sender<Chunk>,
) -> Option<Interrupted> {
    loop {
        // Room first: what is fetched is held by nobody else.
        let Ok(room) = chunks.reserve().await else { return None };
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
