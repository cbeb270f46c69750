//! The cost of a batch if one of its events fails, or if it waits for another one.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{
    EventState, FailureKind, HandlerError, HandlerResult, Received, RecordPolicy, RetryPolicy, with,
};

use crate::driver::{self, DRIVERS, Tx, all, consumer, each};
use crate::env::{ConsumerEnv, OrderCreated, Running, produce_to};
use crate::faults::shared;

pub(crate) const ONE_LANE: NonZeroUsize = NonZeroUsize::new(1).unwrap();

/// Produces one event for each order, all in one partition, so that one fetch brings them.
pub(crate) async fn produce_orders(env: &ConsumerEnv, orders: std::ops::Range<i64>) {
    let event = |order_id| OutboxEvent::from_event(&OrderCreated { order_id, step: order_id % 1_000 }).build().unwrap();
    let events: Vec<OutboxEvent> = orders.map(event).collect();
    produce_to(env.brokers(), env.pipeline(), 0, &events).await;
}

/// Returns how many transactions have written effects.
pub(crate) async fn transactions(env: &ConsumerEnv) -> i64 {
    let sql = "SELECT count(DISTINCT xmin::text) FROM effect";
    env.client().await.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn only_the_event_that_fails_is_handled_alone() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        async fn unlucky(calls: &AtomicU32, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
            calls.fetch_add(1, Ordering::Relaxed);
            if matches!(event.event().order_id, 50 | 120) {
                return Err(HandlerError::reject("unlucky"));
            }
            driver::store(tx, event).await
        }

        let calls = shared(AtomicU32::new(0));
        let handler = each(move |tx, event| Box::pin(unlucky(calls, tx, event)));
        produce_orders(&env, 0..200).await;

        let running = Running::start(consumer!(pool, env, on(handler), partition_concurrency(ONE_LANE)));
        env.position(0, 200).await;
        assert_eq!(env.effects(198).await, (0..200).filter(|order| ![50, 120].contains(order)).collect::<Vec<_>>());
        assert_eq!(env.held(EventState::Dead, 2).await.iter().map(|held| held.offset).collect::<Vec<_>>(), [50, 120]);
        running.stop().await.unwrap();
        assert!(transactions(&env).await <= 10, "{} transactions", transactions(&env).await);
        assert!(calls.load(Ordering::Relaxed) < 600, "{calls:?} calls");
    }
}

/// The consumer's own statements for the other events of the batch fail too, which is no loss of the store.
#[tokio::test]
async fn an_event_whose_sql_error_is_swallowed_is_found_beside_events_of_blocked_keys() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        async fn careless(tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
            match event.event().order_id {
                13 => return Err("not today".into()),
                1 => _ = tx.run("INSERT INTO no_such_table VALUES (1)").await,
                _ => {}
            }
            if event.event().order_id == 1 { Ok(()) } else { driver::store(tx, event).await }
        }

        let later = RetryPolicy::new(|_, _| Some(Duration::from_secs(3600)));
        let handler = each(|tx, event| Box::pin(careless(tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler), retry(later), partition_concurrency(ONE_LANE)));
        env.produce_order(0, 13).await;
        env.held(EventState::Parked, 1).await;
        produce_orders(&env, 1..14).await;
        env.position(0, 14).await;

        let mut held = env.held(EventState::Parked, 3).await;
        held.sort_by_key(|held| held.offset);
        assert_eq!(held.iter().map(|held| held.offset).collect::<Vec<_>>(), [0, 1, 13]);
        assert!(held[1].error.contains("had refused one of its statements"), "{held:?}");
        assert_eq!(env.effects(11).await, (2..13).collect::<Vec<_>>());
        running.stop().await.unwrap();
    }
}

