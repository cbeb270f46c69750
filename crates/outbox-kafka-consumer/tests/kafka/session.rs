//! Handlers that change their database session for their transaction only, and what the consumer resets.

use std::time::Duration;

use outbox_kafka_consumer::deadpool_postgres::tokio_postgres::Client as PgClient;
use outbox_kafka_consumer::{EventState, HandlerError, HandlerResult, Received, RetryPolicy, StatementCaching};
use outbox_test_support::{connect, eventually};
use outbox_testkit::Postgres;

use crate::driver::{self, DRIVERS, Pool, Tx, consumer, each};
use crate::env::{ConsumerEnv, OrderCreated, Running, set_up};

/// The settings that later statements of a session depend on. The timeout for locks is a shorter one in a batch.
const SESSION: &str = "SELECT format('%s %s', (SELECT string_agg(current_setting(name), ' ') FROM unnest(ARRAY['role',
        'session_authorization', 'search_path', 'session_replication_role', 'statement_timeout',
        'default_transaction_isolation', 'default_transaction_read_only', 'TimeZone', 'application_name', 'work_mem']) AS name),
    (SELECT string_agg(channel, ' ') FROM pg_listening_channels() AS channel))
    || (SELECT count(*) FROM pg_cursors WHERE is_holdable AND name <> 'outbox_guard')";

/// The statement that the handler of an order sends after its effect, by the order's number from 100 on.
const CHANGES: [&str; 13] = [
    "SET LOCAL search_path = pg_catalog",
    "SELECT set_config('search_path', 'pg_catalog', true)",
    "SAVEPOINT a; SET LOCAL search_path = pg_catalog; RELEASE a",
    "SAVEPOINT a; SET search_path = pg_catalog; ROLLBACK TO a",
    "SET LOCAL ROLE pg_monitor",
    "SET ROLE pg_monitor; SELECT 1; RESET ROLE",
    "SET LOCAL SESSION AUTHORIZATION pg_monitor",
    "SET LOCAL statement_timeout = '1h'",
    "SET LOCAL work_mem = '77MB'",
    "SELECT set_config('app.tenant', 'acme', true)",
    "LISTEN noise",
    "SELECT pg_advisory_lock(7)",
    "DECLARE kept CURSOR WITH HOLD FOR SELECT 1",
];

/// Stores the order with the session as it found it.
async fn changes(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    let order = event.event().order_id;
    let session = tx.text(SESSION).await?.replace('\'', "''");
    tx.run(&format!("INSERT INTO public.effect (order_id, note) VALUES ({order}, '{session}')")).await?;
    if let Some(change) = usize::try_from(order - 100).ok().and_then(|n| CHANGES.get(n)) {
        tx.run(change).await?;
    }
    Ok(())
}

async fn locks(pool: &Pool) -> String {
    let sql = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    pool.text(sql).await
}

