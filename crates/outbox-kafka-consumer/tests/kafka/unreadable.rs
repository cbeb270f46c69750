//! What rskafka cannot read, written to a real Kafka.

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ProducerId,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::Record;
use outbox_kafka_consumer::Horizon;

use crate::bench::{Bench, Running, eventually};
use crate::positions::store;
use crate::wire::{Wire, record, topic_name};

/// Order 1 is before what cannot be read and order 2 in the other partition.
async fn stops_there_and_goes_on_behind(bench: Bench, behind: i64) {
    bench.produce_order(1, 2).await;
    let running = Running::start(bench.consumer().on(store).build().unwrap());
    assert_eq!(bench.effects(2).await, [1, 2]);
    let why = bench.stopped(0).await;
    assert!(why.contains(&format!("topic {}, partition 0, offset 1", bench.topic)), "{why}");
    assert!(why.contains("cannot read") && why.contains("move_position"), "{why}");
    bench.position(0, 1).await;
    assert!(running.stop().await.unwrap_err().is_record());
    bench.produce_order(0, 3).await;
    bench.group().move_position(&bench.topic, 0, behind, Horizon::Respect).await.unwrap();
    let running = Running::start(bench.consumer().on(store).build().unwrap());
    assert_eq!(bench.effects(3).await, [1, 2, 3]);
    running.stop().await.unwrap();
    bench.remove_topic().await;
}

#[tokio::test]
async fn a_header_with_a_null_value_stops_its_partition_and_no_other() {
    let bench = Bench::with_partitions(2).await;
    bench.produce_order(0, 1).await;
    // Whoever reads is there already: what rskafka is handed together with such a record it cannot read either.
    let running = Running::start(bench.consumer().on(store).build().unwrap());
    bench.position(0, 1).await;
    running.stop().await.unwrap();
    let mut wire = Wire::connect(&bench.brokers).await;
    wire.produce(&bench, &[record(None)], None).await;
    stops_there_and_goes_on_behind(bench, 2).await;
}

#[tokio::test]
async fn a_transactional_producers_marker_stops_its_partition_and_no_other() {
    let bench = Bench::with_partitions(2).await;
    bench.produce_order(0, 1).await;
    let running = Running::start(bench.consumer().on(store).build().unwrap());
    bench.position(0, 1).await;
    running.stop().await.unwrap();
    let mut wire = Wire::connect(&bench.brokers).await;
    let id = TransactionalId(StrBytes::from_string(bench.prefix().to_owned()));
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
    let topic = AddPartitionsToTxnTopic::default().with_name(topic_name(&bench)).with_partitions(vec![0]);
    let add = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id.clone())
        .with_v3_and_below_producer_id(producer.producer_id)
        .with_v3_and_below_producer_epoch(producer.producer_epoch)
        .with_v3_and_below_topics(vec![topic]);
    let added = wire.call(3, add).await;
    assert_eq!(added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, 0);
    let sent = Record {
        transactional: true,
        producer_id: producer.producer_id.0,
        producer_epoch: producer.producer_epoch,
        sequence: 0,
        ..record(Some(Bytes::new()))
    };
    wire.produce(&bench, &[sent], Some(id.clone())).await;
    let end = EndTxnRequest::default()
        .with_transactional_id(id)
        .with_producer_id(producer.producer_id)
        .with_producer_epoch(producer.producer_epoch)
        .with_committed(true);
    assert_eq!(wire.call(3, end).await.error_code, 0);
    // Its record is at offset 1, its marker at 2.
    stops_there_and_goes_on_behind(bench, 3).await;
}
