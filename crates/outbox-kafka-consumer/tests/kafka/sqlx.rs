//! The parts that only sqlx has: its forms of handlers, savepoints, and everything on one pool.

use std::sync::atomic::{AtomicU32, Ordering};

use outbox_core::{Identifier, OutboxEvent};
use outbox_kafka_consumer::sqlx::Handler;
use outbox_kafka_consumer::testing::{Delivered, Trial};
use outbox_kafka_consumer::{
    Consumer, EventState, FailureKind, Group, HandlerPolicy, HandlerResult, Received, StatementCaching, with,
};
use outbox_test_support::{TestEnv, eventually};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Acquire as _, Executor as _, PgPool, Postgres, Row as _, Transaction};
use xtask::stack::OwnPgBouncer;

use crate::driver::sqlx_options;
use crate::env::{ConsumerEnv, LONG_LEASE, OrderCreated, Running, produce_to};
use crate::faults::shared;

async fn store(tx: &mut Transaction<'_, Postgres>, event: Received<OrderCreated>) -> HandlerResult {
    let OrderCreated { order_id, step } = event.event();
    let insert = sqlx::query("INSERT INTO effect (order_id, step) VALUES ($1, $2)");
    insert.bind(order_id).bind(step).execute(&mut **tx).await?;
    Ok(())
}

fn pool(url: &str) -> PgPool {
    sqlx_options(6).connect_lazy(url).unwrap()
}

async fn effects(pool: &PgPool) -> Vec<i64> {
    sqlx::query_scalar("SELECT order_id FROM effect ORDER BY order_id").fetch_all(pool).await.unwrap()
}

/// Migrations, check, store, handlers and operations of a service that has no other connection.
#[tokio::test]
async fn a_service_with_one_pool_of_sqlx_creates_its_tables_and_handles_each_event_once() {
    for statements in [StatementCaching::Cached, StatementCaching::Unnamed] {
        let env = TestEnv::builder().database().topic(1).build().await;
        let pool = pool(env.url());
        let consumer = || {
            Consumer::sqlx_builder(env.brokers().split(','))
                .pipeline(env.pipeline().clone())
                .group("test")
                .pool(pool.clone())
                .statement_caching(statements)
                .lease_ttl(LONG_LEASE)
                .on(store)
                .build()
                .unwrap()
        };
        let error = consumer().run(std::future::pending()).await.unwrap_err();
        assert!(error.is_setup(), "{error}");
        let script = consumer().migrations().apply_script();
        for _ in 0..2 {
            pool.execute(sqlx::AssertSqlSafe(script.clone())).await.unwrap();
        }
        pool.execute("CREATE TABLE effect (order_id bigint, step bigint, note text)").await.unwrap();

        let event = |order_id| OutboxEvent::from_event(&OrderCreated { order_id, step: 0 }).build().unwrap();
        let events = [event(1), event(2)];
        // Each event comes as two records, and the second consumer reads all of them again.
        produce_to(env.brokers(), env.pipeline(), 0, &[events.clone(), events.clone()].concat()).await;
        let position = "SELECT next_offset FROM outbox.consumer_position";
        for _ in 0..2 {
            let running = Running::start(consumer());
            eventually("the position 4".to_owned(), async || {
                let found: Option<i64> = sqlx::query_scalar(position).fetch_optional(&pool).await.unwrap();
                if found == Some(4) { Ok(()) } else { Err(found) }
            })
            .await;
            running.stop().await.unwrap();
            assert_eq!(effects(&pool).await, [1, 2], "{statements:?}");
            pool.execute("UPDATE outbox.consumer_position SET next_offset = 0").await.unwrap();
        }

        let group = Group::with_sqlx(pool.clone(), &Identifier::new("outbox").unwrap(), "test");
        assert_eq!(group.status().await.unwrap()[0].end, Some(4));
        assert_eq!(group.count(EventState::Dead).await.unwrap(), 0);
    }
}