#[tokio::test]
async fn what_a_handler_changes_for_its_transaction_reaches_no_other_event_and_no_other_user_of_the_pool() {
    for driver in DRIVERS {
        for statements in [StatementCaching::Cached, StatementCaching::Unnamed] {
            let env = ConsumerEnv::with_partitions(1).await;
            let pool = driver.pool(env.url(), 1);
            let before = pool.text(SESSION).await;
            let orders = i64::try_from(CHANGES.len()).unwrap();
            // All of one key, so that they share lane and batches.
            for step in 0..orders {
                env.produce_order_of_key(0, "1", step).await;
                env.produce_order_of_key(0, "1", 100 + step).await;
            }
            let handler = each(|tx, event| Box::pin(changes(tx, event)));
            let running = Running::start(consumer!(pool, env, on(handler), statement_caching(statements)));
            env.position(0, 2 * orders).await;
            running.stop().await.unwrap();

            let sql = "SELECT count(*), count(DISTINCT order_id), count(DISTINCT note),
                           (SELECT is_called FROM outbox.consumer_held_id_seq), (SELECT epoch FROM outbox.consumer_position)
                       FROM effect";
            let row = env.client().await.query_one(sql, &[]).await.unwrap();
            let found: (i64, i64, i64, bool, i64) = (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
            assert_eq!(found, (2 * orders, 2 * orders, 1, false, 1), "{driver:?}, {statements:?}");
            assert_eq!(pool.text(SESSION).await, before);
            assert_eq!(pool.text("SHOW lock_timeout").await, "0");
            assert_eq!(locks(&pool).await, "0");
        }
    }
}

/// Fails, ends its transaction or both, after it has changed the session.
async fn gives_up(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    tx.run("SELECT pg_advisory_lock(7); SET search_path = pg_catalog").await?;
    match event.event().order_id {
        1 => Err(HandlerError::reject("on purpose")),
        _ => tx.run("ROLLBACK; SET search_path = pg_catalog").await,
    }
}

#[tokio::test]
async fn a_handler_that_fails_leaves_no_lock_and_one_that_ends_its_transaction_no_session() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 1);
        env.produce_order(0, 1).await;
        let running = Running::start(consumer!(pool, env, on(each(|tx, event| Box::pin(gives_up(tx, event))))));
        env.held(EventState::Dead, 1).await;
        assert_eq!(locks(&pool).await, "0");
        env.produce_order(0, 2).await;
        env.stopped(0).await;
        running.stop().await.unwrap_err();
        let path = pool.text("SHOW search_path").await;
        assert_eq!((&*path, &*locks(&pool).await), ("\"$user\", public", "0"));
    }
}

#[tokio::test]
async fn a_transaction_that_a_handler_makes_read_only_fails_no_other_event() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        async fn read_only(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
            if event.event().order_id == 13 {
                tx.run("SET TRANSACTION READ ONLY").await?;
                return Ok(());
            }
            driver::store(tx, event).await
        }

        for order in [1, 13, 2] {
            env.produce_order(0, order).await;
        }

        let running = Running::start(consumer!(pool, env, on(each(|tx, event| Box::pin(read_only(tx, event))))));
        assert_eq!(env.effects(2).await, [1, 2]);
        env.position(0, 3).await;
        env.held(EventState::Dead, 0).await;
        env.held(EventState::Parked, 0).await;
        running.stop().await.unwrap();
    }
}

/// Takes longer than the role's timeouts.
async fn takes_its_time(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    tx.run("SELECT pg_sleep(0.7)").await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    driver::store(tx, event).await
}

/// Settings that a database or a role may have, for `ALTER DATABASE … SET`. The last one is new in PostgreSQL 17.
const DEFAULTS: [(&str, &str); 6] = [
    ("statement_timeout", "500"),
    ("idle_in_transaction_session_timeout", "500"),
    ("default_transaction_isolation", "serializable"),
    ("search_path", "elsewhere"),
    ("synchronous_commit", "off"),
    ("transaction_timeout", "1000"),
];

/// Creates a database with these settings on a server.
async fn with_defaults(server: &Postgres, name: &str) -> (String, PgClient) {
    let admin = connect(&server.url()).await;
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let url = format!("{}/{name}", server.url().rsplit_once('/').unwrap().0);
    let client = set_up(&url).await;
    for (setting, value) in DEFAULTS {
        client.batch_execute(&format!("ALTER DATABASE {name} SET {setting} = '{value}'")).await.unwrap();
    }
    (url, client)
}

#[tokio::test]
async fn settings_of_the_database_end_no_handler() {
    let server = Postgres::builder().downloaded().start().await.unwrap();
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let (url, client) = with_defaults(&server, env.name()).await;
        let pool = driver.pool(&url, 4);
        env.produce_order(0, 1).await;

        let handler = each(|tx, event| Box::pin(takes_its_time(tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler), retry(RetryPolicy::never())));
        let sql = "SELECT (SELECT count(*) FROM effect), (SELECT count(*) FROM outbox.consumer_held),
                       (SELECT max(next_offset) FROM outbox.consumer_position)";
        eventually(format!("the effect by {driver:?}"), async || {
            let row = client.query_one(sql, &[]).await.unwrap();
            let found: (i64, i64, Option<i64>) = (row.get(0), row.get(1), row.get(2));
            if found == (1, 0, Some(1)) { Ok(()) } else { Err(found) }
        })
        .await;
        running.stop().await.unwrap();
    }
}
