//! Records that rskafka cannot read, written to a real Kafka.

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, InitProducerIdResponse,
    ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::Record;
use outbox_core::OutboxEvent;
use outbox_kafka_consumer::{MovePolicy, Reader};
use outbox_test_support::eventually;

use crate::env::{ConsumerEnv, OrderCreated, Running};
use crate::positions::store;
use crate::wire::{Wire, record, routed, topic_name};

/// Checks that the consumer stops at the record and continues after a decision. Order 1 is before what cannot be read
/// and order 2 in the other partition.
async fn stops_there_and_goes_on_behind(env: ConsumerEnv, at: i64, behind: i64) {
    env.produce_order(1, 2).await;
    let running = Running::start(env.consumer().reader(Reader::Rskafka).on(store).build().unwrap());
    assert_eq!(env.effects(2).await, [1, 2]);

    let why = env.stopped(0).await;
    assert!(why.contains(&format!("topic {}, partition 0, offset {at}", env.topic())), "{why}");
    assert!(why.contains("cannot read") && why.contains("move_position"), "{why}");
    env.position(0, at).await;
    assert!(running.stop().await.unwrap_err().is_record());
    env.produce_order(0, 3).await;
    env.group().move_position(env.topic(), 0, behind, MovePolicy::Respect).await.unwrap();
    let running = Running::start(env.consumer().reader(Reader::Rskafka).on(store).build().unwrap());
    assert_eq!(env.effects(3).await, [1, 2, 3]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_header_with_a_null_value_stops_its_partition_and_no_other() {
    let env = ConsumerEnv::with_partitions(2).await;
    env.produce_order(0, 1).await;
    // The reader is there already: what rskafka is handed together with such a record it cannot read either.
    let running = Running::start(env.consumer().reader(Reader::Rskafka).on(store).build().unwrap());
    env.position(0, 1).await;
    running.stop().await.unwrap();
    let mut wire = Wire::connect(env.brokers()).await;
    wire.produce(&env, &[record(None)], None).await;
    stops_there_and_goes_on_behind(env, 1, 2).await;
}

#[tokio::test]
async fn a_transactional_producers_marker_stops_its_partition_and_no_other() {
    let env = ConsumerEnv::with_partitions(2).await;
    env.produce_order(0, 1).await;
    let running = Running::start(env.consumer().reader(Reader::Rskafka).on(store).build().unwrap());
    env.position(0, 1).await;
    running.stop().await.unwrap();
    let mut transaction = Transaction::begin(&env).await;
    transaction.produce(&env, record(Some(Bytes::new()))).await;
    transaction.end(true).await;
    // Its record is at offset 1, and is read. Its marker is at 2.
    stops_there_and_goes_on_behind(env, 2, 3).await;
}

#[tokio::test]
async fn an_aborted_transaction_that_is_larger_than_a_fetch_has_no_effect_and_stops_its_partition() {
    let env = ConsumerEnv::with_partitions(2).await;
    env.produce_order(0, 1).await;
    let mut transaction = Transaction::begin(&env).await;
    // A fetch is of 4 MiB.
    for step in 0..12 {
        let event = OutboxEvent::from_event(&OrderCreated { order_id: 7, step }).build().unwrap();
        let mut sent = env.pipeline().encode(&env.pipeline().row(&event).unwrap()).unwrap();
        sent.headers.push(("padding".to_owned(), Some(Bytes::from(vec![b'x'; 900_000]))));
        transaction.produce(&env, routed(sent)).await;
    }
    transaction.end(false).await;
    stops_there_and_goes_on_behind(env, 1, 14).await;
}

/// Orders 1 to 3 are there, with transactions, a null header and an aborted transaction of 12 MB between them.
async fn is_read_whole(reader: Reader) {
    let env = ConsumerEnv::with_partitions(2).await;
    env.produce_order(0, 1).await;
    let mut aborted = Transaction::begin(&env).await;
    for step in 0..12 {
        let event = OutboxEvent::from_event(&OrderCreated { order_id: 7, step }).build().unwrap();
        let mut sent = env.pipeline().encode(&env.pipeline().row(&event).unwrap()).unwrap();
        sent.headers.push(("padding".to_owned(), Some(Bytes::from(vec![b'x'; 900_000]))));
        aborted.produce(&env, routed(sent)).await;
    }
    aborted.end(false).await;
    let mut wire = Wire::connect(env.brokers()).await;
    let event = OutboxEvent::from_event(&OrderCreated { order_id: 2, step: 0 }).build().unwrap();
    let mut sent = env.pipeline().encode(&env.pipeline().row(&event).unwrap()).unwrap();
    sent.headers.push(("padding".to_owned(), None));
    wire.produce(&env, &[routed(sent)], None).await;
    env.produce_order(0, 3).await;

    let running = Running::start(env.consumer().reader(reader).on(store).build().unwrap());
    assert_eq!(env.effects(3).await, [1, 2, 3]);
    env.position(0, 16).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_native_reader_reads_transactions_and_null_headers() {
    is_read_whole(Reader::Native).await;
}

#[tokio::test]
async fn the_native_reader_continues_where_rskafka_cannot() {
    is_read_whole(Reader::Auto).await;
}

/// A transactional producer, in its first transaction.
struct Transaction {
    wire: Wire,
    id: TransactionalId,
    producer: InitProducerIdResponse,
    produced: i32,
}

impl Transaction {
    /// Begins in partition 0.
    async fn begin(env: &ConsumerEnv) -> Self {
        let mut wire = Wire::connect(env.brokers()).await;
        let id = TransactionalId(StrBytes::from_string(env.name().to_owned()));
        let begin = InitProducerIdRequest::default()
            .with_transactional_id(Some(id.clone()))
            .with_transaction_timeout_ms(30_000)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);

        // The first one makes the coordinator's topic.
        let producer = eventually("a producer's id".to_owned(), async || {
            let find = FindCoordinatorRequest::default().with_key(id.0.clone()).with_key_type(1);
            wire.call(3, find).await;
            let answer = wire.call(4, begin.clone()).await;
            if answer.error_code == 0 { Ok(answer) } else { Err(answer.error_code) }
        })
        .await;

        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name(env)).with_partitions(vec![0]);
        let add = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id.clone())
            .with_v3_and_below_producer_id(producer.producer_id)
            .with_v3_and_below_producer_epoch(producer.producer_epoch)
            .with_v3_and_below_topics(vec![topic]);
        let added = wire.call(3, add).await;
        assert_eq!(added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, 0);
        Self { wire, id, producer, produced: 0 }
    }

    async fn produce(&mut self, env: &ConsumerEnv, record: Record) {
        let sent = Record {
            transactional: true,
            producer_id: self.producer.producer_id.0,
            producer_epoch: self.producer.producer_epoch,
            sequence: self.produced,
            ..record
        };
        self.wire.produce(env, &[sent], Some(self.id.clone())).await;
        self.produced += 1;
    }

    async fn end(mut self, committed: bool) {
        let end = EndTxnRequest::default()
            .with_transactional_id(self.id)
            .with_producer_id(self.producer.producer_id)
            .with_producer_epoch(self.producer.producer_epoch)
            .with_committed(committed);
        assert_eq!(self.wire.call(3, end).await.error_code, 0);
    }
}
