//! The settings of single handlers, several handlers of one event, and what a handler learns of its delivery.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox_core::{IncomingEvent, OutboxEvent};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{
    DeadLetterMode, EventState, FailureKind, HandlerError, HandlerPolicy, HandlerResult, Received, RetryPolicy,
    savepoint, with,
};

use crate::batches::{ONE_LANE, produce_orders, transactions};
use crate::env::{ConsumerEnv, OrderCreated, Running};
use crate::faults::shared;
use crate::positions::store;

/// An event that this service only consumes.
#[derive(serde::Deserialize)]
struct Paid {
    order_id: i64,
}

impl IncomingEvent for Paid {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "Paid";
}

async fn produce_paid(env: &ConsumerEnv, order: i64) {
    let json = format!("{{\"order_id\":{order}}}");
    let event = OutboxEvent::builder("order", order.to_string(), "Paid").json(json).build().unwrap();
    env.produce(0, &event).await;
}

#[derive(Debug)]
struct Busy;

impl std::fmt::Display for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("busy")
    }
}

impl std::error::Error for Busy {}

async fn busy_or_broken(_: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    if event.event().order_id == 1 { Err(Busy.into()) } else { Err("broken".into()) }
}

async fn never_ends(_: &Transaction<'_>, _: Received<Paid>) -> HandlerResult {
    std::future::pending().await
}

#[tokio::test]
async fn a_handler_has_retries_by_error_and_a_timeout_and_a_failure_mode() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 1).await;
    env.produce_order(0, 2).await;
    produce_paid(&env, 3).await;
    env.produce(0, &OutboxEvent::builder("order", "3", "Else").build().unwrap()).await;
    let by_error = RetryPolicy::by_failure(|failed| {
        let is_busy = failed.error::<Busy>().is_some() && failed.attempt() < 3;
        is_busy.then_some(Duration::from_millis(10))
    });
    let impatient = HandlerPolicy::new()
        .timeout(Duration::from_millis(50))
        .retry(RetryPolicy::never())
        .on_failure(DeadLetterMode::ContinueKey);

    async fn rest(tx: &Transaction<'_>, _: Received<()>) -> HandlerResult {
        tx.execute("INSERT INTO effect (order_id, step) VALUES (3, 0)", &[]).await?;
        Ok(())
    }

    let consumer = env
        .consumer()
        .on(HandlerPolicy::new().retry(by_error).of(busy_or_broken))
        .on(impatient.of(never_ends))
        .otherwise(rest);
    let running = Running::start(consumer.build().unwrap());
    let mut dead = env.held(EventState::Dead, 3).await;
    dead.sort_by_key(|held| held.offset);
    let found: Vec<_> = dead.iter().map(|held| (held.offset, held.attempts, held.kind)).collect();
    assert_eq!(found, [(0, 3, FailureKind::Failed), (1, 1, FailureKind::Failed), (2, 1, FailureKind::TimedOut)]);

    // The key of the event whose handler ignored it is not blocked.
    assert_eq!(env.effects(1).await, [3]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_retry_policy_and_a_span_hook_that_panic_harm_no_event() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn fails_once(calls: &AtomicU32, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err("not at first".into());
        }
        store(tx, event).await
    }

    env.produce_order(0, 1).await;
    let panics = RetryPolicy::by_failure(|_| panic!("the policy panics"));
    let consumer = env.consumer().retry(panics).on_span(|_, _| panic!("the hook panics"));
    let running = Running::start(consumer.on(with(AtomicU32::new(0), fails_once)).build().unwrap());

    assert_eq!(env.effects(1).await, [1]);
    env.held(EventState::Parked, 0).await;
    env.position(0, 1).await;
    let epoch = "SELECT epoch FROM outbox.consumer_position";
    assert_eq!(env.client().await.query_one(epoch, &[]).await.unwrap().get::<_, i64>(0), 1, "opened once");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_handler_limits_the_batches_that_it_is_called_in() {
    let env = ConsumerEnv::with_partitions(1).await;
    produce_orders(&env, 0..40).await;
    let policy = HandlerPolicy::new().max_batch_size(NonZeroUsize::new(4).unwrap());
    let running = Running::start(env.consumer().partition_concurrency(ONE_LANE).on(policy.of(store)).build().unwrap());
    assert_eq!(env.effects(40).await.len(), 40);
    running.stop().await.unwrap();
    let sql = "SELECT max(count) FROM (SELECT count(*) FROM effect GROUP BY xmin::text) AS batch";
    assert_eq!(env.client().await.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 4);
    assert_eq!(transactions(&env).await, 10);
}

async fn noted(note: &&'static str, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    let insert = "INSERT INTO effect (order_id, step, note) VALUES ($1, $2, $3)";
    tx.execute(insert, &[&event.event().order_id, &event.event().step, note]).await?;
    Ok(())
}

async fn noted_together(
    note: &&'static str,
    tx: &Transaction<'_>,
    events: Vec<Received<OrderCreated>>,
) -> HandlerResult {
    for event in events {
        noted(note, tx, event).await?;
    }
    Ok(())
}

async fn noted_raw(left: &AtomicU32, tx: &Transaction<'_>, event: Received<()>) -> HandlerResult {
    tx.execute("INSERT INTO effect (order_id, step, note) VALUES ($1, 0, 'raw')", &[&event.offset()]).await?;
    match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)) {
        Ok(_) => Err("not today".into()),
        Err(_) => Ok(()),
    }
}

