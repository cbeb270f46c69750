//! The cases that go through rskafka, which speaks the oldest versions that Kafka 4 serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rskafka::chrono::{DateTime, Utc};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;

use super::records;
use super::target::{Target, Topic};

async fn connect(target: &Target) -> Client {
    ClientBuilder::new(vec![target.address.clone()]).build().await.unwrap()
}

async fn partition(target: &Target, topic: &Topic) -> PartitionClient {
    connect(target).await.partition_client(&topic.name, 0, UnknownTopicHandling::Error).await.unwrap()
}

fn record(value: &str, milliseconds: i64) -> Record {
    Record {
        key: Some(b"key".to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: BTreeMap::from([("id".to_owned(), b"1".to_vec()), ("empty".to_owned(), Vec::new())]),
        timestamp: DateTime::<Utc>::from_timestamp_millis(milliseconds).unwrap(),
    }
}

const TIME: i64 = 1_700_000_000_000;

fn server_error(error: &Error) -> ProtocolError {
    match error {
        Error::ServerError { protocol_error, .. } => *protocol_error,
        other => panic!("{other}"),
    }
}

pub(crate) async fn codecs(target: Arc<Target>) {
    let codecs =
        [Compression::NoCompression, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (number, codec) in (0..).zip(codecs) {
        let topic = target.topic(1).await;
        let partition = partition(&target, &topic).await;
        let sent: Vec<_> = (0..100).map(|index| record(&format!("value {index}"), TIME + index)).collect();
        assert_eq!(partition.produce(sent.clone(), codec).await.unwrap(), (0..100).collect::<Vec<_>>());
        let (found, end) = partition.fetch_records(0, 1..1_000_000, 1000).await.unwrap();
        assert_eq!(found.into_iter().map(|found| found.record).collect::<Vec<_>>(), sent);
        assert_eq!(end, 100);
        let stored = records::fetch(&mut target.client().await, &topic, 0, 1).await.records.unwrap();
        assert_eq!(stored[22] & 7, number, "the codec is as it was sent");
        let by_time = OffsetAt::Timestamp(DateTime::from_timestamp_millis(TIME + 42).unwrap());
        assert_eq!(partition.get_offset(by_time).await.unwrap(), 42);
    }
}

pub(crate) async fn produce_and_fetch(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let partition = partition(&target, &topic).await;
    for base in [0, 10, 20] {
        let batch = (base..base + 10).map(|index| record(&index.to_string(), TIME + index)).collect();
        partition.produce(batch, Compression::NoCompression).await.unwrap();
    }
    for offset in [0, 7, 10, 19, 29] {
        let (found, _) = partition.fetch_records(offset, 1..1_000_000, 1000).await.unwrap();
        assert_eq!(found.iter().map(|found| found.offset).collect::<Vec<_>>(), (offset..30).collect::<Vec<_>>());
    }

    let (found, _) = partition.fetch_records(12, 1..2, 1000).await.unwrap();
    assert_eq!(found.len(), 8, "the rest of one batch, though it is larger");
    assert_eq!(partition.get_offset(OffsetAt::Earliest).await.unwrap(), 0);
    assert_eq!(partition.get_offset(OffsetAt::Latest).await.unwrap(), 30);
    partition.delete_records(15, 5000).await.unwrap();
    assert_eq!(partition.get_offset(OffsetAt::Earliest).await.unwrap(), 15);

    let error = partition.fetch_records(14, 1..1000, 100).await.unwrap_err();
    assert_eq!(server_error(&error), ProtocolError::OffsetOutOfRange);
    let (found, _) = partition.fetch_records(15, 1..1_000_000, 1000).await.unwrap();
    assert_eq!(found[0].offset, 15);
}

pub(crate) async fn wake_up(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let (writer, reader) = (partition(&target, &topic).await, partition(&target, &topic).await);
    for offset in 0..10 {
        let waiting = reader.fetch_records(offset, 1..1000, 20_000);
        let sending = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            writer.produce(vec![record("late", TIME)], Compression::NoCompression).await.unwrap();
        };
        let both = async { tokio::join!(waiting, sending).0 };
        let (found, _) = tokio::time::timeout(Duration::from_secs(300), both).await.expect("woken").unwrap();
        assert_eq!(found[0].offset, offset);
    }
}

pub(crate) async fn controller(target: Arc<Target>) {
    let client = connect(&target).await;
    let controller = client.controller_client().unwrap();
    let name = target.fresh_name();
    controller.create_topic(&name, 2, 1, 5000).await.unwrap();
    let error = controller.create_topic(&name, 2, 1, 5000).await.unwrap_err();
    assert_eq!(server_error(&error), ProtocolError::TopicAlreadyExists);
    target.until_led(&name).await;
    let topics = client.list_topics().await.unwrap();
    assert_eq!(topics.iter().find(|topic| topic.name == name).unwrap().partitions.len(), 2);
    controller.delete_topic(&name, 5000).await.unwrap();
    let error = controller.delete_topic("no-such-topic", 5000).await.unwrap_err();
    assert_eq!(server_error(&error), ProtocolError::UnknownTopicOrPartition);
}

pub(crate) async fn refusals(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let partition = partition(&target, &topic).await;
    let large = Record { value: Some(vec![7; 2_000_000]), ..record("", TIME) };
    let error = partition.produce(vec![large], Compression::NoCompression).await.unwrap_err();
    assert_eq!(server_error(&error), ProtocolError::MessageTooLarge);
    let error = partition.fetch_records(1, 1..1000, 100).await.unwrap_err();
    assert_eq!(server_error(&error), ProtocolError::OffsetOutOfRange);
    let client = connect(&target).await;
    let unknown = client.partition_client(&topic.name, 7, UnknownTopicHandling::Error).await;
    assert!(unknown.is_err());
}
