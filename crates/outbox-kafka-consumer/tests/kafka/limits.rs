//! The bounds of a process, whatever the number of its partitions.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{HandlerResult, Received, with};

use crate::env::{ConsumerEnv, OrderCreated, Running, produce_to};
use crate::positions::store;

#[derive(Default)]
struct Calls {
    now: AtomicUsize,
    most: AtomicUsize,
}

async fn slow(calls: &&'static Calls, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let now = calls.now.fetch_add(1, Ordering::SeqCst) + 1;
    calls.most.fetch_max(now, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    calls.now.fetch_sub(1, Ordering::SeqCst);
    store(tx, event).await
}

async fn fill(env: &ConsumerEnv, partitions: i32, orders: i64) {
    for partition in 0..partitions {
        let order = |n| OutboxEvent::from_event(&OrderCreated { order_id: n, step: 0 }).build().unwrap();
        let first = i64::from(partition) * orders;
        let events: Vec<OutboxEvent> = (first..first + orders).map(order).collect();
        produce_to(env.brokers(), env.pipeline(), partition, &events).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_handlers_run_at_a_time_than_the_process_may() {
    let env = ConsumerEnv::with_partitions(4).await;
    fill(&env, 4, 8).await;
    let calls: &'static Calls = Box::leak(Box::default());
    let consumer = env.consumer().concurrency(NonZeroUsize::new(2).unwrap()).max_batch_size(NonZeroUsize::MIN);
    let running = Running::start(consumer.on(with(calls, slow)).build().unwrap());
    assert_eq!(env.effects(32).await, (0..32).collect::<Vec<_>>());
    running.stop().await.unwrap();
    assert_eq!(calls.most.load(Ordering::SeqCst), 2, "of 16 lanes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_larger_than_the_memory_of_the_process_are_handled() {
    let env = ConsumerEnv::with_partitions(2).await;
    fill(&env, 2, 500).await;
    let running = Running::start(env.consumer().max_memory(1).on(store).build().unwrap());
    assert_eq!(env.effects(1_000).await, (0..1_000).collect::<Vec<_>>());
    running.stop().await.unwrap();
}

/// Positions follow about once a second. Inbox and epoch keep effects exact.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_do_not_write_the_position() {
    let env = ConsumerEnv::with_partitions(1).await;
    let client = env.client().await;
    let count = "CREATE TABLE moved (n bigint);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO moved VALUES (1); RETURN NULL; END$$;
         CREATE TRIGGER note AFTER UPDATE ON outbox.consumer_position FOR EACH ROW EXECUTE FUNCTION note()";
    client.batch_execute(count).await.unwrap();
    fill(&env, 1, 400).await;
    let since = Instant::now();
    let running = Running::start(env.consumer().max_batch_size(NonZeroUsize::MIN).on(store).build().unwrap());
    assert_eq!(env.effects(400).await.len(), 400);
    running.stop().await.unwrap();

    let sql = "SELECT (SELECT count(*) FROM moved), (SELECT count(DISTINCT xmin::text) FROM effect)";
    let row = client.query_one(sql, &[]).await.unwrap();
    let (moves, transactions): (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(transactions, 400);
    // On a busy machine, a transaction may take a second.
    let seconds = i64::try_from(since.elapsed().as_secs()).unwrap();
    let most = (transactions / 4).max(seconds);
    assert!(moves < most, "{moves} writes of the position for {transactions} transactions in {seconds} s");
}