/// PostgreSQL does not name the event whose deferred constraint fails at COMMIT.
#[tokio::test]
async fn an_event_that_fails_at_commit_is_found_by_splitting() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        let deferred = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN RAISE EXCEPTION 'on purpose'; END$$;
             CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON effect DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.order_id = 77) EXECUTE FUNCTION refuse()";
        env.client().await.batch_execute(deferred).await.unwrap();
        produce_orders(&env, 0..200).await;

        let later = RetryPolicy::new(|_, _| Some(Duration::from_secs(3600)));
        let handler = each(|tx, event| Box::pin(driver::store(tx, event)));
        let running = Running::start(consumer!(pool, env, on(handler), retry(later), partition_concurrency(ONE_LANE)));
        env.position(0, 200).await;
        assert_eq!(env.held(EventState::Parked, 1).await[0].offset, 77);
        assert_eq!(env.effects(199).await.len(), 199);
        running.stop().await.unwrap();
        assert!(transactions(&env).await <= 20, "{} transactions", transactions(&env).await);
    }
}

const PRODUCTS: i64 = 1_000;

/// Returns the product of an order, so that every batch has them in another order.
fn product(event: &Received<OrderCreated>) -> i64 {
    event.event().order_id * 7_919 % PRODUCTS
}

async fn reserve(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let reserve = tx.prepare_cached("UPDATE stock SET reserved = reserved + 1 WHERE product_id = $1").await?;
    tx.execute(&reserve, &[&product(&event)]).await?;
    Ok(())
}

/// Reserves all, as on the page of `BatchHandler`.
async fn reserve_all(tx: &Transaction<'_>, events: Vec<Received<OrderCreated>>) -> HandlerResult {
    let (products, quantities): (Vec<i64>, Vec<i64>) = events.iter().map(|event| (product(event), 1)).unzip();
    let lock = "SELECT FROM stock WHERE product_id = ANY ($1) ORDER BY product_id FOR UPDATE";
    tx.execute(&tx.prepare_cached(lock).await?, &[&products]).await?;
    let reserve = "UPDATE stock SET reserved = reserved + quantity
        FROM (SELECT product, sum(quantity) AS quantity
              FROM unnest($1::bigint[], $2::bigint[]) AS event (product, quantity) GROUP BY product) AS wanted
        WHERE product_id = product";
    tx.execute(&tx.prepare_cached(reserve).await?, &[&products, &quantities]).await?;
    Ok(())
}