#[tokio::test]
async fn several_handlers_of_an_event_are_called_in_order_and_take_effect_together() {
    let env = ConsumerEnv::with_partitions(1).await;
    env.produce_order(0, 1).await;
    let consumer = env.consumer().on(with("first", noted)).on_batch(with("second", noted_together)).on_raw(
        "order",
        "OrderCreated",
        with(AtomicU32::new(2), noted_raw),
    );
    let running = Running::start(consumer.build().unwrap());
    env.effects(3).await;
    env.held(EventState::Parked, 0).await;
    running.stop().await.unwrap();

    let rows = env.client().await.query("SELECT note FROM effect ORDER BY n", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["first", "second", "raw"]);
    assert_eq!(transactions(&env).await, 1);
}

#[tokio::test]
async fn a_handler_learns_the_number_of_its_attempt_and_whether_it_was_called_before() {
    let env = ConsumerEnv::with_partitions(1).await;
    type Seen = Mutex<Vec<(i64, u32, bool)>>;
    async fn look(seen: &&'static Seen, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        let delivery = (event.event().step, event.attempt(), event.is_redelivery());
        seen.lock().unwrap().push(delivery);
        if delivery.0 == 1 && delivery.1 < 3 { Err("not today".into()) } else { store(tx, event).await }
    }

    let seen: &'static Seen = shared(Seen::default());
    env.produce_step(0, 7, 0).await;
    env.produce_step(0, 7, 1).await;
    env.produce_step(0, 7, 2).await;
    let running = Running::start(env.consumer().on(with(seen, look)).build().unwrap());
    env.steps(3).await;
    running.stop().await.unwrap();
    let seen = seen.lock().unwrap();
    let of = |step| seen.iter().filter(move |(found, ..)| *found == step).map(|(_, attempt, again)| (*attempt, *again));

    // Its batch failed, so that it is handled again; both are the first attempt, as the policy counts them.
    assert_eq!(of(1).collect::<Vec<_>>()[..], [(1, false), (1, true), (2, true), (3, true)][..]);
    assert_eq!(of(0).next(), Some((1, false)));
    assert_eq!(of(2).next_back(), Some((1, false)));
}

#[tokio::test]
async fn a_savepoint_takes_back_only_what_is_within_it() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn tries(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        let nested = async {
            tx.execute("INSERT INTO effect (order_id, step) VALUES (100, 0)", &[]).await?;
            let refused = savepoint(tx, tx.execute("INSERT INTO no_such_table VALUES (1)", &[])).await?;
            assert!(refused.is_err());
            tx.execute("INSERT INTO effect (order_id, step) VALUES (101, 0)", &[]).await?;
            Ok::<_, HandlerError>(())
        };
        savepoint(tx, nested).await??;
        let given_up = async {
            tx.execute("INSERT INTO effect (order_id, step) VALUES (102, 0)", &[]).await?;
            Err::<(), HandlerError>("changed its mind".into())
        };

        assert!(savepoint(tx, given_up).await?.is_err());
        store(tx, event).await
    }

    env.produce_order(0, 1).await;
    let running = Running::start(env.consumer().on(tries).build().unwrap());

    assert_eq!(env.effects(3).await, [1, 100, 101]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_hook_sets_up_the_session_before_each_event_and_may_fail_it() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn set_tenant(calls: &AtomicU32, tx: &Transaction<'_>, event: Received<()>) -> HandlerResult {
        calls.fetch_add(1, Ordering::Relaxed);
        let Some(tenant) = event.envelope().headers.get("tenant") else {
            return Err(HandlerError::reject("no tenant"));
        };
        tx.execute("SELECT set_config('app.tenant', $1, true)", &[&tenant]).await?;
        Ok(())
    }
    async fn by_tenant(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        let insert = "INSERT INTO effect (order_id, step, note) SELECT $1, 0, current_setting('app.tenant')";
        tx.execute(insert, &[&event.event().order_id]).await?;
        Ok(())
    }

    for (order, tenant) in [(1, "acme"), (2, "umbrella")] {
        let event = OutboxEvent::from_event(&OrderCreated { order_id: order, step: 0 }).header("tenant", tenant);
        env.produce(0, &event.build().unwrap()).await;
    }

    env.produce_order(0, 3).await;
    let consumer = env.consumer().before_each(with(AtomicU32::new(0), set_tenant)).on(by_tenant);
    let running = Running::start(consumer.build().unwrap());
    assert_eq!(env.held(EventState::Dead, 1).await[0].error, "no tenant");
    assert_eq!(env.effects(2).await, [1, 2]);
    running.stop().await.unwrap();
    let rows = env.client().await.query("SELECT note FROM effect ORDER BY order_id", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["acme", "umbrella"]);
}

#[tokio::test]
async fn an_event_needs_only_its_type_to_be_consumed() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn paid(tx: &Transaction<'_>, event: Received<Paid>) -> HandlerResult {
        tx.execute("INSERT INTO effect (order_id, step) VALUES ($1, 0)", &[&event.event().order_id]).await?;
        Ok(())
    }
    produce_paid(&env, 5).await;
    let consumer = env.consumer().on(paid);
    let running = Running::start(consumer.build().unwrap());
    assert_eq!(env.effects(1).await, [5]);
    running.stop().await.unwrap();
}
