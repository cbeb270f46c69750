use std::time::Duration;

use bytes::Bytes;
use outbox_core::uuid::Uuid;
use rskafka::client::error::{Error as KafkaError, ProtocolError};
use rskafka::client::partition::{OffsetAt, PartitionClient};
use tokio::time::timeout;

use super::{AbortedTransactions, PATIENCE, bounded};
use crate::Error;
use crate::source::{Fetched, Headers, Message, PartitionReader};

/// Reads one partition.
#[derive(Debug)]
pub(crate) struct Reader {
    client: PartitionClient,
    topic_id: Option<Uuid>,
    aborted: AbortedTransactions,
    max_bytes: i32,
}

/// How long the broker waits for new records before it answers with none.
const WAIT: Duration = Duration::from_millis(500);
const MIN_BYTES: i32 = 1;
const USUAL_BYTES: i32 = 4 << 20;
const MOST_BYTES: i32 = 64 << 20;
/// A broker sends at least one batch.
const ONE_BATCH: i32 = 1;
/// By how much a fetch grows after an unreadable one was made small.
const GROWTH: i32 = 8;

impl Reader {
    pub(super) fn new(client: PartitionClient, topic_id: Option<Uuid>, aborted: AbortedTransactions) -> Self {
        Self { client, topic_id, aborted, max_bytes: USUAL_BYTES }
    }
}

impl PartitionReader for Reader {
    fn topic_id(&self) -> Option<Uuid> {
        self.topic_id
    }

    async fn earliest(&mut self) -> Result<i64, Error> {
        bounded("tell the earliest offset", self.client.get_offset(OffsetAt::Earliest)).await
    }

    /// The last stable offset, where transactions are open.
    async fn end(&mut self) -> Result<i64, Error> {
        bounded("tell the latest offset", self.client.get_offset(OffsetAt::Latest)).await
    }

    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        let doing = || format!("fetch topic {}, partition {}", self.client.topic(), self.client.partition());
        let wait = i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX);
        let fetched = self.client.fetch_records(offset, MIN_BYTES..self.max_bytes, wait);
        let (mut records, end) = match timeout(WAIT + PATIENCE, fetched).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(KafkaError::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. })) => {
                return Ok(Fetched::OutOfRange { earliest: self.earliest().await?, end: self.end().await? });
            }
            // rskafka discards the readable batches of the same answer: they are fetched again, one by one.
            Ok(Err(e)) if is_malformed(&e) && self.max_bytes > ONE_BATCH => {
                self.max_bytes = ONE_BATCH;
                return Ok(Fetched::Records { records: Vec::new(), next: offset, end: self.end().await? });
            }
            Ok(Err(e)) if is_malformed(&e) => {
                self.max_bytes = USUAL_BYTES;
                return Ok(Fetched::Unreadable { offset, reason: UNREADABLE.to_owned(), cause: e.into() });
            }
            Ok(Err(e)) => return Err(Error::kafka(doing()).caused_by(e)),
            Err(elapsed) => return Err(Error::kafka(format!("{} in time", doing())).caused_by(elapsed)),
        };
        // Records that ended before the offset may come back: rskafka hands out whole batches.
        let Some(last) = records.last().map(|last| last.offset).filter(|last| *last >= offset) else {
            return match Emptiness::of(offset, self.end().await?, self.max_bytes) {
                Emptiness::End => {
                    self.max_bytes = USUAL_BYTES;
                    Ok(Fetched::Records { records: Vec::new(), next: offset, end })
                }
                Emptiness::TooSmall => {
                    self.max_bytes = MOST_BYTES;
                    Ok(Fetched::Records { records: Vec::new(), next: offset, end })
                }
                Emptiness::Hollow => Ok(Fetched::Hollow),
            };
        };
        self.max_bytes = self.max_bytes.saturating_mul(GROWTH).min(USUAL_BYTES);
        // The marker of a transaction makes a fetch malformed, so that one that was aborted is only overlooked where it
        // goes on behind the fetch. Up to the high watermark none does: what it holds of open ones is not handed out.
        if last.saturating_add(1) < end
            && let Some(first) = self.aborted.around(last).await?
        {
            records.retain(|record| record.offset < first);
            if records.last().is_none_or(|last| last.offset < offset) {
                let cause = format!("a transaction was aborted that begins at offset {first}").into();
                return Ok(Fetched::Unreadable { offset, reason: UNREADABLE.to_owned(), cause });
            }
        }
        let mut messages = Vec::with_capacity(records.len());
        let records = records.into_iter().filter(|record| record.offset >= offset);
        messages.extend(records.map(|record| (record.offset, record.record.into())));
        let next = messages.last().map_or(offset, |(last, _): &(i64, Message)| last.saturating_add(1));
        Ok(Fetched::Records { records: messages, next, end })
    }
}

/// Why a fetch brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emptiness {
    /// There is nothing more.
    End,
    /// Compaction has left batches without records, and what was asked for ends within them: ask for more.
    TooSmall,
    /// Compaction has left nothing here. rskafka would ask for the same offset for ever.
    Hollow,
}

impl Emptiness {
    fn of(offset: i64, end: i64, max_bytes: i32) -> Self {
        match max_bytes {
            _ if end <= offset => Self::End,
            // A larger fetch would meet what cannot be read.
            ..USUAL_BYTES | MOST_BYTES.. => Self::Hollow,
            _ => Self::TooSmall,
        }
    }
}

const UNREADABLE: &str = "this record, or another one of its batch, is one that rskafka cannot read (a transaction's \
                          record or marker, or a header with a null value). Reader::Auto and Reader::Native read it";

/// rskafka does not export the error's type, only its text.
fn is_malformed(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Request(_)) && error.to_string().contains("Malformed data")
}

impl From<rskafka::record::Record> for Message {
    fn from(record: rskafka::record::Record) -> Self {
        Self {
            key: record.key.map(Bytes::from),
            value: record.value.map(Bytes::from),
            headers: Headers::ByName(record.headers),
            timestamp: Some(record.timestamp.timestamp_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compaction_has_emptied_is_got_past() {
        assert_eq!(Emptiness::of(37, 37, USUAL_BYTES), Emptiness::End);
        assert_eq!(Emptiness::of(25, 37, USUAL_BYTES), Emptiness::TooSmall);
        assert_eq!(Emptiness::of(25, 37, MOST_BYTES), Emptiness::Hollow);
        assert_eq!(Emptiness::of(37, 37, MOST_BYTES), Emptiness::End);
    }
}
