//! Handlers that change settings of their database session beyond their transaction: the partition pauses.

use std::sync::atomic::{AtomicUsize, Ordering};

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::{EventState, HandlerResult, Received, StatementCaching};

use crate::driver::{self, DRIVERS, Tx, all, consumer, each};
use crate::env::{ConsumerEnv, OrderCreated, Running, produce_to};
use crate::faults::shared;

/// The statement that a handler sends, and the setting that the error names.
const CHANGES: [(&str, &str); 15] = [
    ("SET search_path = pg_catalog", "search_path"),
    ("SELECT set_config('search_path', 'pg_catalog', false)", "search_path"),
    ("SAVEPOINT a; SET search_path = pg_catalog; RELEASE a", "search_path"),
    ("SET LOCAL search_path = public; SET search_path = pg_catalog", "search_path"),
    ("SET ROLE pg_monitor", "role"),
    ("SET SESSION AUTHORIZATION pg_monitor", "session_authorization"),
    ("SET session_replication_role = replica", "session_replication_role"),
    ("SET statement_timeout = '1h'", "statement_timeout"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "default_transaction_read_only"),
    ("SET TIME ZONE 'Pacific/Auckland'", "TimeZone"),
    ("SET application_name = 'noise'", "application_name"),
    ("SET work_mem = '77MB'", "work_mem"),
    ("SET app.tenant = 'acme'", "app.tenant"),
    ("RESET ALL", "all settings (RESET ALL)"),
    ("SELECT set_config('app.tenant', 'acme', false)", "app.tenant"),
];
/// Stores the order with the session as it found it. The second order of a partition then sends its statement.
async fn changes(is_repaired: bool, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    let (order, partition) = (event.event().order_id, usize::try_from(event.partition()).unwrap());
    let found = tx.text(&session(|name| name != "application_name")).await?.replace('\'', "''");
    tx.run(&format!("INSERT INTO public.effect (order_id, step, note) VALUES ({order}, 0, '{found}')")).await?;
    if order % 10 == 1 && !is_repaired {
        tx.run(CHANGES[partition].0).await?;
    }
    Ok(())
}

