//! Offsets without records: a compacted topic, and records that were deleted.

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::{CreateTopicsRequest, InitProducerIdRequest, ProducerId};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::Record;
use outbox_core::OutboxEvent;
use outbox_kafka_consumer::MovePolicy;
use outbox_test_support::eventually;
use rskafka::client::partition::UnknownTopicHandling;

use crate::env::{ConsumerEnv, OrderCreated, Running};
use crate::positions::store;
use crate::wire::{Wire, routed, topic_name};

/// Creates a topic of one partition, which is compacted as soon as the cleaner looks at it.
async fn create_compacted_topic(wire: &mut Wire, env: &ConsumerEnv) {
    let configs = [("cleanup.policy", "compact,delete"), ("segment.ms", "1000"), ("min.cleanable.dirty.ratio", "0.01")];
    let config = |(name, value)| {
        let config = CreatableTopicConfig::default().with_name(StrBytes::from_static_str(name));
        config.with_value(Some(StrBytes::from_static_str(value)))
    };
    let topic = CreatableTopic::default().with_name(topic_name(env)).with_num_partitions(1).with_replication_factor(1);
    let topic = topic.with_configs(configs.map(config).into());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    assert_eq!(wire.call(4, request).await.topics[0].error_code, 0);
    env.await_topic().await;
}

fn event(env: &ConsumerEnv, order_id: i64, step: i64, timestamp: i64) -> outbox_core::record::Record {
    let event = OutboxEvent::from_event(&OrderCreated { order_id, step }).build().unwrap();
    let mut record = env.pipeline().encode(&env.pipeline().row(&event).unwrap()).unwrap();
    record.timestamp = Some(timestamp);
    record
}

/// Writes records as an idempotent producer does: of its last batch the cleaner leaves the empty frame.
async fn produce_idempotently(wire: &mut Wire, env: &ConsumerEnv, records: Vec<outbox_core::record::Record>) {
    // A broker that has just started has none to give for a while.
    let producer = eventually("a producer id".to_owned(), async || {
        let begin = InitProducerIdRequest::default().with_transactional_id(None).with_producer_id(ProducerId(-1));
        let producer = wire.call(1, begin.with_producer_epoch(-1)).await;
        if producer.error_code == 0 { Ok(producer) } else { Err(producer.error_code) }
    })
    .await;
    let of = |(sequence, sent): (i32, outbox_core::record::Record)| Record {
        producer_id: producer.producer_id.0,
        producer_epoch: producer.producer_epoch,
        sequence,
        offset: i64::from(sequence),
        ..routed(sent)
    };
    let records: Vec<Record> = (0..).zip(records).map(of).collect();
    wire.produce(env, &records, None).await;
}

#[tokio::test]
async fn a_position_moves_over_offsets_that_compaction_and_deletion_have_emptied() {
    let env = ConsumerEnv::without_topic().await;
    let mut wire = Wire::connect(env.brokers()).await;
    create_compacted_topic(&mut wire, &env).await;

    // Each record is a minute behind the last, and so begins a segment: all but the last are closed.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let begin = i64::try_from(now.as_millis()).unwrap() - 3_600_000;
    let at = |minute: i64| begin + minute * 60_000;
    for (minute, order) in [1, 2].into_iter().enumerate() {
        let minute = i64::try_from(minute).unwrap();
        env.produce_record(0, event(&env, order, 0, at(minute))).await;
    }

    let running = Running::start(env.consumer().on(store).build().unwrap());
    env.position(0, 2).await;
    running.stop().await.unwrap();
    let batch = (1..=3).map(|step| event(&env, 1, step, at(2))).collect();
    produce_idempotently(&mut wire, &env, batch).await;
    for (minute, (order, step)) in (3..).zip([(1, 4), (1, 5), (3, 0), (1, 6), (2, 1)]) {
        env.produce_record(0, event(&env, order, step, at(minute))).await;
    }

    let partition = env.kafka().partition_client(env.topic(), 0, UnknownTopicHandling::Retry).await.unwrap();
    // A fetch ends with its segment, and the last record has its own segment.
    eventually("compacted".to_owned(), async || {
        let (records, _) = partition.fetch_records(0, 1..1 << 20, 100).await.unwrap();
        let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
        if offsets == [1, 7, 8] { Ok(()) } else { Err(offsets) }
    })
    .await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    env.position(0, 10).await;
    let mut rest = env.steps(5).await.split_off(2);
    rest.sort_unstable();
    assert_eq!(rest, [(1, 6), (2, 1), (3, 0)]);

    // Below the position nobody misses it.
    partition.delete_records(9, 10_000).await.unwrap();
    env.produce_order(0, 4).await;
    env.position(0, 11).await;
    assert_eq!(env.effects(6).await, [1, 1, 2, 2, 3, 4]);
    running.stop().await.unwrap();
    // A group that has not read what is gone begins at what is there, and one that stands before it is reported.
    let other = Running::start(env.consumer().group("other").on(store).build().unwrap());
    assert_eq!(env.effects(8).await, [1, 1, 2, 2, 2, 3, 4, 4]);
    other.stop().await.unwrap();
    env.group().move_position(env.topic(), 0, 5, MovePolicy::Respect).await.unwrap();
    let running = Running::start(env.consumer().on(store).build().unwrap());
    let why = env.stopped(0).await;
    assert!(why.contains("offset 5") && why.contains("retention has removed it"), "{why}");
    assert!(running.stop().await.unwrap_err().is_record());
}
