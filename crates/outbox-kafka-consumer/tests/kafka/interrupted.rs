//! Trouble of one part of a partition while handlers of another part run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{Consumer, EventState, HandlerResult, Received, RetryPolicy, with};
use outbox_test_support::eventually;
use outbox_testkit::{Broker, Fault, ResponseError};
use tokio::sync::Semaphore;

use crate::env::{ConsumerEnv, OrderCreated, Running, patient, produce_to};

/// Calls of a handler outside of the database; that of order 1 waits for a permit.
struct Calls {
    seen: Mutex<Vec<i64>>,
    permit: Semaphore,
    has_failed: AtomicBool,
}

impl Calls {
    fn leaked() -> &'static Self {
        let (seen, permit, has_failed) = (Mutex::default(), Semaphore::new(0), AtomicBool::new(false));
        Box::leak(Box::new(Self { seen, permit, has_failed }))
    }

    async fn seen(&self, expected: &[i64]) {
        eventually(format!("the calls {expected:?}"), async || {
            let seen = self.seen.lock().unwrap().clone();
            if seen == expected { Ok(()) } else { Err(seen) }
        })
        .await;
    }
}

async fn call(calls: &&'static Calls, event: Received<OrderCreated>) -> HandlerResult {
    let order = event.event().order_id;
    calls.seen.lock().unwrap().push(order);
    if order == 1 {
        calls.permit.acquire().await?.forget();
    }
    Ok(())
}

fn order(order_id: i64) -> OutboxEvent {
    OutboxEvent::from_event(&OrderCreated { order_id, step: 0 }).build().unwrap()
}

async fn epoch(env: &ConsumerEnv) -> i64 {
    env.client().await.query_one("SELECT epoch FROM outbox.consumer_position", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn handlers_run_on_while_kafka_fails_and_reading_continues_in_the_same_session() {
    let env = ConsumerEnv::without_topic().await;
    let broker = Broker::start().await.unwrap();
    broker.create_topic(env.topic(), 1).unwrap();
    let calls = Calls::leaked();
    let consumer = Consumer::builder([broker.address()]).pipeline(env.pipeline().clone()).group("test");
    let consumer = consumer.pool(env.pool()).retry(patient()).on_side_effect(with(calls, call));
    let running = Running::start(consumer.build().unwrap());
    produce_to(&broker.address(), env.pipeline(), 0, &[order(1)]).await;
    calls.seen(&[1]).await;

    // More often than a reader tries by itself.
    let fault = Fault::reject_fetch(ResponseError::NotLeaderOrFollower).until_lifted();
    let fault = broker.faults().inject(fault);
    fault.until_struck(40).await;
    fault.lift();
    let other_key = (2..100).find(|n| lane(*n) != lane(1)).unwrap();
    produce_to(&broker.address(), env.pipeline(), 0, &[order(other_key)]).await;
    calls.seen(&[1, other_key]).await;
    calls.permit.add_permits(1);
    env.position(0, 2).await;
    calls.seen(&[1, other_key]).await;
    assert_eq!(epoch(&env).await, 1);
    running.stop().await.unwrap();
}

/// Returns the lane of an order, as the consumer deals the orders to its four lanes.
fn lane(order: i64) -> u64 {
    use std::hash::{DefaultHasher, Hasher as _};
    let mut hasher = DefaultHasher::new();
    hasher.write(order.to_string().as_bytes());
    hasher.finish() % 4
}

async fn loses_its_connection(calls: &&'static Calls, tx: &Transaction<'_>, _: Received<()>) -> HandlerResult {
    if !calls.has_failed.swap(true, Ordering::Relaxed) {
        tx.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())").await?;
    }
    Ok(())
}

#[tokio::test]
async fn handlers_of_other_lanes_finish_if_one_lane_loses_its_connection() {
    let env = ConsumerEnv::with_partitions(1).await;
    let calls = Calls::leaked();
    let consumer = env.consumer().retry(RetryPolicy::never()).on_side_effect(with(calls, call));
    let consumer = consumer.on_raw("order", "Other", with(calls, loses_its_connection));
    let running = Running::start(consumer.build().unwrap());
    env.produce_order(0, 1).await;
    calls.seen(&[1]).await;

    let other_key = (2..100).find(|n| lane(*n) != lane(1)).unwrap().to_string();
    env.produce(0, &OutboxEvent::builder("order", other_key, "Other").json("{}").build().unwrap()).await;
    eventually("the loss".to_owned(), async || calls.has_failed.load(Ordering::Relaxed).then_some(()).ok_or(())).await;
    calls.permit.add_permits(1);
    env.position(0, 2).await;
    calls.seen(&[1]).await;
    env.held(EventState::Dead, 0).await;
    running.stop().await.unwrap();
}
