use std::time::Duration;

use bytes::Bytes;
use outbox_core::Record;
use rskafka::client::error::{Error as KafkaError, ProtocolError};
use rskafka::client::partition::{OffsetAt, PartitionClient};
use tokio::time::timeout;

use super::{PATIENCE, bounded};
use crate::Error;

/// Reads one partition.
#[derive(Debug)]
pub(crate) struct PartitionReader {
    client: PartitionClient,
    max_bytes: i32,
}

/// What a fetch brought.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// Records with their offsets, in order; none where there is nothing new.
    Records(Vec<(i64, Record)>),
    /// The offset is not in the partition (any more, or yet), which reaches from the first to before the second.
    OutOfRange { earliest: i64, end: i64 },
    /// rskafka cannot read what is there: a control batch of a transaction, or a header with a null value.
    Unreadable(KafkaError),
    /// Nothing can be got out at this offset although there is more behind it: compaction has emptied the batch.
    Hollow,
}

/// How long the broker waits for new records before it answers with none.
const WAIT: Duration = Duration::from_millis(500);
const MIN_BYTES: i32 = 1;
const USUAL_BYTES: i32 = 4 << 20;
const MOST_BYTES: i32 = 64 << 20;

impl PartitionReader {
    pub(super) fn new(client: PartitionClient) -> Self {
        Self { client, max_bytes: USUAL_BYTES }
    }

    /// The first offset that can be read.
    pub(crate) async fn earliest(&self) -> Result<i64, Error> {
        bounded("tell the earliest offset", PATIENCE, self.client.get_offset(OffsetAt::Earliest)).await
    }

    /// Behind the last record that can be read: the last stable offset, where transactions are open.
    async fn end(&self) -> Result<i64, Error> {
        bounded("tell the latest offset", PATIENCE, self.client.get_offset(OffsetAt::Latest)).await
    }

    /// Fetches from an offset on. After an error the reader is not to be used again.
    pub(crate) async fn fetch(&mut self, offset: i64) -> Result<Fetched, Error> {
        let doing = || format!("fetch topic {}, partition {}", self.client.topic(), self.client.partition());
        let wait = i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX);
        let fetched = self.client.fetch_records(offset, MIN_BYTES..self.max_bytes, wait);
        let (records, _) = match timeout(WAIT + PATIENCE, fetched).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(KafkaError::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. })) => {
                return Ok(Fetched::OutOfRange { earliest: self.earliest().await?, end: self.end().await? });
            }
            Ok(Err(e)) if is_malformed(&e) => return Ok(Fetched::Unreadable(e)),
            Ok(Err(e)) => return Err(Error::kafka(doing()).caused_by(e)),
            Err(elapsed) => return Err(Error::kafka(format!("{} in time", doing())).caused_by(elapsed)),
        };
        if records.is_empty() && self.end().await? > offset {
            // Records that ended before the offset came back, or the batch is larger than what was asked for.
            if self.max_bytes < MOST_BYTES {
                self.max_bytes = MOST_BYTES;
                return Ok(Fetched::Records(Vec::new()));
            }
            return Ok(Fetched::Hollow);
        }
        self.max_bytes = USUAL_BYTES;
        let topic = self.client.topic().to_owned();
        let records = records.into_iter().filter(|record| record.offset >= offset);
        Ok(Fetched::Records(records.map(|record| (record.offset, converted(&topic, record.record))).collect()))
    }
}

/// rskafka does not export the error's type, only its text.
fn is_malformed(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Request(_)) && error.to_string().contains("Malformed data")
}

fn converted(topic: &str, kafka: rskafka::record::Record) -> Record {
    let mut record = Record::new(topic);
    record.key = kafka.key.map(Bytes::from);
    record.value = kafka.value.map(Bytes::from);
    record.headers = kafka.headers.into_iter().map(|(name, value)| (name, Some(Bytes::from(value)))).collect();
    record.timestamp = Some(kafka.timestamp.timestamp_millis());
    record
}
