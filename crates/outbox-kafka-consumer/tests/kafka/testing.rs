//! The testing support that users have, used as they use it.

use std::sync::Mutex;
use std::time::Duration;

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::testing::{Delivered, Trial, Watch};
use outbox_kafka_consumer::{EventState, FailureKind, HandlerError, HandlerResult, Received, RetryPolicy, with};

use crate::batches::produce_orders;
use crate::env::{ConsumerEnv, OrderCreated, Running};
use crate::faults::shared;
use crate::positions::store;

type Seen = Mutex<Vec<(i64, u32, bool)>>;

/// Stores all but order 13, and fails order 14 twice.
async fn handle(seen: &&'static Seen, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let (order, attempt) = (event.event().order_id, event.attempt());
    seen.lock().unwrap().push((order, attempt, event.is_redelivery()));
    store(tx, event).await?;
    match order {
        13 => Err(HandlerError::reject("unlucky")),
        14 if attempt < 3 => Err("not today".into()),
        _ => Ok(()),
    }
}

fn order(order_id: i64) -> OutboxEvent {
    OutboxEvent::from_event(&OrderCreated { order_id, step: 0 }).build().unwrap()
}

async fn effects(trial: &Trial<'_>) -> i64 {
    trial.transaction().query_one("SELECT count(*) FROM effect", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_trial_delivers_events_duplicates_crashes_and_failures_and_commits_nothing() {
    let env = ConsumerEnv::without_topic().await;
    let seen: &'static Seen = shared(Seen::default());
    let retry = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(60), 9);
    let consumer = env.consumer().retry(retry).on(with(seen, handle)).build().unwrap();
    let pool = env.pool();
    let mut client = pool.get().await.unwrap();
    let mut trial = Trial::begin(&consumer, &mut client).await.unwrap();

    let first = order(1);
    assert_eq!(trial.deliver_and_crash(&first).await.unwrap(), Delivered::Handled);
    assert_eq!(effects(&trial).await, 0);
    assert_eq!(trial.deliver(&first).await.unwrap(), Delivered::Handled);
    assert_eq!(trial.deliver(&first).await.unwrap(), Delivered::Duplicate);
    assert_eq!(effects(&trial).await, 1);

    let failed = trial.deliver(&order(13)).await.unwrap_err();
    assert_eq!((failed.kind(), failed.retry_in(), &*failed.to_string()), (FailureKind::Rejected, None, "unlucky"));
    let flaky = order(14);
    assert_eq!(trial.deliver(&flaky).await.unwrap_err().retry_in(), Some(Duration::from_secs(1)));
    assert_eq!(trial.deliver(&flaky).await.unwrap_err().retry_in(), Some(Duration::from_secs(2)));
    assert_eq!(trial.deliver(&flaky).await.unwrap(), Delivered::Handled);
    assert_eq!(effects(&trial).await, 2);

    let unknown = OutboxEvent::builder("order", "1", "Unknown").build().unwrap();
    assert_eq!(trial.deliver(&unknown).await.unwrap(), Delivered::Ignored);
    let unreadable = OutboxEvent::builder("order", "1", "OrderCreated").schema_version(3).json("{}").build().unwrap();
    assert_eq!(trial.deliver(&unreadable).await.unwrap_err().kind(), FailureKind::Undecodable);

    drop(trial);
    drop(client);
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[..2], [(1, 1, false), (1, 1, true)]);
    assert_eq!(seen[3..], [(14, 1, false), (14, 2, true), (14, 3, true)]);
    let count = env.client().await.query_one("SELECT count(*) FROM effect", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_trial_calls_batch_handlers_and_those_outside_of_a_transaction() {
    let env = ConsumerEnv::without_topic().await;
    async fn all(tx: &Transaction<'_>, events: Vec<Received<OrderCreated>>) -> HandlerResult {
        let count = i64::try_from(events.len())?;
        tx.execute("INSERT INTO effect (order_id) SELECT generate_series(1, $1::bigint)", &[&count]).await?;
        Ok(())
    }
    let consumer = env.consumer().on_batch(all).build().unwrap();
    let pool = env.pool();
    let mut client = pool.get().await.unwrap();
    let mut trial = Trial::begin(&consumer, &mut client).await.unwrap();
    let events = [order(1), order(2), order(3)];
    assert_eq!(trial.deliver(&events[0]).await.unwrap(), Delivered::Handled);
    assert_eq!(trial.deliver_all(&events).await.unwrap(), Delivered::Handled);
    assert_eq!(effects(&trial).await, 3);
    drop(trial);

    let seen: &'static Mutex<Vec<i64>> = shared(Mutex::default());
    async fn outside(seen: &&'static Mutex<Vec<i64>>, event: Received<OrderCreated>) -> HandlerResult {
        seen.lock().unwrap().push(event.event().order_id);
        Ok(())
    }
    let consumer = env.consumer().on_side_effect(with(seen, outside)).build().unwrap();
    let mut trial = Trial::begin(&consumer, &mut client).await.unwrap();
    trial.deliver_and_crash(&order(7)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [7]);
}

#[tokio::test]
async fn a_watch_waits_until_everything_is_handled_and_no_attempt_is_left() {
    let env = ConsumerEnv::with_partitions(2).await;
    produce_orders(&env, 10..20).await;
    env.produce_order(1, 1).await;
    let consumer = env.consumer().on(with(shared(Seen::default()), handle)).build().unwrap();
    let watch = Watch::new(&consumer);
    let running = Running::start(consumer);
    watch.idle().await.unwrap();
    // Without waiting: the dead letter is not waited for, the attempts of the other order are.
    let orders: Vec<i64> = (10..20).filter(|order| *order != 13).collect();
    assert_eq!(env.effects(1).await, [&[1], &orders[..]].concat());
    env.held(EventState::Dead, 1).await;
    running.stop().await.unwrap();
}
