//! Whose fault a failure is: the event's, another transaction's, or that of the connection to the store.

use std::sync::atomic::{AtomicU32, Ordering};

use outbox_kafka_consumer::deadpool_postgres::Pool;
use outbox_kafka_consumer::{HandlerResult, Received, RetryPolicy, with};

use crate::bench::{Bench, OrderCreated, Running};

/// State that a test reads while its handler has it.
fn shared<T>(state: T) -> &'static T {
    Box::leak(Box::new(state))
}

struct Conflicts {
    calls: AtomicU32,
    pool: Pool,
}

/// Loses its first transaction, in a database of its own, to a deadlock.
async fn loses_once(state: &&'static Conflicts, _: Received<OrderCreated>) -> HandlerResult {
    if state.calls.fetch_add(1, Ordering::Relaxed) == 0 {
        let deadlock = "DO $$BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END$$";
        state.pool.get().await?.batch_execute(deadlock).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_handler_outside_the_transaction_that_loses_a_conflict_is_called_again() {
    let bench = Bench::with_partitions(1).await;
    let state = shared(Conflicts { calls: AtomicU32::new(0), pool: bench.pool() });
    bench.produce_order(0, 1).await;
    let consumer = bench.consumer().retry(RetryPolicy::never()).on_at_least_once(with(state, loses_once));
    let running = Running::start(consumer.build().unwrap());
    bench.position(0, 1).await;
    running.stop().await.unwrap();
    assert_eq!(state.calls.load(Ordering::Relaxed), 2);
    assert_eq!(bench.inbox().await, ["handled"]);
}
