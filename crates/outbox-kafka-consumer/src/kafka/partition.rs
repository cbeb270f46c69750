use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use outbox_core::uuid::Uuid;
use outbox_kafka::Topic;
use rskafka::client::error::{Error as KafkaError, ProtocolError};
use rskafka::client::partition::{OffsetAt, PartitionClient};
use tokio::time::{Instant, sleep, timeout};

use super::clients::bounded;
use super::connections::{Connections, Opened};
use crate::Error;
use crate::brokers::Brokers;
use crate::source::{Fetched, Headers, Message, PartitionReader};

/// Reads one partition over rskafka.
#[derive(Debug)]
pub struct Reader {
    connections: Connections,
    topic: Arc<Topic>,
    partition: i32,
    /// `None` after a failure.
    opened: Option<Opened>,
    /// The bytes of the next fetch.
    max_bytes: i32,
    /// The bytes of a fetch unless one has failed. The records in it, decompressed, have about `most`.
    usual: i32,
    most: i32,
}

/// The time that the broker waits for new records before it answers with none.
const WAIT: Duration = Duration::from_millis(500);
const MIN_BYTES: i32 = 1;
const LEAST_BYTES: i32 = 64 << 10;
/// The bytes that a partition fetches at a time, if the memory of the process allows it.
const USUAL_BYTES: i32 = 4 << 20;
/// The size of a fetch after compaction has left batches without records.
const MOST_BYTES: i32 = 64 << 20;
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// A broker sends at least one batch.
const ONE_BATCH: i32 = 1;
/// The largest factor by which a fetch grows, also after an unreadable one was made small.
const GROWTH: i32 = 8;

impl Reader {
    /// Creates a reader whose fetches have about `most` bytes of records.
    pub fn new(connections: Connections, topic: Arc<Topic>, opened: Opened, most: usize) -> Self {
        let partition = opened.client.partition();
        let most = i32::try_from(most).unwrap_or(i32::MAX).clamp(LEAST_BYTES, USUAL_BYTES);
        let usual = (most / GROWTH).max(LEAST_BYTES);
        Self { connections, topic, partition, opened: Some(opened), max_bytes: usual, usual, most }
    }

    /// Adapts the size of the next fetches to the size of the records that a fetch returned. Compressed records are
    /// larger than the fetched bytes. A fetch that returned less than half of its bytes was not full, and is ignored.
    fn adapt(&mut self, size: usize) {
        if self.max_bytes == self.usual {
            self.usual = fitting(self.usual, self.most, size);
        }
        self.max_bytes = self.max_bytes.saturating_mul(GROWTH).min(self.usual);
    }

    /// Returns the partition's client; connects to the current leader after a failure.
    async fn client(&mut self) -> Result<&PartitionClient, Error> {
        if self.opened.is_none() {
            let current = self.connections.brokers().topic(self.topic.name()).await?;
            if current.id() != self.topic.id() {
                let doing = format!("read on in topic {}", self.topic.name());
                return Err(Error::kafka(doing).caused_by("the topic was deleted and created again"));
            }
            self.opened = Some(self.connections.open(&current, self.partition).await?);
        }
        self.opened.as_ref().map(|opened| &opened.client).ok_or_else(|| Error::kafka("open a partition"))
    }

    fn close(&mut self) {
        if let Some(failed) = self.opened.take() {
            self.connections.retire(&failed);
        }
    }

    async fn offset(&mut self, at: OffsetAt, doing: &str) -> Result<i64, Error> {
        let found = bounded(doing, self.client().await?.get_offset(at)).await;
        found.inspect_err(|_| self.close())
    }

    /// Fetches once. After an error the partition is opened again.
    async fn try_fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        let doing = format!("fetch topic {}, partition {}", self.topic.name(), self.partition);
        let wait = i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX);
        let bytes = MIN_BYTES..self.max_bytes;
        let fetched = timeout(WAIT + Brokers::PATIENCE, self.client().await?.fetch_records(offset, bytes, wait)).await;
        let (mut records, end) = match fetched {
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
                self.max_bytes = self.usual;
                return Ok(Fetched::Unreadable { offset, reason: UNREADABLE.to_owned(), cause: e.into() });
            }
            Ok(Err(e)) => {
                self.close();
                return Err(Error::kafka(doing).caused_by(e));
            }
            Err(elapsed) => {
                self.close();
                return Err(Error::kafka(format!("{doing} in time")).caused_by(elapsed));
            }
        };

        // Records before the offset may be returned: rskafka returns whole batches.
        let Some(last) = records.last().map(|last| last.offset).filter(|last| *last >= offset) else {
            return match Emptiness::of(offset, self.end().await?, self.max_bytes, self.usual) {
                Emptiness::End => {
                    self.max_bytes = self.usual;
                    Ok(Fetched::Records { records: Vec::new(), next: offset, end })
                }
                Emptiness::TooSmall => {
                    self.max_bytes = MOST_BYTES;
                    Ok(Fetched::Records { records: Vec::new(), next: offset, end })
                }
                Emptiness::CompactedAway => Ok(Fetched::CompactedAway),
            };
        };
        // A transaction's marker makes a fetch malformed, so an aborted transaction is only overlooked if it spans the
        // end of the fetch. At the high watermark none does: the broker does not send the records of open ones.
        if last.saturating_add(1) < end
            && let Some(first) = self.aborted(last).await?
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
        self.adapt(messages.iter().map(|(_, message): &(i64, Message)| message.size()).sum());
        let next = messages.last().map_or(offset, |(last, _): &(i64, Message)| last.saturating_add(1));
        Ok(Fetched::Records { records: messages, next, end })
    }

    /// Returns the first offset of the aborted transaction that spans an offset. rskafka does not pass on the brokers'
    /// lists of them.
    async fn aborted(&self, offset: i64) -> Result<Option<i64>, Error> {
        let found = self.connections.brokers().cluster().aborted_transaction(&self.topic, self.partition, offset).await;
        found.map_err(|e| Error::kafka("list the aborted transactions").caused_by(e))
    }
}

