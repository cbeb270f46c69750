//! Failed events, and records that no handler can take. The settings of one handler are in `policies.rs`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox_core::{DomainEvent, OutboxEvent};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{
    DeadLetterMode, EventState, FailureKind, HandlerError, HandlerResult, Received, RecordPolicy, RetryPolicy, with,
};

use crate::driver::{self, DRIVERS, Driver, Each, Tx, consumer, each};
use crate::env::{ConsumerEnv, LEASE, OrderCreated, Running};
use crate::faults::shared;
use crate::positions::store;

/// Fails order 13 this many times.
async fn flaky(left: &AtomicU32, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    let is_bad = event.event().order_id == 13;
    driver::store(tx, event).await?;
    if is_bad && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        return Err("not today".into());
    }
    Ok(())
}

async fn never_13(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    match event.event() {
        OrderCreated { order_id: 13, step: 0 } => Err(HandlerError::reject("13 is unlucky")),
        _ => driver::store(tx, event).await,
    }
}

/// Returns a handler that fails order 13 this many times.
fn flaky_times(times: u32) -> Each {
    let left = shared(AtomicU32::new(times));
    each(move |tx, event| Box::pin(flaky(left, tx, event)))
}

fn of(steps: &[(i64, i64)], order: i64) -> Vec<i64> {
    steps.iter().filter(|(found, _)| *found == order).map(|(_, step)| *step).collect()
}

async fn produce_orders(env: &ConsumerEnv) {
    for step in 0..4 {
        env.produce_step(0, 13, step).await;
        env.produce_step(0, 7, step).await;
    }
}

#[tokio::test]
async fn an_event_that_fails_is_tried_again_and_its_key_keeps_its_order() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        produce_orders(&env).await;
        let running = Running::start(consumer!(pool, env, on(flaky_times(3))));
        let steps = env.steps(8).await;
        assert_eq!((of(&steps, 13), of(&steps, 7)), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
        env.held(EventState::Parked, 0).await;
        env.position(0, 8).await;
        running.stop().await.unwrap();
    }
}

/// Fails the first step of order 13 twice.
async fn slow_and_flaky(left: &AtomicU32, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    tokio::time::sleep(Duration::from_millis(2)).await;
    let is_bad = event.event().order_id == 13;
    if is_bad && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        return Err("not today".into());
    }
    store(tx, event).await
}

/// A worker whose queue is always full.
#[tokio::test]
async fn retries_and_requests_get_their_turn_in_a_backlog() {
    const ORDERS: i64 = 800;
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 13).await;
    crate::batches::produce_orders(&env, 100..100 + ORDERS).await;
    let one = std::num::NonZeroUsize::MIN;
    let consumer = env.consumer().partition_concurrency(one).max_batch_size(one);
    let running = Running::start(consumer.on(with(AtomicU32::new(2), slow_and_flaky)).build().unwrap());
    let steps = env.steps(1 + usize::try_from(ORDERS).unwrap()).await;
    let place = steps.iter().position(|(order, _)| *order == 13).unwrap();
    assert!(place < usize::try_from(ORDERS).unwrap() / 2, "after {place} of {ORDERS} events");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn attempts_are_counted_over_restarts_and_end() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 13).await;
    let hour = Duration::from_secs(3_600);
    let policy = RetryPolicy::exponential(hour, hour, 3);
    let due = "UPDATE outbox.consumer_held SET next_attempt_at = clock_timestamp()";
    for attempts in [1, 2] {
        let pool = DRIVERS[attempts as usize % DRIVERS.len()].pool(env.url(), 16);
        let running = Running::start(consumer!(pool, env, on(flaky_times(9)), retry(policy.clone())));
        outbox_test_support::eventually(format!("{attempts} attempts"), async || {
            let held = env.held(EventState::Parked, 1).await;
            if held[0].attempts == attempts && held[0].error == "not today" { Ok(()) } else { Err(held) }
        })
        .await;
        running.stop().await.unwrap();
        env.client().await.batch_execute(due).await.unwrap();
    }

    let pool = Driver::TokioPostgres.pool(env.url(), 16);
    let running = Running::start(consumer!(pool, env, on(flaky_times(9)), retry(policy)));

    assert_eq!(env.held(EventState::Dead, 1).await[0].attempts, 3);
    running.stop().await.unwrap();
}

