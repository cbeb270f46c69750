//! The behaviour that every source of records must have.

use std::collections::BTreeSet;
use std::time::Duration;

use outbox_kafka::{Gap, Security};
use outbox_testkit::{Broker, Fault, Imitation};
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, UnknownTopicHandling};

use super::{Choice, Fetched, Message, PartitionReader, RecordSource};
use crate::brokers::Brokers;
use crate::{Reader, kafka, native};

const TOPIC: &str = "conformance";

async fn broker() -> Broker {
    let broker = Broker::builder().without_auto_creation().start().await.unwrap();
    broker.create_topic(TOPIC, 2).unwrap();
    broker
}

async fn produce(broker: &Broker, values: std::ops::Range<i64>, compression: Compression) {
    let client = ClientBuilder::new(vec![broker.address()]).build().await.unwrap();
    let record = |value: i64| rskafka::record::Record {
        key: Some(b"key".to_vec()),
        value: (value % 2 == 0).then(|| value.to_string().into_bytes()),
        headers: [("name".to_owned(), b"value".to_vec())].into(),
        timestamp: rskafka::chrono::DateTime::from_timestamp_millis(1_700_000_000_000 + value).unwrap(),
    };
    let partition = client.partition_client(TOPIC, 0, UnknownTopicHandling::Error).await.unwrap();
    partition.produce(values.map(record).collect(), compression).await.unwrap();
}

/// Reads what is there from an offset on, by however many fetches.
async fn read(reader: &mut impl PartitionReader, mut offset: i64, until: i64) -> Vec<(i64, Message)> {
    let mut all = Vec::new();
    while offset < until {
        let Fetched::Records { records, next, end } = reader.fetch(offset).await.unwrap() else { panic!("no records") };
        assert!(end >= until || records.is_empty(), "{end}");
        assert!(records.iter().all(|(at, _)| (offset..next).contains(at)));
        offset = next;
        all.extend(records);
    }
    all
}

async fn partitions_are_those_of_the_topics_that_were_asked_for(source: &impl RecordSource, broker: &Broker) {
    broker.create_topic("other", 1).unwrap();
    let topics: BTreeSet<String> = [TOPIC.to_owned(), "missing".to_owned()].into();
    let found = source.partitions(&topics).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|(topic, partitions)| (topic, partitions.unwrap())).collect();
    assert_eq!(found, [(TOPIC.to_owned(), BTreeSet::from([0, 1]))]);
}

async fn records_come_once_in_order_and_whole(source: &impl RecordSource, broker: &Broker) {
    for (n, compression) in
        [Compression::NoCompression, Compression::Gzip, Compression::Lz4, Compression::Snappy, Compression::Zstd]
            .into_iter()
            .enumerate()
    {
        let n = i64::try_from(n).unwrap();
        produce(broker, n * 10..n * 10 + 10, compression).await;
    }

    let mut reader = source.open(TOPIC, 0).await.unwrap();
    assert_eq!((reader.earliest().await.unwrap(), reader.end().await.unwrap()), (0, 50));

    // From within a batch too.
    for from in [0, 7, 49] {
        let records = read(&mut reader, from, 50).await;
        assert!(records.iter().map(|(offset, _)| *offset).eq(from..50));
        for (offset, record) in records {
            assert_eq!(record.key(), Some(&b"key"[..]));
            assert_eq!(record.value().is_some(), offset % 2 == 0);
            assert_eq!(record.headers(), [("name".into(), Some(&b"value"[..]))]);
            assert_eq!(record.timestamp(), Some(1_700_000_000_000 + offset));
        }
    }
}

async fn the_end_is_waited_at_for_a_moment_and_what_comes_wakes(source: &impl RecordSource, broker: &Broker) {
    let mut reader = source.open(TOPIC, 0).await.unwrap();
    let end = reader.end().await.unwrap();
    let Fetched::Records { records, .. } = reader.fetch(end).await.unwrap() else { panic!("no answer") };
    assert!(records.is_empty());
    let (records, ()) =
        tokio::join!(read(&mut reader, end, end + 1), produce(broker, 0..1, Compression::NoCompression));
    assert_eq!(records.len(), 1);
}

async fn an_offset_that_is_not_there_is_told_with_what_is(source: &impl RecordSource) {
    let mut reader = source.open(TOPIC, 0).await.unwrap();
    let end = reader.end().await.unwrap();
    let Fetched::OutOfRange { earliest, end: reported } = reader.fetch(end + 5).await.unwrap() else {
        panic!("in range")
    };
    assert_eq!((earliest, reported), (0, end));
}

