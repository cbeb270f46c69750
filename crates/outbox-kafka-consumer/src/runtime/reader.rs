use tokio::sync::mpsc;

use crate::Error;
use crate::source::{Fetched, Message, PartitionReader};

/// What the reader hands on.
pub(crate) enum Chunk {
    Records {
        records: Vec<(i64, Message)>,
        end: i64,
    },
    /// There is nothing at this offset.
    Hollow(i64),
    /// The topic does not hold the offset. The last chunk.
    Lost {
        offset: i64,
        earliest: i64,
        end: i64,
    },
    /// The reader has failed. The last chunk.
    Failed(Error),
}

/// Fetches ahead, one chunk beyond what is taken.
pub(crate) async fn read(
    mut reader: impl PartitionReader,
    topic: String,
    partition: i32,
    mut offset: i64,
    chunks: mpsc::Sender<Chunk>,
) {
    loop {
        // Room first: what is fetched is held by nobody else.
        let Ok(room) = chunks.reserve().await else { return };
        let (chunk, next) = match reader.fetch(offset).await {
            Ok(Fetched::Records { records, end }) => {
                let next = records.last().map_or(offset, |(last, _)| last.saturating_add(1));
                (Chunk::Records { records, end }, Some(next))
            }
            Ok(Fetched::Hollow) => (Chunk::Hollow(offset), Some(offset.saturating_add(1))),
            Ok(Fetched::OutOfRange { earliest, end }) => (Chunk::Lost { offset, earliest, end }, None),
            Ok(Fetched::Unreadable(e)) => {
                let reason = "at this offset or soon after it is a record that the client library cannot read (a \
                              transaction's record or marker, or a header with a null value)";
                (Chunk::Failed(Error::record(&topic, partition, offset, reason).caused_by(e)), None)
            }
            Err(e) => (Chunk::Failed(e), None),
        };
        room.send(chunk);
        match next {
            Some(next) => offset = next,
            None => return,
        }
    }
}
