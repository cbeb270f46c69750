//! Rolling updates: consumers of two versions in one group, and topics that appear while the group exists.

use outbox_core::{DomainEvent, OutboxEvent};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{EventState, FailureKind, HandlerResult, InitialOffset, Received};
use outbox_test_support::eventually;

use crate::env::{ConsumerEnv, OrderCreated, Running};
use crate::positions::store;

#[derive(serde::Serialize, serde::Deserialize)]
struct Paid {
    order_id: i64,
}

impl DomainEvent for Paid {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "Paid";

    fn aggregate_id(&self) -> String {
        self.order_id.to_string()
    }
}

async fn pay(tx: &Transaction<'_>, event: Received<Paid>) -> HandlerResult {
    tx.execute("INSERT INTO effect (order_id, step) VALUES ($1, 0)", &[&event.event().order_id]).await?;
    Ok(())
}

/// Reads all versions.
async fn store_any(tx: &Transaction<'_>, event: Received<()>) -> HandlerResult {
    let OrderCreated { order_id, step } = event.envelope().payload.json()?;
    tx.execute("INSERT INTO effect (order_id, step) VALUES ($1, $2)", &[&order_id, &step]).await?;
    Ok(())
}

#[tokio::test]
async fn events_of_a_newer_version_wait_for_the_newer_program_and_their_keys_keep_their_order() {
    let env = ConsumerEnv::with_partitions(1).await;
    let newer = OutboxEvent::builder("order", "1", OrderCreated::EVENT_TYPE).schema_version(4);
    env.produce(0, &newer.json("{\"order_id\":1,\"step\":0}").build().unwrap()).await;
    env.produce_step(0, 1, 1).await;
    env.produce_order(0, 2).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert_eq!(env.steps(1).await, [(2, 0)]);
    env.position(0, 3).await;
    let held = env.held(EventState::Parked, 2).await;
    assert_eq!((held[0].offset, held[0].kind), (0, FailureKind::Unhandled));
    running.stop().await.unwrap();

    let newer = env.consumer().on_raw("order", OrderCreated::EVENT_TYPE, store_any);
    let running = Running::start(newer.build().unwrap());
    assert_eq!(env.steps(3).await, [(2, 0), (1, 0), (1, 1)]);
    env.held(EventState::Parked, 0).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_event_type_that_another_consumer_of_the_group_handles_is_held_and_not_ignored() {
    let env = ConsumerEnv::with_partitions(2).await;
    let owners = async |count: i64| {
        let client = env.client().await;
        eventually(format!("{count} owners"), async || {
            let sql = "SELECT count(DISTINCT owner) FROM outbox.consumer_lease WHERE owner IS NOT NULL";
            let found: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
            if found == count { Ok(()) } else { Err(found) }
        })
        .await;
    };
    let new = Running::start(env.consumer().on(store).on(pay).build().unwrap());
    owners(1).await;

    let old = Running::start(env.consumer().on(store).build().unwrap());
    owners(2).await;
    for partition in [0, 1] {
        let paid = Paid { order_id: i64::from(partition) };
        env.produce(partition, &OutboxEvent::from_event(&paid).build().unwrap()).await;
        // Nobody in the group has a handler for this one.
        env.produce(partition, &OutboxEvent::builder("order", "9", "Unknown").build().unwrap()).await;
        env.position(partition, 2).await;
    }

    assert_eq!(env.effects(1).await.len(), 1);
    env.held(EventState::Parked, 1).await;

    old.stop().await.unwrap();
    assert_eq!(env.effects(2).await, [0, 1]);
    env.held(EventState::Parked, 0).await;
    new.stop().await.unwrap();
}

#[tokio::test]
async fn a_group_that_begins_at_the_latest_record_gets_the_first_event_of_a_topic_that_appears_later() {
    let env = ConsumerEnv::without_topic().await;
    let consumer = || Running::start(env.consumer().initial_offset(InitialOffset::Latest).on(store).build().unwrap());
    let running = consumer();
    let client = env.client().await;
    eventually("a look at the topics".to_owned(), async || {
        let sql = "SELECT first_partitions FROM outbox.consumer_subscription WHERE topic = $1";
        let row = client.query_opt(sql, &[&env.topic()]).await.unwrap();
        row.filter(|row| row.get::<_, i32>(0) == 0).map(drop).ok_or(())
    })
    .await;

    // Its first events are there before a consumer sees it.
    running.stop().await.unwrap();
    env.create_topic(1).await;
    env.produce_order(0, 1).await;
    let running = consumer();

    assert_eq!(env.effects(1).await, [1]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_group_that_begins_at_the_latest_record_gets_the_first_event_of_a_partition_that_appears_later() {
    let env = ConsumerEnv::with_partitions(2).await;
    // As if the topic had had one partition when the group first looked.
    let sql = "INSERT INTO outbox.consumer_subscription VALUES ('test', $1, 1)";
    env.client().await.execute(sql, &[&env.topic()]).await.unwrap();
    for partition in [0, 1] {
        env.produce_order(partition, i64::from(partition)).await;
    }
    let running = Running::start(env.consumer().initial_offset(InitialOffset::Latest).on(store).build().unwrap());
    env.position(0, 1).await;
    env.position(1, 1).await;
    assert_eq!(env.effects(1).await, [1]);
    running.stop().await.unwrap();
}