impl PartitionReader for Reader {
    fn topic_id(&self) -> Option<Uuid> {
        Some(self.topic.id()).filter(|id| !id.is_nil())
    }

    async fn earliest(&mut self) -> Result<i64, Error> {
        self.offset(OffsetAt::Earliest, "return the earliest offset").await
    }

    /// Returns the end of the committed records: the last stable offset while transactions are open.
    async fn end(&mut self) -> Result<i64, Error> {
        self.offset(OffsetAt::Latest, "return the latest offset").await
    }

    async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        let deadline = Instant::now() + Brokers::RETRY_FOR;
        loop {
            match self.try_fetch(offset).await {
                Err(e) if e.is_transient() && !e.is_security() && Instant::now() + RETRY_PAUSE < deadline => {
                    tracing::debug!(
                        target: "outbox.consumer", topic = self.topic.name(), partition = self.partition,
                        error = %outbox_net::ErrorChain::new(&e), "fetch failed, retrying"
                    );
                    sleep(RETRY_PAUSE).await;
                }
                fetched => return fetched,
            }
        }
    }
}

/// The reason why a fetch brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emptiness {
    /// The partition has no more records.
    End,
    /// Compaction has left batches without records, and the fetched bytes end within them: fetch more.
    TooSmall,
    /// Compaction has removed all records here. rskafka would fetch the same offset indefinitely.
    CompactedAway,
}

impl Emptiness {
    fn of(offset: i64, end: i64, max_bytes: i32, usual: i32) -> Self {
        match max_bytes {
            _ if end <= offset => Self::End,
            // A larger fetch would contain the unreadable record.
            _ if max_bytes < usual || max_bytes >= MOST_BYTES => Self::CompactedAway,
            _ => Self::TooSmall,
        }
    }
}

/// Returns how many bytes to fetch so that the records in them have about `most` bytes, after a fetch of `bytes` has
/// brought records of `size`.
fn fitting(bytes: i32, most: i32, size: usize) -> i32 {
    let size = i64::try_from(size).unwrap_or(i64::MAX).max(1);
    if size < i64::from(bytes / 2) {
        return bytes;
    }
    let fitting = i32::try_from(i64::from(bytes) * i64::from(most) / size).unwrap_or(i32::MAX);
    fitting.min(bytes.saturating_mul(GROWTH)).clamp(LEAST_BYTES.min(most), most)
}

const UNREADABLE: &str = "this record, or another one of its batch, is one that rskafka cannot read (a transaction's \
                          record or marker, or a header with a null value). Reader::Auto and Reader::Native read it";

/// Returns whether a batch was malformed. rskafka does not export the error's type, only its text.
fn is_malformed(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Request(_)) && error.to_string().contains("Malformed data")
}

impl From<rskafka::record::Record> for Message {
    fn from(record: rskafka::record::Record) -> Self {
        Self::Composed {
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
        assert_eq!(Emptiness::of(37, 37, USUAL_BYTES, USUAL_BYTES), Emptiness::End);
        assert_eq!(Emptiness::of(25, 37, USUAL_BYTES, USUAL_BYTES), Emptiness::TooSmall);
        assert_eq!(Emptiness::of(25, 37, MOST_BYTES, USUAL_BYTES), Emptiness::CompactedAway);
        assert_eq!(Emptiness::of(37, 37, MOST_BYTES, USUAL_BYTES), Emptiness::End);
    }

    #[test]
    fn fetches_of_compressed_records_are_smaller() {
        let (first, most) = (USUAL_BYTES / GROWTH, USUAL_BYTES);
        let size = |bytes: i32, ratio: usize| usize::try_from(bytes).unwrap() * ratio;
        assert_eq!(fitting(first, most, size(first, 1)), most);
        assert_eq!(fitting(first, most, size(first, 4)), most / 4);
        assert_eq!(fitting(most, most, size(most, 16)), most / 16);
        assert_eq!(fitting(most, most, size(most, 1_000)), LEAST_BYTES);
        // It returned all records that there were.
        assert_eq!((fitting(first, most, 0), fitting(first, most, 100)), (first, first));
    }
}