/// Returns the query of the values of the settings.
fn session(is_asked: impl Fn(&str) -> bool) -> String {
    let names = CHANGES.iter().map(|(_, name)| *name).filter(|name| !name.contains(' ') && is_asked(name));
    let values: Vec<String> = names.map(|name| format!("coalesce(current_setting('{name}', true), '')")).collect();
    format!("SELECT concat_ws(' ', {})", values.join(", "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_changes_its_session_pauses_its_partition_and_no_other_event_sees_it() {
    let partitions = i32::try_from(CHANGES.len()).unwrap();
    for (driver, statements) in DRIVERS.iter().zip([StatementCaching::Unnamed, StatementCaching::Cached]) {
        let env = ConsumerEnv::with_partitions(partitions).await;
        for partition in 0..partitions {
            let event = |order| {
                let json = format!("{{\"order_id\":{}}}", i64::from(partition) * 10 + order);
                OutboxEvent::builder("order", "1", "OrderCreated").schema_version(3).json(json).build().unwrap()
            };
            let events: Vec<OutboxEvent> = (0..3).map(event).collect();
            produce_to(env.brokers(), env.pipeline(), partition, &events).await;
        }

        // All share one connection.
        let pool = driver.pool(env.url(), 1);
        let before = pool.text(&session(|_| true)).await;
        let handler = each(|tx, event| Box::pin(changes(false, tx, event)));
        let running = Running::start(consumer!(
            pool,
            env,
            on(handler),
            statement_caching(statements),
            custom_settings(["app.tenant"])
        ));

        for (partition, (sql, setting)) in (0..).zip(CHANGES) {
            let why = env.stopped(partition).await;
            let expected = format!("::on changed {setting} of its database session");
            assert!(why.contains("offset 1:") && why.contains(&expected), "{driver:?}, {sql}: {why}");
            assert!(!why.contains("acme") && !why.contains("pg_catalog"), "{why}");
            // The event is handled; the next one is not.
            env.position(partition, 2).await;
        }

        let error = running.stop().await.unwrap_err();
        assert!(error.is_session_changed() && error.position().is_some_and(|(.., offset)| offset == 1), "{error}");
        assert_eq!(env.effects(2 * CHANGES.len()).await.len(), 2 * CHANGES.len());

        // The handler is repaired.
        let handler = each(|tx, event| Box::pin(changes(true, tx, event)));
        let running = Running::start(consumer!(
            pool,
            env,
            on(handler),
            statement_caching(statements),
            custom_settings(["app.tenant"])
        ));
        let expected: Vec<i64> =
            (0..i64::from(partitions)).flat_map(|partition| (0..3).map(move |order| partition * 10 + order)).collect();
        assert_eq!(env.effects(expected.len()).await, expected, "each event once");
        running.stop().await.unwrap();

        let row = env.client().await.query_one("SELECT count(DISTINCT note) FROM effect", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 1, "no other event has seen a change");
        assert_eq!(pool.text(&session(|_| true)).await, before);
        env.held(EventState::Dead, 0).await;
        env.held(EventState::Parked, 0).await;
    }
}

/// Changes the session at the second call, after one that fails.
async fn fails_first(calls: &AtomicUsize, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    if calls.fetch_add(1, Ordering::Relaxed) == 0 {
        return Err("not today".into());
    }
    driver::store(tx, event).await?;
    tx.run("SET search_path = pg_catalog").await
}

#[tokio::test]
async fn a_held_event_whose_handler_changes_the_session_is_done_and_pauses_its_partition() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 1);
        env.produce_order(0, 1).await;
        let calls = shared(AtomicUsize::new(0));
        let handler = each(move |tx, event| Box::pin(fails_first(calls, tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler)));
        let why = env.stopped(0).await;
        assert!(why.contains("changed search_path of its database session"), "{driver:?}: {why}");
        assert!(running.stop().await.unwrap_err().is_session_changed());
        env.held(EventState::Parked, 0).await;
        assert_eq!((env.effects(1).await, &*env.inbox().await), (vec![1], &["handled".to_owned()][..]));
        assert_eq!(pool.text("SHOW search_path").await, "\"$user\", public");
    }
}

/// Changes settings for the transaction, or for longer if order 13 is among the events.
async fn changes_for_all(calls: &AtomicUsize, tx: &mut dyn Tx, events: Vec<Received<OrderCreated>>) -> HandlerResult {
    calls.fetch_add(1, Ordering::Relaxed);
    tx.run("SET LOCAL synchronous_commit = off; SET LOCAL app.tenant = 'acme'").await?;
    let is_bad = events.iter().any(|event| event.event().order_id == 13);
    driver::store_all(tx, events).await?;
    if is_bad { tx.run("SET app.tenant = 'acme'").await } else { Ok(()) }
}

#[tokio::test]
async fn a_batch_handler_may_change_settings_for_its_transaction_and_keeps_its_batches() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 1);
        for order in 100..120 {
            env.produce_order_of_key(0, "1", order).await;
        }

        let calls = shared(AtomicUsize::new(0));
        let handler = all(move |tx, events| Box::pin(changes_for_all(calls, tx, events)));
        let running = Running::start(consumer!(pool, env, on_batch(handler), custom_settings(["app.tenant"])));
        assert_eq!(env.effects(20).await, (100..120).collect::<Vec<_>>());
        assert!(calls.load(Ordering::Relaxed) <= 10, "{} calls for 20 events", calls.load(Ordering::Relaxed));
        env.produce_order_of_key(0, "1", 13).await;
        let why = env.stopped(0).await;
        assert!(why.contains("the handler") && why.contains("changed app.tenant"), "{driver:?}: {why}");
        assert!(running.stop().await.unwrap_err().is_session_changed());
        assert_eq!(env.effects(21).await.len(), 21);
        assert_eq!(pool.text("SELECT coalesce(current_setting('app.tenant', true), '')").await, "");
    }
}
