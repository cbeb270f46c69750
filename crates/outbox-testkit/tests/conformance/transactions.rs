use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, DescribeProducersRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest,
    ListOffsetsRequest, TransactionalId,
};
use uuid::Uuid;

use super::client::{Client, text, topic_name};
use super::records::{Described, FETCH, PRODUCE, batch, batches, fetch_request, from, now, produce_request, send};
use super::target::{Target, Topic};

/// The newest version of Produce that does not add partitions to the transaction by itself (KIP-890).
const PRODUCE_ADDED: i16 = 11;

/// A producer with a transactional id, which speaks the first version of the transaction protocol.
struct Producer {
    client: Client,
    id: TransactionalId,
    producer_id: i64,
    epoch: i16,
}

impl Producer {
    async fn start(target: &Target) -> Self {
        let id = TransactionalId(text(&format!("conformance-{}", Uuid::now_v7().simple())));
        let mut client = target.client().await;
        coordinated(&mut client, &id).await;
        let (producer_id, epoch) = init(&mut client, &id).await;
        Self { client, id, producer_id, epoch }
    }

    fn adding(&self, topic: &str, partitions: Vec<i32>) -> AddPartitionsToTxnRequest {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(partitions);
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.id.clone())
            .with_v3_and_below_producer_id(self.producer_id.into())
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic])
    }

    /// Returns the error code of each partition. The transaction before may not have ended everywhere yet (51).
    async fn add(&mut self, topic: &str, partitions: Vec<i32>) -> Vec<i16> {
        for _ in 0..600 {
            let answer = self.client.call(3, self.adding(topic, partitions.clone())).await;
            let results = &answer.results_by_topic_v3_and_below[0].results_by_partition;
            let codes: Vec<_> = results.iter().map(|result| result.partition_error_code).collect();
            if !codes.contains(&51) {
                return codes;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the transaction before does not end");
    }

    /// Returns error code and base offset.
    async fn send(&mut self, topic: &Topic, partition: i32, count: i32, sequence: i32) -> (i16, i64) {
        self.send_in(PRODUCE_ADDED, topic, partition, count, sequence).await
    }

    async fn send_in(&mut self, version: i16, topic: &Topic, partition: i32, count: i32, sequence: i32) -> (i16, i64) {
        // Kafka would begin a segment, where a fetch ends, for a marker that is days younger than the records.
        let records = batch(count).at(now()).by(self.producer_id, self.epoch, sequence).transactional().encode();
        let request = produce_request(topic, partition, version, records);
        let answer = self.client.call(version, request.with_transactional_id(Some(self.id.clone()))).await;
        let partition = &answer.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }

    async fn end(&mut self, version: i16, end: End) -> i16 {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(self.producer_id.into())
            .with_producer_epoch(self.epoch)
            .with_committed(end == End::Commit);
        self.client.call(version, request).await.error_code
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    Abort,
}

/// Waits for a coordinator of transactions: Kafka creates the topic of their state on first use.
async fn coordinated(client: &mut Client, id: &TransactionalId) {
    for _ in 0..600 {
        let request = FindCoordinatorRequest::default().with_key_type(1).with_coordinator_keys(vec![id.0.clone()]);
        if client.call(6, request).await.coordinators[0].error_code == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no coordinator");
}

/// Returns producer id and epoch. Kafka asks for another try while it loads (14 to 16), or aborts a transaction (51).
async fn init(client: &mut Client, id: &TransactionalId) -> (i64, i16) {
    for _ in 0..600 {
        let request = InitProducerIdRequest::default().with_transactional_id(Some(id.clone()));
        let answer = client.call(5, request.with_transaction_timeout_ms(60_000)).await;
        if answer.error_code == 0 {
            return (answer.producer_id.0, answer.producer_epoch);
        }
        assert!(matches!(answer.error_code, 14..=16 | 51), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no producer id");
}

#[derive(Clone, Copy)]
enum Isolation {
    Uncommitted = 0,
    Committed = 1,
}

async fn fetch(client: &mut Client, topic: &Topic, partition: i32, offset: i64, isolation: Isolation) -> PartitionData {
    let request = fetch_request(topic, FETCH, vec![from(partition, offset, 1_000_000)]);
    let answer = client.call(FETCH, request.with_isolation_level(isolation as i8)).await;
    answer.responses[0].partitions[0].clone()
}

/// Waits until a partition ends at an offset: Kafka writes markers after it has answered.
async fn until_stable(client: &mut Client, topic: &Topic, partition: i32, end: i64) {
    for _ in 0..600 {
        if fetch(client, topic, partition, 0, Isolation::Committed).await.last_stable_offset == end {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the last stable offset is not {end}");
}

fn aborted(data: &PartitionData) -> Option<Vec<(i64, i64)>> {
    let aborted = data.aborted_transactions.as_ref()?;
    Some(aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect())
}

fn read(data: &PartitionData) -> Vec<Described> {
    batches(data.records.as_ref().unwrap_or(&Bytes::new()))
}

async fn latest(client: &mut Client, topic: &Topic, isolation: Isolation) -> i64 {
    let wanted = ListOffsetsPartition::default().with_timestamp(-1);
    let wanted = ListOffsetsTopic::default().with_name(topic_name(&topic.name)).with_partitions(vec![wanted]);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![wanted]);
    client.call(7, request.with_isolation_level(isolation as i8)).await.topics[0].partitions[0].offset
}

pub(crate) async fn committed_and_aborted(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut reader = target.client().await;
    let mut producer = Producer::start(&target).await;
    let id = producer.producer_id;

    assert_eq!(producer.add(&topic.name, vec![0]).await, [0]);
    assert_eq!(producer.send(&topic, 0, 2, 0).await, (0, 0));
    let open = fetch(&mut reader, &topic, 0, 0, Isolation::Committed).await;
    assert_eq!((open.high_watermark, open.last_stable_offset, read(&open)), (2, 0, vec![]));
    let open = fetch(&mut reader, &topic, 0, 0, Isolation::Uncommitted).await;
    assert_eq!((open.last_stable_offset, read(&open).len(), aborted(&open)), (0, 1, None));
    assert_eq!(latest(&mut reader, &topic, Isolation::Uncommitted).await, 2);
    assert_eq!(latest(&mut reader, &topic, Isolation::Committed).await, 0);
    let behind = fetch(&mut reader, &topic, 0, 2, Isolation::Committed).await;
    assert_eq!((behind.error_code, read(&behind)), (0, vec![]), "beyond the last stable offset");

    assert_eq!(producer.end(3, End::Abort).await, 0);
    until_stable(&mut reader, &topic, 0, 3).await;
    assert_eq!(producer.add(&topic.name, vec![0]).await, [0]);
    assert_eq!(producer.send(&topic, 0, 1, 2).await, (0, 3), "the sequence goes over transactions");
    assert_eq!(producer.end(3, End::Commit).await, 0);
    until_stable(&mut reader, &topic, 0, 5).await;
    assert_eq!(send(&mut reader, &topic, batch(1).at(now())).await, (0, 5));

    let data = |base_offset, count, base_sequence| Described {
        base_offset,
        last_offset: base_offset + i64::from(count) - 1,
        attributes: 0x10,
        producer: (id, producer.epoch, base_sequence),
        count,
        control: None,
    };
    let marker = |base_offset, kind| Described {
        base_offset,
        last_offset: base_offset,
        attributes: 0x30,
        producer: (id, producer.epoch, -1),
        count: 1,
        control: Some(kind),
    };

    let plain =
        Described { base_offset: 5, last_offset: 5, attributes: 0, producer: (-1, -1, -1), count: 1, control: None };
    let all = [data(0, 2, 0), marker(2, 0), data(3, 1, 2), marker(4, 1), plain];
    for isolation in [Isolation::Uncommitted, Isolation::Committed] {
        let found = fetch(&mut reader, &topic, 0, 0, isolation).await;
        assert_eq!((read(&found), found.high_watermark, found.last_stable_offset), (all.to_vec(), 6, 6));
    }

    for (offset, expected) in [(0, vec![(id, 0)]), (1, vec![(id, 0)]), (2, vec![(id, 0)]), (3, vec![]), (6, vec![])] {
        let found = fetch(&mut reader, &topic, 0, offset, Isolation::Committed).await;
        assert_eq!(aborted(&found), Some(expected), "{offset}");
    }
}

pub(crate) async fn interleaved(target: Arc<Target>) {
    let topic = target.topic(2).await;
    let mut reader = target.client().await;
    let (mut first, mut second) = (Producer::start(&target).await, Producer::start(&target).await);
    assert_eq!(first.add(&topic.name, vec![0, 1]).await, [0, 0]);
    assert_eq!(second.add(&topic.name, vec![0]).await, [0]);
    assert_eq!(first.send(&topic, 0, 1, 0).await, (0, 0));
    assert_eq!(second.send(&topic, 0, 1, 0).await, (0, 1));
    assert_eq!(first.send(&topic, 0, 1, 1).await, (0, 2));
    assert_eq!(first.send(&topic, 1, 1, 0).await, (0, 0));
    assert_eq!(described_start(&mut reader, &topic, second.producer_id).await, 1);

    assert_eq!(second.end(3, End::Abort).await, 0);
    // The marker of the second is at 3, and the first keeps the records before it unstable.
    for _ in 0..600 {
        if latest(&mut reader, &topic, Isolation::Uncommitted).await == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(latest(&mut reader, &topic, Isolation::Committed).await, 0);
    assert_eq!(first.end(4, End::Commit).await, 0);
    until_stable(&mut reader, &topic, 0, 5).await;
    until_stable(&mut reader, &topic, 1, 2).await;

    let found = fetch(&mut reader, &topic, 0, 0, Isolation::Committed).await;
    assert_eq!(aborted(&found), Some(vec![(second.producer_id, 1)]));
    let kinds: Vec<_> = read(&found).into_iter().map(|batch| (batch.producer.0, batch.control)).collect();
    let (first_id, second_id) = (first.producer_id, second.producer_id);
    let expected = [(first_id, None), (second_id, None), (first_id, None), (second_id, Some(0)), (first_id, Some(1))];
    assert_eq!(kinds, expected);
    assert_eq!(described_start(&mut reader, &topic, second.producer_id).await, -1);
}

/// Returns the first offset of the open transaction of a producer on partition 0.
async fn described_start(client: &mut Client, topic: &Topic, producer_id: i64) -> i64 {
    let asked = TopicRequest::default().with_name(topic_name(&topic.name)).with_partition_indexes(vec![0]);
    let answer = client.call(0, DescribeProducersRequest::default().with_topics(vec![asked])).await;
    let producers = &answer.topics[0].partitions[0].active_producers;
    producers.iter().find(|producer| producer.producer_id.0 == producer_id).unwrap().current_txn_start_offset
}

pub(crate) async fn fenced(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut reader = target.client().await;
    let mut producer = Producer::start(&target).await;
    assert_eq!(producer.add(&topic.name, vec![0]).await, [0]);
    assert_eq!(producer.send(&topic, 0, 1, 0).await, (0, 0));

    let mut other = target.client().await;
    let (producer_id, epoch) = init(&mut other, &producer.id).await;
    assert_eq!(producer_id, producer.producer_id);
    assert!(epoch > producer.epoch, "{epoch}");
    until_stable(&mut reader, &topic, 0, 2).await;
    let found = fetch(&mut reader, &topic, 0, 0, Isolation::Committed).await;
    assert_eq!((aborted(&found), read(&found)[1].control), (Some(vec![(producer_id, 0)]), Some(0)));

    assert_eq!(producer.add(&topic.name, vec![0]).await, [90]);
    assert_eq!(producer.end(3, End::Commit).await, 90);
    assert_eq!(producer.send(&topic, 0, 1, 1).await, (47, -1));
    producer.epoch = epoch;
    assert_eq!(producer.add(&topic.name, vec![0]).await, [0]);
    assert_eq!(producer.send(&topic, 0, 1, 0).await, (0, 2));
    assert_eq!(producer.end(3, End::Commit).await, 0);
    until_stable(&mut reader, &topic, 0, 4).await;
}

pub(crate) async fn refused_transactions(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let mut producer = Producer::start(&target).await;
    assert_eq!(producer.end(3, End::Commit).await, 48, "nothing to end");
    assert_eq!(producer.send_in(10, &topic, 0, 1, 0).await, (48, -1), "the partition was not added");
    assert_eq!(producer.send_in(11, &topic, 0, 1, 0).await, (120, -1), "a newer name of the same");
    let records = batch(1).by(producer.producer_id, producer.epoch, 0).transactional().encode();
    let answer = producer.client.call(PRODUCE, produce_request(&topic, 0, PRODUCE, records)).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 53, "without the transactional id");

    let mut codes = producer.add(&topic.name, vec![0, 7]).await;
    codes.sort_unstable();
    assert_eq!(codes, [3, 55], "none is added where one is missing");
    assert_eq!(producer.add(&topic.name, vec![0]).await, [0]);
    producer.producer_id += 1_000_000;
    assert_eq!(producer.add(&topic.name, vec![0]).await, [49]);
    assert_eq!(producer.end(3, End::Commit).await, 49);
    producer.producer_id -= 1_000_000;
    assert_eq!(producer.end(3, End::Commit).await, 0, "without a record");
    until_stable(&mut target.client().await, &topic, 0, 1).await;
    assert_eq!(producer.send_in(PRODUCE, &topic, 0, 1, 0).await, (0, 1), "added by the newer Produce");
    assert_eq!(producer.end(3, End::Commit).await, 0);
    let empty = InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(text(""))));
    assert_eq!(producer.client.call(5, empty).await.error_code, 42);
}
