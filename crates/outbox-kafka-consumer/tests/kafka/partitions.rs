//! Topics whose number of partitions changes while events are held.

use std::collections::HashSet;
use std::sync::Mutex;

use kafka_protocol::messages::CreatePartitionsRequest;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{
    Consumer, EventState, HandlerError, HandlerResult, MovePolicy, Received, RetryPolicy, with,
};
use outbox_test_support::{connect_kafka, eventually};
use outbox_testkit::Broker;

use crate::env::{ConsumerEnv, LEASE, OrderCreated, Running};
use crate::positions::store;
use crate::wire::{Wire, topic_name};

type Seen = Mutex<HashSet<i64>>;

/// Fails each order's first step once.
async fn fails_first(seen: &Seen, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let OrderCreated { order_id, step } = *event.event();
    store(tx, event).await?;
    if step == 0 && seen.lock().unwrap().insert(order_id) {
        return Err("not at first".into());
    }
    Ok(())
}

/// The state after the number of partitions was raised: the later events of each key are in another partition.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_events_of_keys_that_have_moved_to_another_partition_take_effect_once_and_none_stays() {
    const ORDERS: i64 = 40;
    let env = ConsumerEnv::with_partitions(2).await;
    let policy = RetryPolicy::new(|_, _| Some(std::time::Duration::from_millis(20)));
    let running = Running::start(env.consumer().retry(policy).on(with(Seen::default(), fails_first)).build().unwrap());
    for order in 0..ORDERS {
        env.produce_step(0, order, 0).await;
        env.produce_step(1, order, 1).await;
        env.produce_step(1, order, 2).await;
    }
    env.position(0, ORDERS).await;
    env.position(1, 2 * ORDERS).await;
    env.held(EventState::Parked, 0).await;
    running.stop().await.unwrap();

    let mut steps = env.steps(3 * ORDERS as usize).await;
    let later: Vec<_> = steps.iter().filter(|(_, step)| *step > 0).copied().collect();
    for order in 0..ORDERS {
        assert!(later.iter().filter(|(found, _)| *found == order).is_sorted(), "{later:?}");
    }
    steps.sort_unstable();
    let expected: Vec<(i64, i64)> = (0..ORDERS).flat_map(|order| (0..3).map(move |step| (order, step))).collect();
    assert_eq!(steps, expected);
}

/// Raises the number of partitions of a topic.
async fn raise_partitions(env: &ConsumerEnv, count: i32) {
    let topic = CreatePartitionsTopic::default().with_name(topic_name(env)).with_count(count).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    let answer = Wire::connect(env.brokers()).await.call(1, request).await;
    assert_eq!(answer.results[0].error_code, 0);
}

#[tokio::test]
async fn a_partition_that_is_added_is_read_and_a_parked_event_blocks_its_key_there() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_step(0, 7, 0).await;
    let running = Running::start(env.consumer().on(rejects).build().unwrap());
    let dead = env.held(EventState::Dead, 1).await;
    raise_partitions(&env, 2).await;
    // The leader of the new partition is elected.
    eventually("the new partition".to_owned(), async || {
        let topics = env.kafka().list_topics().await.unwrap();
        let found =
            topics.into_iter().find(|topic| topic.name == env.topic()).map_or(0, |topic| topic.partitions.len());
        if found == 2 { Ok(()) } else { Err(found) }
    })
    .await;
    env.produce_step(1, 7, 1).await;
    env.produce_step(1, 8, 1).await;
    assert_eq!(env.steps(1).await, [(8, 1)]);
    env.position(1, 2).await;
    env.held(EventState::Parked, 1).await;

    env.group().discard(dead[0].id).await.unwrap();
    assert_eq!(env.steps(2).await, [(8, 1), (7, 1)]);
    env.held(EventState::Parked, 0).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_is_deleted_is_not_created_again_and_its_leases_go() {
    let env = ConsumerEnv::without_topic().await;
    // Any request for metadata by a client that lets topics be created would create it.
    let broker = Broker::start().await.unwrap();
    broker.create_topic(env.topic(), 2).unwrap();

    let consumer = Consumer::builder([broker.address()]).pipeline(env.pipeline().clone()).group("test");
    let running = Running::start(consumer.pool(env.pool()).lease_ttl(LEASE).on(store).build().unwrap());
    let client = env.client().await;
    let rows = async |table: &str, count: i64| {
        eventually(format!("{count} rows of {table}"), async || {
            let row = client.query_one(&format!("SELECT count(*) FROM outbox.consumer_{table}"), &[]).await.unwrap();
            let found: i64 = row.get(0);
            if found == count { Ok(()) } else { Err(found) }
        })
        .await;
    };
    rows("lease", 2).await;
    // rskafka has opened the partitions. The request by which it does would create the topic.
    rows("position", 2).await;

    let kafka = connect_kafka(&broker.address()).await;
    kafka.controller_client().unwrap().delete_topic(env.topic(), 5_000).await.unwrap();
    rows("lease", 0).await;
    assert!(broker.create_topic(env.topic(), 1).is_ok(), "the topic was created again");
    running.stop().await.unwrap();
}

async fn rejects(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    match event.event().step {
        0 => Err(HandlerError::reject("the first step")),
        _ => store(tx, event).await,
    }
}

#[tokio::test]
async fn what_is_kept_of_partitions_that_no_longer_exist_is_removed_and_their_held_events_are_kept() {
    let env = ConsumerEnv::with_partitions(2).await;
    env.produce_step(1, 7, 0).await;
    env.produce_step(1, 7, 1).await;
    let running = Running::start(env.consumer().on(rejects).build().unwrap());
    env.position(1, 2).await;
    env.position(0, 0).await;
    running.stop().await.unwrap();
    env.delete_topic().await;
    env.create_topic(1).await;
    env.group().move_position(env.topic(), 0, 0, MovePolicy::Respect).await.unwrap();

    let running = Running::start(env.consumer().on(rejects).build().unwrap());
    let client = env.client().await;
    eventually("rows of partition 0 only".to_owned(), async || {
        let sql = "SELECT (SELECT array_agg(partition) FROM outbox.consumer_lease),
                          (SELECT array_agg(partition) FROM outbox.consumer_position)";
        let row = client.query_one(sql, &[]).await.unwrap();
        let found: (Vec<i32>, Vec<i32>) = (row.get(0), row.get(1));
        if found == (vec![0], vec![0]) { Ok(()) } else { Err(found) }
    })
    .await;
    // The owner of partition 0 carries out what is asked for.
    let dead = env.held(EventState::Dead, 1).await;
    env.group().discard(dead[0].id).await.unwrap();
    assert_eq!(env.steps(1).await, [(7, 1)]);
    env.held(EventState::Parked, 0).await;
    running.stop().await.unwrap();
}