/// Orders of different aggregates reserve the same products, in any order.
#[tokio::test]
async fn workers_that_update_shared_rows_adapt_their_batches_and_never_deadlock() {
    for is_batch in [false, true] {
        let env = ConsumerEnv::with_partitions(1).await;
        let stock = "CREATE TABLE stock (product_id bigint PRIMARY KEY, reserved bigint NOT NULL DEFAULT 0);
                     INSERT INTO stock (product_id) SELECT generate_series(0, 999)";
        env.client().await.batch_execute(stock).await.unwrap();
        produce_orders(&env, 0..4 * PRODUCTS).await;

        let consumer = env.consumer();
        let consumer = if is_batch { consumer.on_batch(reserve_all) } else { consumer.on(reserve) };
        let running = Running::start(consumer.build().unwrap());
        env.position(0, 4 * PRODUCTS).await;
        env.held(EventState::Parked, 0).await;
        env.held(EventState::Dead, 0).await;
        running.stop().await.unwrap();
        let sql = "SELECT min(reserved)::bigint, max(reserved)::bigint FROM stock";
        let row = env.client().await.query_one(sql, &[]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (4, 4), "batch handler: {is_batch}");

        let sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        assert_eq!(env.client().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
    }
}

/// Writes an effect for each event with one statement, and fails with order 13.
async fn store_all(largest: &AtomicU32, tx: &mut dyn Tx, events: Vec<Received<OrderCreated>>) -> HandlerResult {
    largest.fetch_max(u32::try_from(events.len())?, Ordering::Relaxed);
    let (orders, steps): (Vec<i64>, Vec<i64>) =
        events.iter().map(|event| (event.event().order_id, event.event().step)).unzip();
    let insert = "INSERT INTO effect (order_id, step) SELECT * FROM unnest";
    tx.run(&format!("{insert}(ARRAY{orders:?}::bigint[], ARRAY{steps:?}::bigint[])")).await?;
    if orders.contains(&13) {
        return Err(HandlerError::reject("unlucky"));
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_handler_gets_many_events_and_only_the_one_that_fails_is_held() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        produce_orders(&env, 0..200).await;

        // Duplicates are not handed over, nor is what cannot be read.
        let event = OutboxEvent::from_event(&OrderCreated { order_id: 1_000, step: 0 }).build().unwrap();
        env.produce(0, &event).await;
        env.produce(0, &event).await;
        let unreadable =
            OutboxEvent::builder("order", "1", "OrderCreated").schema_version(3).json("{}").build().unwrap();

        env.produce(0, &unreadable).await;
        let largest = shared(AtomicU32::new(0));
        let handler = all(move |tx, events| Box::pin(store_all(largest, tx, events)));
        let consumer = consumer!(
            pool,
            env,
            on_batch(handler),
            partition_concurrency(ONE_LANE),
            on_undecodable_record(RecordPolicy::DeadLetter)
        );
        let running = Running::start(consumer);
        env.position(0, 203).await;
        let expected: Vec<i64> = (0..200).filter(|order| *order != 13).chain([1_000]).collect();
        assert_eq!(env.effects(expected.len()).await, expected);

        let dead = env.held(EventState::Dead, 2).await;
        let kinds: Vec<_> = dead.iter().map(|held| (held.offset, held.kind)).collect();
        assert_eq!(kinds, [(13, FailureKind::Rejected), (202, FailureKind::Undecodable)]);
        running.stop().await.unwrap();
        assert!(largest.load(Ordering::Relaxed) >= 100, "{largest:?}");
        assert!(transactions(&env).await <= 40, "{} transactions", transactions(&env).await);
    }
}

/// Single and batch handlers take turns with the events of the same aggregates.
#[tokio::test]
async fn an_aggregates_events_keep_their_order_between_single_and_batch_handlers() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn single(tx: &Transaction<'_>, event: Received<()>) -> HandlerResult {
        let order: OrderCreated = event.envelope().payload.json()?;
        let insert = "INSERT INTO effect (order_id, step) VALUES ($1, $2)";
        tx.execute(insert, &[&order.order_id, &order.step]).await?;
        Ok(())
    }

    let mut events = Vec::new();
    for step in 0..20 {
        for order in [1, 2, 3] {
            let event_type = if (order + step) % 3 == 0 { "Single" } else { "OrderCreated" };
            let json = format!("{{\"order_id\":{order},\"step\":{step}}}");
            let event = OutboxEvent::builder("order", order.to_string(), event_type).schema_version(3).json(json);
            events.push(event.build().unwrap());
        }
    }

    produce_to(env.brokers(), env.pipeline(), 0, &events).await;
    let consumer = env.consumer().on_raw("order", "Single", single);
    let largest = shared(AtomicU32::new(0));
    let handler = all(move |tx, events| Box::pin(store_all(largest, tx, events)));
    let consumer = consumer.on_batch(with(handler, driver::tokio_postgres::on_batch));
    let running = Running::start(consumer.build().unwrap());
    let steps = env.steps(60).await;

    for order in [1, 2, 3] {
        let of: Vec<i64> = steps.iter().filter(|(found, _)| *found == order).map(|(_, step)| *step).collect();
        assert_eq!(of, (0..20).collect::<Vec<_>>());
    }
    running.stop().await.unwrap();
}

/// A held event of a batch handler is tried again alone, and those behind it follow.
#[tokio::test]
async fn a_batch_handler_retries_held_events() {
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        let pool = driver.pool(env.url(), 16);
        async fn flaky(left: &AtomicU32, tx: &mut dyn Tx, events: Vec<Received<OrderCreated>>) -> HandlerResult {
            let is_first = |event: &Received<OrderCreated>| event.event().step == 0 && event.attempt() == 1;
            if events.iter().any(is_first)
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
            {
                return Err("not today".into());
            }
            for event in events {
                driver::store(tx, event).await?;
            }
            Ok(())
        }

        for step in 0..5 {
            env.produce_step(0, 7, step).await;
        }

        let left = shared(AtomicU32::new(9));
        let handler = all(move |tx, events| Box::pin(flaky(left, tx, events)));
        let running = Running::start(consumer!(pool, env, on_batch(handler)));
        assert_eq!(env.steps(5).await, [(7, 0), (7, 1), (7, 2), (7, 3), (7, 4)]);
        env.held(EventState::Parked, 0).await;
        running.stop().await.unwrap();
    }
}