/// PostgreSQL has aborted the transaction, and tokio-postgres would answer Ok to its commit.
#[tokio::test]
async fn a_handler_that_swallows_an_sql_error_is_not_taken_for_success() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        async fn careless(attempts: &AtomicU32, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
            driver::store(tx, event).await?;
            if attempts.fetch_add(1, Ordering::Relaxed) < 3 {
                _ = tx.run("INSERT INTO no_such_table VALUES (1)").await;
            }
            Ok(())
        }

        env.produce_order(0, 1).await;
        let attempts = shared(AtomicU32::new(0));
        let handler = each(move |tx, event| Box::pin(careless(attempts, tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler)));
        let held = env.held(EventState::Parked, 1).await;
        assert!(held[0].error.contains("had refused one of its statements"), "{held:?}");
        assert_eq!(env.effects(1).await, [1]);

        running.stop().await.unwrap();
        assert_eq!(env.effects(1).await, [1]);
    }
}

#[tokio::test]
async fn a_rejected_event_blocks_its_key_until_it_is_discarded_and_others_go_on() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        produce_orders(&env).await;
        let handler = each(|tx, event| Box::pin(never_13(tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler)));
        env.position(0, 8).await;
        assert_eq!(env.steps(4).await, [(7, 0), (7, 1), (7, 2), (7, 3)]);

        let dead = env.held(EventState::Dead, 1).await.remove(0);
        assert_eq!(
            (dead.offset, dead.attempts, dead.kind, &*dead.error),
            (0, 1, FailureKind::Rejected, "13 is unlucky")
        );

        env.held(EventState::Parked, 3).await;
        let (_, record) = env.group().show(dead.id).await.unwrap().unwrap();
        assert_eq!(record.value.as_deref(), Some(&b"{\"order_id\":13,\"step\":0}"[..]));
        assert!(record.header("id").is_some() && record.key.as_deref() == Some(&b"13"[..]));
        env.group().discard(dead.id).await.unwrap();
        assert_eq!(of(&env.steps(7).await, 13), [1, 2, 3]);
        assert!(env.group().discard(dead.id).await.unwrap_err().is_refused());
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_letter_is_retried_under_traffic_and_its_key_keeps_its_order() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        async fn mended(is_mended: &AtomicU32, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
            if is_mended.load(Ordering::Relaxed) == 0 {
                never_13(tx, event).await
            } else {
                driver::store(tx, event).await
            }
        }

        let state: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
        let handler = each(move |tx, event| Box::pin(mended(state, tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler)));
        env.produce_step(0, 13, 0).await;
        let dead = env.held(EventState::Dead, 1).await.remove(0);
        for step in 1..20 {
            env.produce_step(0, 13, step).await;
        }
        state.store(1, Ordering::Relaxed);
        env.group().retry(dead.id).await.unwrap();
        for step in 20..60 {
            env.produce_step(0, 13, step).await;
        }

        assert_eq!(of(&env.steps(60).await, 13), (0..60).collect::<Vec<_>>());
        env.held(EventState::Parked, 0).await;
        env.held(EventState::Dead, 0).await;
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_dead_letter_lets_its_key_go_on_where_the_policy_says_so() {
    let env = ConsumerEnv::with_partitions(1).await;
    produce_orders(&env).await;
    let (pool, handler) = (Driver::TokioPostgres.pool(env.url(), 16), each(|tx, event| Box::pin(never_13(tx, event))));
    let running = Running::start(consumer!(pool, env, on(handler), on_failure(DeadLetterMode::ContinueKey)));
    let steps = env.steps(7).await;
    assert_eq!((of(&steps, 13), of(&steps, 7)), (vec![1, 2, 3], vec![0, 1, 2, 3]));
    env.held(EventState::Dead, 1).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_event_and_no_other() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn panics(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        assert!(event.event().order_id != 13, "on purpose");
        store(tx, event).await
    }
    produce_orders(&env).await;
    let running = Running::start(env.consumer().retry(RetryPolicy::never()).on(panics).build().unwrap());
    assert_eq!(env.effects(4).await, [7, 7, 7, 7]);
    let dead = env.held(EventState::Dead, 1).await;
    assert_eq!((dead[0].kind, &*dead[0].error), (FailureKind::Panicked, "the handler panicked: on purpose"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_handler_that_lets_its_transaction_stand_still_fails_its_event() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        async fn sleepy(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
            if event.event().order_id == 13 {
                // PostgreSQL ends a session that is idle in its transaction for almost half of the lease.
                tokio::time::sleep(LEASE).await;
            }
            driver::store(tx, event).await
        }

        env.produce_order(0, 13).await;
        env.produce_order(0, 7).await;
        let handler = each(|tx, event| Box::pin(sleepy(tx, event)));
        let running =
            Running::start(consumer!(pool, env, on(handler), retry(RetryPolicy::never()), lease_ttl(2 * LEASE)));
        assert_eq!(env.held(EventState::Dead, 1).await[0].kind, FailureKind::TimedOut);
        assert_eq!(env.effects(1).await, [7]);
        running.stop().await.unwrap();
    }
}

fn no_uuid(env: &ConsumerEnv) -> outbox_core::record::Record {
    let mut record = env.pipeline().encode(&env.pipeline().row(&event("13", "{}")).unwrap()).unwrap();
    record.headers.push(("hostile\0name".to_owned(), Some(vec![0, 255].into())));
    record.headers[0].1 = Some("no uuid".into());
    record
}

fn no_id(env: &ConsumerEnv) -> outbox_core::record::Record {
    let mut record = no_uuid(env);
    record.headers.retain(|(name, _)| name != "id");
    record.key = Some("99".into());
    record
}

#[tokio::test]
async fn a_record_without_an_event_id_stops_its_partition() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_record(0, no_id(&env)).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    assert!(env.stopped(0).await.contains("no header `id`"));
    assert_eq!(running.stop().await.unwrap_err().position(), Some((env.topic(), 0, 0)));
}