/// Begins savepoints: one that ends well, one that is forgotten at order 13, and at order 14 one that PostgreSQL
/// refuses, after which sqlx rolls the whole transaction back.
async fn nested(tx: &mut Transaction<'_, Postgres>, event: Received<OrderCreated>) -> HandlerResult {
    let order = event.event().order_id;
    let mut inner = tx.begin().await?;
    let failed = sqlx::query("INSERT INTO no_such_table VALUES (1)").execute(&mut *inner).await;
    failed.unwrap_err();
    inner.rollback().await?;
    store(tx, event).await?;

    match order {
        13 => std::mem::forget(tx.begin().await?),
        14 => {
            tx.execute("SELECT 1 / 0").await.unwrap_err();
            let refused = tx.begin().await.map(drop).unwrap_err();
            tx.execute("SET search_path = pg_catalog").await?;
            return Err(refused.into());
        }
        _ => {}
    }
    Ok(())
}

#[tokio::test]
async fn savepoints_of_a_handler_roll_back_alone_and_one_that_is_left_open_or_refused_fails_the_event() {
    let env = ConsumerEnv::with_partitions(1).await;
    let pool = sqlx_options(1).connect_lazy(env.url()).unwrap();
    let consumer = env.sqlx_consumer().pool(pool.clone()).retry(outbox_kafka_consumer::RetryPolicy::never());
    for order in [1, 13, 14, 2] {
        env.produce_order(0, order).await;
    }

    let running = Running::start(consumer.on(nested).build().unwrap());
    let mut dead = env.held(EventState::Dead, 2).await;
    dead.sort_by_key(|held| held.offset);
    assert!(dead[0].offset == 1 && dead[0].error.contains("left a savepoint open"), "{dead:?}");
    assert!(dead[1].offset == 2 && dead[1].error.contains("SQLSTATE 25P02"), "{dead:?}");
    env.position(0, 4).await;
    assert_eq!(effects(&pool).await, [1, 2]);
    running.stop().await.unwrap();
    let path: String = sqlx::query_scalar("SHOW search_path").fetch_one(&pool).await.unwrap();
    assert_eq!(path, "\"$user\", public");
}