async fn what_does_not_exist_is_an_error(source: &impl RecordSource) {
    for (topic, partition) in [("missing", 0), (TOPIC, 9)] {
        let opened = tokio::time::timeout(Duration::from_secs(25), source.open(topic, partition)).await.unwrap();
        assert!(opened.err().unwrap().is_transient());
    }
}

async fn after_an_error_a_new_reader_goes_on(source: &impl RecordSource, broker: &Broker) {
    let mut reader = source.open(TOPIC, 0).await.unwrap();
    let moved = broker.faults().inject(Fault::not_leader().on(TOPIC, 0).until_lifted());
    assert!(reader.fetch(0).await.unwrap_err().is_transient());
    moved.lift();
    let mut reader = source.open(TOPIC, 0).await.unwrap();
    assert!(!read(&mut reader, 0, 1).await.is_empty());
}

async fn a_topic_made_anew_has_another_id(source: &impl RecordSource, broker: &Broker) {
    let id = source.open(TOPIC, 0).await.unwrap().topic_id();
    assert!(id.is_some() && id == source.open(TOPIC, 1).await.unwrap().topic_id());
    let client = ClientBuilder::new(vec![broker.address()]).build().await.unwrap();
    client.controller_client().unwrap().delete_topic(TOPIC, 10_000).await.unwrap();
    broker.create_topic(TOPIC, 2).unwrap();
    let anew = source.open(TOPIC, 0).await.unwrap().topic_id();
    assert!(anew.is_some() && anew != id);
}

async fn conforms(broker: &Broker, source: impl RecordSource) {
    let source = &source;
    partitions_are_those_of_the_topics_that_were_asked_for(source, broker).await;
    records_come_once_in_order_and_whole(source, broker).await;
    the_end_is_waited_at_for_a_moment_and_what_comes_wakes(source, broker).await;
    an_offset_that_is_not_there_is_told_with_what_is(source).await;
    what_does_not_exist_is_an_error(source).await;
    after_an_error_a_new_reader_goes_on(source, broker).await;
    a_topic_made_anew_has_another_id(source, broker).await;
}

#[tokio::test]
async fn rskafka_conforms() {
    let broker = broker().await;
    conforms(&broker, kafka::Cluster::new(Brokers::new(vec![broker.address()], Security::new()), 4 << 20)).await;
}

#[tokio::test]
async fn the_native_reader_conforms() {
    let broker = broker().await;
    conforms(&broker, native::Source::new(Brokers::new(vec![broker.address()], Security::new()), 64 << 20)).await;
}

#[tokio::test]
async fn the_automatic_choice_conforms() {
    let broker = broker().await;
    let brokers = Brokers::new(vec![broker.address()], Security::new());
    conforms(&broker, Choice::new(Reader::Auto, &brokers, 256 << 20)).await;
}

/// Reads from each imitation of another broker with each reader, and compares the reported gaps.
#[tokio::test]
async fn other_brokers_are_read_and_what_they_lack_is_reported() {
    let old = vec![Gap::TopicIds];
    for (imitation, lacking) in [
        (Imitation::new(), vec![]),
        (Imitation::kafka_2_4(), old.clone()),
        (Imitation::kafka_3_9(), vec![]),
        (Imitation::new().nil_topic_ids(), old.clone()),
        (Imitation::azure_event_hubs_premium(), vec![Gap::TopicIds, Gap::Zstd]),
        (Imitation::azure_event_hubs_standard(), vec![Gap::TopicIds, Gap::Zstd]),
        (Imitation::warpstream(), vec![]),
        (Imitation::redpanda_before_topic_ids(), old),
    ] {
        for reader in [Reader::Rskafka, Reader::Native] {
            let shown = format!("{imitation:?} {reader:?}");
            let broker = Broker::builder().without_auto_creation().imitating(imitation.clone()).start().await.unwrap();
            broker.create_topic(TOPIC, 2).unwrap();
            produce(&broker, 0..10, Compression::NoCompression).await;
            let brokers = Brokers::new(vec![broker.address()], Security::new());
            let source = Choice::new(reader, &brokers, 256 << 20);

            assert_eq!(source.partitions(&[TOPIC.to_owned()].into()).await.unwrap().len(), 1, "{shown}");
            let mut partition = source.open(TOPIC, 0).await.unwrap();
            assert_eq!(read(&mut partition, 0, 10).await.len(), 10, "{shown}");
            assert_eq!(brokers.reported(), lacking, "{shown}");
        }
    }
}