#[tokio::test]
async fn an_undecodable_record_stops_its_partition_and_no_other() {
    let env = ConsumerEnv::with_partitions(2).await;
    env.produce_order(0, 1).await;
    env.produce_record(0, no_uuid(&env)).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());

    assert!(env.stopped(0).await.contains("offset 1"));
    env.produce_order(1, 2).await;
    assert_eq!(env.effects(2).await, [1, 2]);
    env.position(0, 1).await;
    // An operator who has looked at it may go past it.
    env.group().move_position(env.topic(), 0, 2, outbox_kafka_consumer::MovePolicy::Respect).await.unwrap();
    let error = running.stop().await.unwrap_err();
    assert_eq!(error.position(), Some((env.topic(), 0, 1)));
    assert!(error.is_record() && std::error::Error::source(&error).unwrap().to_string().contains("it is not a UUID"));
    env.produce_order(0, 3).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());

    assert_eq!(env.effects(3).await, [1, 2, 3]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_payload_that_is_not_the_handlers_stops_its_partition() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 1).await;
    env.produce(0, &event("1", "{\"order_id\":\"text\"}")).await;
    let running = Running::start(env.consumer().on(store).build().unwrap());
    env.stopped(0).await;
    let error = running.stop().await.unwrap_err();
    assert_eq!(error.position(), Some((env.topic(), 0, 1)));
    assert!(!error.is_transient());
    assert_eq!(env.effects(1).await, [1]);
}

