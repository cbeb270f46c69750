use std::time::{Duration, SystemTime};

use outbox_core::bytes::Bytes;
use outbox_core::record::Record;
use rskafka::BackoffConfig;
use rskafka::chrono::DateTime;
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::RecordAndOffset;

/// The limit of retries. By default, the client retries without end.
const DEADLINE: Duration = Duration::from_secs(300);
/// The fetch size, which is above the largest record that brokers accept.
const FETCH: std::ops::Range<i32> = 1..8 << 20;

/// A record as it was read back from a topic.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredRecord {
    /// The number of the partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// The record, with its partition and timestamp.
    pub record: Record,
}

impl StoredRecord {
    /// Returns the key, or an empty text for a record without one.
    #[must_use]
    pub fn key(&self) -> &str {
        text(self.record.key.as_ref())
    }

    /// Returns the value, or an empty text for a tombstone.
    #[must_use]
    pub fn value(&self) -> &str {
        text(self.record.value.as_ref())
    }

    /// Returns the value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = self.record.headers.iter().find(|(found, _)| found == name);
        value.map(|(_, value)| text(value.as_ref()))
    }
}

fn text(bytes: Option<&Bytes>) -> &str {
    bytes.map_or("", |bytes| str::from_utf8(bytes).expect("UTF-8"))
}

/// Converts a record that rskafka has read.
#[must_use]
pub fn stored(topic: &str, partition: i32, found: RecordAndOffset) -> StoredRecord {
    let RecordAndOffset { offset, record: found } = found;
    let mut record = Record::new(topic);
    record.partition = Some(partition);
    record.key = found.key.map(Into::into);
    record.value = found.value.map(Into::into);
    record.headers = found.headers.into_iter().map(|(name, value)| (name, Some(value.into()))).collect();
    record.timestamp = Some(found.timestamp.timestamp_millis());
    StoredRecord { partition, offset, record }
}

/// Converts a record to the form in which rskafka writes it. The time is the present one if the record has none.
///
/// Kafka deletes records by their own time, so that records of 1970 do not stay.
#[must_use]
pub fn to_rskafka(record: Record) -> rskafka::record::Record {
    let headers = record.headers.into_iter().map(|(name, value)| (name, value.unwrap_or_default().into()));
    rskafka::record::Record {
        key: record.key.map(Into::into),
        value: record.value.map(Into::into),
        headers: headers.collect(),
        timestamp: DateTime::from_timestamp_millis(record.timestamp.unwrap_or_else(now)).expect("a timestamp"),
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_millis()).expect("a timestamp")
}

/// Connects to Kafka. A request fails after five minutes of retries.
///
/// # Panics
/// Panics if no broker answers.
pub async fn connect_kafka(brokers: &str) -> Client {
    client(brokers, DEADLINE).await.expect("a connection to Kafka")
}

async fn client(brokers: &str, deadline: Duration) -> rskafka::client::error::Result<Client> {
    let (max_backoff, deadline) = (Duration::from_secs(1), Some(deadline));
    let backoff = BackoffConfig { max_backoff, deadline, ..BackoffConfig::default() };
    ClientBuilder::new(brokers.split(',').map(str::to_owned).collect()).backoff_config(backoff).build().await
}

/// Returns a client for each partition of a topic, in their order; none if the topic does not exist.
pub(crate) async fn partitions(kafka: &Client, topic: &str) -> Vec<PartitionClient> {
    let topics = kafka.list_topics().await.expect("the topics");
    let numbers = topics.into_iter().find(|found| found.name == topic).map(|found| found.partitions);
    let mut clients = Vec::new();
    for number in numbers.unwrap_or_default() {
        let opened = kafka.partition_client(topic, number, UnknownTopicHandling::Retry).await;
        clients.push(opened.expect("a partition"));
    }
    clients
}

/// Reads all records of a partition up to its present end.
pub(crate) async fn read(partition: &PartitionClient) -> Vec<StoredRecord> {
    let (topic, number) = (partition.topic(), partition.partition());
    let mut next = partition.get_offset(OffsetAt::Earliest).await.expect("the first offset");
    let end = partition.get_offset(OffsetAt::Latest).await.expect("the end");
    let mut records = Vec::new();

    while next < end {
        let (fetched, _) = partition.fetch_records(next, FETCH, 100).await.expect("records");
        // A compressed batch is returned whole, with the records before the requested offset.
        for found in fetched.into_iter().filter(|found| found.offset >= next) {
            records.push(stored(topic, number, found));
        }
        next = records.last().map_or(next, |last: &StoredRecord| last.offset + 1);
    }
    records
}

/// Deletes the topics whose names contain `name`.
pub(crate) async fn delete_all(brokers: &str, name: &str) -> rskafka::client::error::Result<()> {
    let kafka = client(brokers, Duration::from_secs(20)).await?;
    for topic in kafka.list_topics().await?.into_iter().filter(|topic| topic.name.contains(name)) {
        kafka.controller_client()?.delete_topic(topic.name, 10_000).await?;
    }
    Ok(())
}
