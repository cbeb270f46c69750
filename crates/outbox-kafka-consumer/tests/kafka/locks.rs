//! Locks and connections that a handler waits for. They are no fault of its event.

use std::num::NonZeroUsize;

use outbox_core::{Identifier, OutboxEvent};
use outbox_kafka_consumer::deadpool_postgres::{Pool, Transaction};
use outbox_kafka_consumer::{
    DeadLetterMode, EventState, FailedEvent, FailedEventFilter, FailureKind, Group, HandlerError, HandlerResult,
    Received, RetryPolicy, with,
};
use outbox_test_support::{eventually, pool};

use crate::batches::produce_orders;
use crate::driver::{self, DRIVERS, consumer, each};
use crate::env::{ConsumerEnv, LEASE, OrderCreated, Running};
use crate::positions::store;

/// A migration locks the handlers' table for longer than all attempts of the policy take.
#[tokio::test]
async fn a_table_that_is_locked_for_long_makes_no_dead_letter_and_keeps_the_order() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        let mut migration = env.client().await;
        let lock = migration.transaction().await.unwrap();
        lock.batch_execute("LOCK TABLE effect IN ACCESS EXCLUSIVE MODE").await.unwrap();
        for step in 0..2 {
            env.produce_step(0, 13, step).await;
            env.produce_step(0, 7, step).await;
        }
        let handler = each(|tx, event| Box::pin(driver::store(tx, event)));
        let (never, mode) = (RetryPolicy::never(), DeadLetterMode::ContinueKey);
        let running =
            Running::start(consumer!(pool, env, on(handler), retry(never), on_failure(mode), lease_ttl(LEASE)));

        let locked = FailedEventFilter::from(EventState::Parked).kind(FailureKind::Locked);
        let group = env.group();
        // No attempt counts, nor does the next one.
        let mut failed = None;
        for _ in 0..2 {
            let held = eventually("two heads that wait for the lock".to_owned(), async || {
                let held = group.list(locked.clone(), None, 10).await.unwrap();
                let is_kept = |held: &FailedEvent| held.attempts == 0 && Some(held.last_failed_at) > failed;
                if held.len() == 2 && held.iter().all(is_kept) { Ok(held) } else { Err(held) }
            })
            .await;
            assert!(held.iter().all(|held| held.error.contains("55P03")), "{driver:?}: {held:?}");
            failed = held.iter().map(|held| held.last_failed_at).max();
            let now = "UPDATE outbox.consumer_held SET next_attempt_at = clock_timestamp() WHERE kind = 'locked'";
            env.client().await.batch_execute(now).await.unwrap();
        }
        env.position(0, 4).await;
        assert_eq!(group.count(EventState::Dead).await.unwrap(), 0);

        lock.commit().await.unwrap();
        let steps = env.steps(4).await;
        let of = |order| steps.iter().filter(|(found, _)| *found == order).map(|(_, step)| *step).collect::<Vec<_>>();
        assert_eq!((of(13), of(7)), (vec![0, 1], vec![0, 1]));
        env.held(EventState::Parked, 0).await;
        running.stop().await.unwrap();
        assert_eq!(group.count(EventState::Dead).await.unwrap(), 0);
    }
}

/// Reads with a second connection of the consumer's pool.
async fn with_second_connection(pool: &Pool, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    pool.get().await?.query_one("SELECT count(*) FROM effect", &[]).await?;
    store(tx, event).await
}

#[tokio::test]
async fn handlers_that_take_a_second_connection_of_the_pool_get_one() {
    let env = ConsumerEnv::with_partitions(2).await;
    let pool = pool(env.url(), 4);
    let consumer = env.consumer().pool(pool.clone()).retry(RetryPolicy::never());
    let consumer = consumer.max_batch_size(NonZeroUsize::MIN).on(with(pool, with_second_connection));
    produce_orders(&env, 0..40).await;
    let running = Running::start(consumer.build().unwrap());
    assert_eq!(env.effects(40).await, (0..40).collect::<Vec<_>>());
    assert_eq!(env.group().count(EventState::Dead).await.unwrap(), 0);
    running.stop().await.unwrap();
}

async fn rejects(_: &Transaction<'_>, _: Received<OrderCreated>) -> HandlerResult {
    Err(HandlerError::reject("nicht für 5 € 日本"))
}

/// PostgreSQL cannot store every character there.
#[tokio::test]
async fn an_event_that_fails_is_kept_in_a_database_that_is_not_unicode() {
    let env = ConsumerEnv::with_partitions(1).await;
    let name = format!("{}_latin1", env.name());
    let create = format!("CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    env.client().await.batch_execute(&create).await.unwrap();
    let (server, _) = env.url().rsplit_once('/').unwrap();
    let url = format!("{server}/{name}");
    crate::env::set_up(&url).await;

    let order = OutboxEvent::from_event(&OrderCreated { order_id: 1, step: 0 }).build().unwrap();
    let mut record = env.pipeline().encode(&env.pipeline().row(&order).unwrap()).unwrap();
    record.headers.push(("日本".to_owned(), Some("header".into())));
    env.produce_record(0, record).await;
    let pool = pool(&url, 4);
    let running = Running::start(env.consumer().pool(pool.clone()).on(rejects).build().unwrap());
    let group = Group::new(pool, &Identifier::new("outbox").unwrap(), "test");
    let dead = eventually("a dead letter".to_owned(), async || {
        group.list(EventState::Dead, None, 10).await.unwrap().pop().ok_or(())
    })
    .await;
    assert_eq!(dead.error, r"nicht f\u{fc}r 5 \u{20ac} \u{65e5}\u{672c}");
    assert_eq!(dead.kind, FailureKind::Rejected);
    running.stop().await.unwrap();
}