#[tokio::test]
async fn misfits_are_rejected_or_ignored_where_the_policy_says_so() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_record(0, no_uuid(&env)).await;
    env.produce(0, &event("1", "{\"order_id\":\"text\"}")).await;
    env.produce(0, &OutboxEvent::builder("order", "2", "Unknown").build().unwrap()).await;
    let newer = OutboxEvent::builder("order", "3", "OrderCreated").json("{}").schema_version(4).build().unwrap();
    env.produce(0, &newer).await;
    env.produce_record(0, no_id(&env)).await;
    env.produce_order(0, 7).await;
    let consumer = env
        .consumer()
        .on_undecodable_record(RecordPolicy::DeadLetter)
        .on_unknown_event(RecordPolicy::DeadLetter)
        .on_newer_version(RecordPolicy::DeadLetter);
    let running = Running::start(consumer.on(store).build().unwrap());
    assert_eq!(env.effects(1).await, [7]);

    let mut dead = env.held(EventState::Dead, 5).await;
    dead.sort_by_key(|held| held.offset);
    let reasons =
        ["not of this pipeline", "not the JSON of", "no handler is registered", "newer than 3", "no header `id`"];

    for (held, reason) in dead.iter().zip(reasons) {
        assert!(held.error.contains(reason) && held.kind == FailureKind::Undecodable, "{held:?}");
    }
    running.stop().await.unwrap();

    // The same again, with a policy that skips them.
    let other = env.consumer().group("other").on_undecodable_record(RecordPolicy::Skip);
    let other = other.on_unknown_event(RecordPolicy::Skip).on_newer_version(RecordPolicy::Skip).on(store);
    let running = Running::start(other.build().unwrap());
    assert_eq!(env.effects(2).await, [7, 7]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_event_that_ends_its_connection_each_time_becomes_a_dead_letter_and_others_go_on() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn fatal(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        if event.event().order_id == 13 {
            tx.execute("SELECT pg_terminate_backend(pg_backend_pid())", &[]).await?;
        }
        store(tx, event).await
    }

    for order in [1, 13, 2] {
        env.produce_order(0, order).await;
    }
    let running = Running::start(env.consumer().on(fatal).build().unwrap());
    let dead = env.held(EventState::Dead, 1).await;
    assert_eq!((dead[0].offset, dead[0].kind), (1, FailureKind::Crashed));
    assert_eq!(env.effects(2).await, [1, 2]);
    running.stop().await.unwrap();
}

/// The leases have a connection of their own, and no lane waits for a second one while it holds one.
#[tokio::test]
async fn one_connection_is_enough_for_everything() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(2).await;
        produce_orders(&env).await;
        let mut undecodable = no_uuid(&env);
        undecodable.key = Some("99".into());
        env.produce_record(1, undecodable).await;
        env.produce_order(1, 8).await;
        let pool = driver.pool(env.url(), 1);
        let handler = each(|tx, event| Box::pin(never_13(tx, event)));
        let running =
            Running::start(consumer!(pool, env, on(handler), on_undecodable_record(RecordPolicy::DeadLetter)));

        assert_eq!(env.effects(5).await, [7, 7, 7, 7, 8]);
        let dead = env.held(EventState::Dead, 2).await;
        let rejected = dead.iter().find(|held| held.kind == FailureKind::Rejected).unwrap();
        env.group().discard(rejected.id).await.unwrap();
        assert_eq!(of(&env.steps(8).await, 13), [1, 2, 3]);
        running.stop().await.unwrap();
    }
}

fn event(key: &str, json: &str) -> OutboxEvent {
    let event = OutboxEvent::builder("order", key, OrderCreated::EVENT_TYPE);
    event.schema_version(3).json(json).build().unwrap()
}
