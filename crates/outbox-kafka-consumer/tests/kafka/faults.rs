//! Whose fault a failure is: the event's, another transaction's, or that of the connection to the store.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox_kafka_consumer::deadpool_postgres::{Pool, Transaction};
use outbox_kafka_consumer::{EventState, FailureKind, HandlerError, HandlerResult, Received, RetryPolicy, with};

use crate::driver::{self, DRIVERS, Tx, consumer, each};
use crate::env::{ConsumerEnv, OrderCreated, Running};
use crate::positions::store;

/// Creates state that a test reads while its handler has it.
pub(crate) fn shared<T>(state: T) -> &'static T {
    Box::leak(Box::new(state))
}

struct Conflicts {
    calls: AtomicU32,
    pool: Pool,
}

/// Loses its first transaction, in another database, to a deadlock.
async fn loses_once(state: &&'static Conflicts, _: Received<OrderCreated>) -> HandlerResult {
    if state.calls.fetch_add(1, Ordering::Relaxed) == 0 {
        let deadlock = "DO $$BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END$$";
        state.pool.get().await?.batch_execute(deadlock).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_handler_outside_the_transaction_that_loses_a_conflict_is_called_again() {
    let env = ConsumerEnv::with_partitions(1).await;
    let state = shared(Conflicts { calls: AtomicU32::new(0), pool: env.pool() });
    env.produce_order(0, 1).await;
    let consumer = env.consumer().retry(RetryPolicy::never()).on_side_effect(with(state, loses_once));
    let running = Running::start(consumer.build().unwrap());
    env.position(0, 1).await;
    running.stop().await.unwrap();
    assert!(state.calls.load(Ordering::Relaxed) >= 2);
    assert_eq!(env.inbox().await, ["handled"]);
}

const END_SESSION: &str = "SELECT pg_terminate_backend(pg_backend_pid())";
const LATER: Duration = Duration::from_secs(3600);

/// Returns a policy of three attempts, quickly.
fn three() -> RetryPolicy {
    RetryPolicy::new(|attempt, _| (attempt < 3).then_some(Duration::from_millis(10)))
}

fn raise(state: &str) -> String {
    format!("DO $$BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{state}'; END$$")
}

/// Fails as a handler does at another server, in a way that the order selects.
async fn ask_other(other: &Pool, order: i64) -> HandlerResult {
    let other = other.get().await?;
    match order {
        1 => other.batch_execute(END_SESSION).await?,
        2 => {
            let lost = other.batch_execute(END_SESSION).await.unwrap_err();
            return Err(HandlerError::retry_after(LATER, lost));
        }
        3 => {
            let conflict = other.batch_execute(&raise("40001")).await.unwrap_err();
            return Err(HandlerError::reject(conflict));
        }
        4 => {
            let conflict = other.batch_execute(&raise("40P01")).await.unwrap_err();
            return Err(HandlerError::retry_after(LATER, conflict));
        }
        _ => {}
    }
    Ok(())
}

async fn inside(other: &Pool, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let order = event.event().order_id;
    ask_other(other, order).await?;
    match order {
        // postgres_fdw raises this if the server of a foreign table cannot be reached.
        5 => tx.batch_execute(&raise("08001")).await?,
        6 => {
            let lost = tx.batch_execute(END_SESSION).await.unwrap_err();
            return Err(HandlerError::retry_after(LATER, lost));
        }
        _ => {}
    }
    store(tx, event).await
}

async fn outside(other: &Pool, event: Received<OrderCreated>) -> HandlerResult {
    ask_other(other, event.event().order_id).await
}

/// Returns offset, attempts and kind of the held events.
async fn held(env: &ConsumerEnv, state: EventState, count: usize) -> Vec<(i64, u32, FailureKind)> {
    let mut held: Vec<_> =
        env.held(state, count).await.into_iter().map(|held| (held.offset, held.attempts, held.kind)).collect();
    held.sort_unstable_by_key(|(offset, ..)| *offset);
    held
}

#[tokio::test]
async fn an_error_of_another_server_belongs_to_its_event() {
    let env = ConsumerEnv::with_partitions(1).await;
    // A foreign server cannot be reached at COMMIT.
    let deferred = "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '08006'; END$$;
         CREATE CONSTRAINT TRIGGER away AFTER INSERT ON effect DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.order_id = 7) EXECUTE FUNCTION away()";
    env.client().await.batch_execute(deferred).await.unwrap();
    for order in 0..=8 {
        env.produce_order(0, order).await;
    }

    let consumer = env.consumer().retry(three()).on(with(env.pool(), inside)).build().unwrap();
    let running = Running::start(consumer);
    assert_eq!(env.effects(2).await, [0, 8]);

    let failed = |offset, attempts| (offset, attempts, FailureKind::Failed);
    let dead = [failed(1, 3), (3, 1, FailureKind::Rejected), failed(5, 3), failed(7, 3)];
    assert_eq!(held(&env, EventState::Dead, 4).await, dead);
    assert_eq!(held(&env, EventState::Parked, 3).await, [failed(2, 1), failed(4, 1), failed(6, 1)]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_error_outside_the_transaction_belongs_to_its_event() {
    let env = ConsumerEnv::with_partitions(1).await;
    for order in 0..=4 {
        env.produce_order(0, order).await;
    }
    let consumer = env.consumer().retry(three()).on_side_effect(with(env.pool(), outside)).build().unwrap();
    let running = Running::start(consumer);
    let failed = |offset, attempts| (offset, attempts, FailureKind::Failed);
    assert_eq!(held(&env, EventState::Dead, 2).await, [failed(1, 3), (3, 1, FailureKind::Rejected)]);
    assert_eq!(held(&env, EventState::Parked, 2).await, [failed(2, 1), failed(4, 1)]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_loss_of_the_stores_connection_costs_no_attempt_whatever_the_handler_makes_of_it() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        async fn hides(calls: &AtomicU32, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
            if calls.fetch_add(1, Ordering::Relaxed) == 0 {
                tx.run(END_SESSION).await.unwrap_err();
                return Err("the ledger is not available".into());
            }
            assert!(event.is_redelivery() && event.attempt() == 1);
            driver::store(tx, event).await
        }

        env.produce_order(0, 1).await;
        let calls = shared(AtomicU32::new(0));
        let handler = each(move |tx, event| Box::pin(hides(calls, tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler), retry(RetryPolicy::never())));

        assert_eq!(env.effects(1).await, [1]);
        env.held(EventState::Dead, 0).await;
        running.stop().await.unwrap();
    }
}

/// Stops waiting for a statement at order 13, which PostgreSQL then refuses.
async fn abandons(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    if event.event().order_id == 13 {
        let refused = tx.run("SELECT pg_sleep(0.3); SELECT 1 / 0");
        _ = tokio::time::timeout(Duration::from_millis(10), refused).await;
        return Ok(());
    }
    driver::store(tx, event).await
}

#[tokio::test]
async fn a_statement_that_fails_after_its_handler_has_stopped_waiting_is_the_events_fault() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        for order in [1, 13, 2] {
            env.produce_order(0, order).await;
        }
        let handler = each(|tx, event| Box::pin(abandons(tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler), retry(RetryPolicy::never())));
        let dead = env.held(EventState::Dead, 1).await;
        assert!(dead[0].offset == 1 && dead[0].error.contains("refused one of its statements"), "{driver:?}: {dead:?}");
        assert_eq!(env.effects(2).await, [1, 2]);
        env.position(0, 3).await;
        running.stop().await.unwrap();
    }
}

/// Ends its transaction by SQL at order 13, and returns no error.
async fn ends(sql: &str, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    let is_bad = event.event().order_id == 13;
    driver::store(tx, event).await?;
    if is_bad {
        _ = tx.run(sql).await;
    }
    Ok(())
}

/// Ends its transaction by SQL at order 13, and returns the statement's error, or another one after it.
async fn ends_and_fails(sql: &str, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    let is_bad = event.event().order_id == 13;
    driver::store(tx, event).await?;
    if is_bad {
        tx.run(sql).await?;
        return Err("not today".into());
    }
    Ok(())
}

#[tokio::test]
async fn a_handler_that_ends_its_transaction_pauses_its_partition_and_loses_nothing() {
    for driver in DRIVERS {
        for (sql, fails) in
            [("COMMIT", false), ("COMMIT", true), ("ROLLBACK", false), ("ROLLBACK", true), ("COMMIT; BEGIN", false)]
        {
            let env = ConsumerEnv::with_partitions(1).await;
            let pool = driver.pool(env.url(), 16);
            for order in [1, 13, 2] {
                env.produce_order(0, order).await;
            }

            let handler = if fails {
                each(|tx, event| Box::pin(ends_and_fails(sql, tx, event)))
            } else {
                each(|tx, event| Box::pin(ends(sql, tx, event)))
            };
            let running = Running::start(consumer!(pool, env, on(handler)));
            let why = env.stopped(0).await;
            assert!(why.contains("offset 1") && why.contains("ended its transaction"), "{driver:?}, {sql}: {why}");
            assert_eq!(running.stop().await.unwrap_err().position(), Some((env.topic(), 0, 1)));
            env.held(EventState::Dead, 0).await;
            env.held(EventState::Parked, 0).await;

            // The handler is repaired: every event takes effect.
            let running = Running::start(env.consumer().on(store).build().unwrap());
            env.position(0, 3).await;
            let mut effects = env.effects(3).await;
            effects.dedup();
            assert_eq!(effects, [1, 2, 13], "{sql}");
            running.stop().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_handler_that_rolls_back_a_held_event_pauses_its_partition_and_the_event_stays_held() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn rolls_back(calls: &AtomicU32, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err("not today".into());
        }
        store(tx, event).await?;
        tx.batch_execute("ROLLBACK").await?;
        Ok(())
    }

    env.produce_order(0, 1).await;
    let running = Running::start(env.consumer().on(with(AtomicU32::new(0), rolls_back)).build().unwrap());

    assert!(env.stopped(0).await.contains("ended its transaction"));
    running.stop().await.unwrap_err();
    env.held(EventState::Parked, 1).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert_eq!(env.effects(1).await, [1]);
    env.held(EventState::Parked, 0).await;
    running.stop().await.unwrap();
}