/// Stores the order with a statement that is parsed each time.
async fn store_unprepared(tx: &mut Transaction<'_, Postgres>, event: Received<OrderCreated>) -> HandlerResult {
    let insert = sqlx::query("INSERT INTO effect (order_id, step) VALUES ($1, 0)").persistent(false);
    insert.bind(event.event().order_id).execute(&mut **tx).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_server_connections_of_a_pooler_carry_consumers_on_sqlx() {
    const ORDERS: i64 = 20;
    let env = ConsumerEnv::with_partitions(2).await;
    let pgbouncer = OwnPgBouncer::start(env.url(), 2).unwrap();
    // PgBouncer rejects this parameter of the startup packet unless `ignore_startup_parameters` lists it.
    let options: PgConnectOptions = pgbouncer.url().parse().unwrap();
    let options = options.extra_float_digits(None);
    let consumer = || {
        let pool = sqlx_options(6).connect_lazy_with(options.clone());
        let consumer = env.sqlx_consumer().pool(pool).statement_caching(StatementCaching::Unnamed);
        Running::start(consumer.on(store_unprepared).build().unwrap())
    };
    let consumers = [consumer(), consumer()];

    for order in 0..ORDERS {
        env.produce_order(i32::try_from(order % 2).unwrap(), order).await;
    }
    env.position(0, ORDERS / 2).await;
    env.position(1, ORDERS / 2).await;
    assert_eq!(env.effects(usize::try_from(ORDERS).unwrap()).await, (0..ORDERS).collect::<Vec<_>>());

    for consumer in consumers {
        consumer.stop().await.unwrap();
    }
}

struct Shipping {
    calls: AtomicU32,
}

impl Handler for Shipping {
    type Event = OrderCreated;

    async fn handle(&self, tx: &mut Transaction<'_, Postgres>, event: Received<OrderCreated>) -> HandlerResult {
        self.calls.fetch_add(1, Ordering::Relaxed);
        store(tx, event).await
    }
}

async fn raw(note: &&'static str, tx: &mut Transaction<'_, Postgres>, event: Received<()>) -> HandlerResult {
    let insert = sqlx::query("INSERT INTO effect (order_id, step, note) VALUES ($1, 0, $2)");
    insert.bind(event.offset()).bind(*note).execute(&mut **tx).await?;
    Ok(())
}

async fn set_tenant(tx: &mut Transaction<'_, Postgres>, _: Received<()>) -> HandlerResult {
    sqlx::query("SELECT set_config('app.tenant', 'acme', true)").execute(&mut **tx).await?;
    Ok(())
}

#[tokio::test]
async fn every_form_of_handler_on_sqlx_gets_its_events() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn many(tx: &mut Transaction<'_, Postgres>, events: Vec<Received<OrderCreated>>) -> HandlerResult {
        for event in events {
            store(tx, event).await?;
        }
        Ok(())
    }

    let consumer = env
        .sqlx_consumer()
        .pool(pool(env.url()))
        .before_each(set_tenant)
        .on(HandlerPolicy::new().of(Shipping { calls: AtomicU32::new(0) }))
        .on_batch(many)
        .on_raw("order", "Raw", with("raw", raw))
        .otherwise(with("otherwise", raw));
    let running = Running::start(consumer.build().unwrap());
    env.produce_order(0, 7).await;
    env.produce(0, &OutboxEvent::builder("order", "7", "Raw").build().unwrap()).await;
    env.produce(0, &OutboxEvent::builder("order", "7", "Other").build().unwrap()).await;

    // The order has two handlers.
    assert_eq!(env.effects(4).await, [1, 2, 7, 7]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_trial_delivers_events_to_handlers_on_sqlx() {
    let env = ConsumerEnv::without_topic().await;
    let pool = pool(env.url());
    let seen = shared(AtomicU32::new(0));
    async fn handle(
        seen: &&'static AtomicU32,
        tx: &mut Transaction<'_, Postgres>,
        event: Received<OrderCreated>,
    ) -> HandlerResult {
        store(tx, event).await?;
        if seen.fetch_add(1, Ordering::Relaxed) == 0 { Err("not today".into()) } else { Ok(()) }
    }

    let consumer = env.sqlx_consumer().pool(pool.clone()).on(with(seen, handle)).build().unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let mut trial = Trial::begin_sqlx(&consumer, &mut connection).await.unwrap();
    let event = OutboxEvent::from_event(&OrderCreated { order_id: 1, step: 0 }).build().unwrap();
    trial.deliver(&event).await.unwrap_err();
    assert_eq!(trial.deliver(&event).await.unwrap(), Delivered::Handled);
    assert_eq!(trial.deliver(&event).await.unwrap(), Delivered::Duplicate);

    let count = sqlx::query("SELECT count(*) FROM effect").fetch_one(&mut **trial.sqlx_transaction()).await.unwrap();
    assert_eq!(count.get::<i64, _>(0), 1);
    drop(trial);
    drop(connection);
    assert!(effects(&pool).await.is_empty());
}

/// A number that PostgreSQL quotes.
const SECRET: i64 = 411_111_111_111_111;

/// Lets PostgreSQL refuse the order, in ways that quote it.
async fn refused(tx: &mut Transaction<'_, Postgres>, event: Received<OrderCreated>) -> HandlerResult {
    let OrderCreated { order_id, step } = event.event();
    let text = format!("order {order_id}");
    match step {
        0 => sqlx::query("INSERT INTO card VALUES ($1), ($1)").bind(order_id).execute(&mut **tx).await?,
        1 => sqlx::query("SELECT $1::text::integer").bind(text).execute(&mut **tx).await?,
        _ => sqlx::query("INSERT INTO card VALUES (-$1::bigint)").bind(order_id).execute(&mut **tx).await?,
    };
    Ok(())
}

#[tokio::test]
async fn an_error_of_sqlx_is_kept_with_its_state_and_without_what_it_quotes_of_rows() {
    let env = ConsumerEnv::with_partitions(1).await;
    let pool = pool(env.url());
    pool.execute("CREATE TABLE card (number bigint UNIQUE CHECK (number > 0))").await.unwrap();
    for step in 0..3 {
        env.produce_step(0, SECRET + step, step).await;
    }

    let consumer = env.sqlx_consumer().pool(pool).retry(outbox_kafka_consumer::RetryPolicy::never());
    let running = Running::start(consumer.on(refused).build().unwrap());
    let mut dead = env.held(EventState::Dead, 3).await;
    dead.sort_by_key(|held| held.offset);
    for (held, state) in dead.iter().zip(["23505", "22P02", "23514"]) {
        assert!(held.error.contains(&format!("SQLSTATE {state}")), "{held:?}");
        assert!(!held.error.contains("41111111111"), "{held:?}");
        assert_eq!(held.error.matches("error returned from database").count(), 1, "{held:?}");
    }

    assert_eq!(dead[1].kind, FailureKind::Data);
    running.stop().await.unwrap();
}
