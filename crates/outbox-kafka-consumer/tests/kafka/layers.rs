//! Middleware around handlers.

use std::sync::atomic::{AtomicU32, Ordering};

use outbox_core::{DomainEvent as _, OutboxEvent};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::testing::{Delivered, Trial};
use outbox_kafka_consumer::{
    EventState, FailureKind, HandlerError, HandlerResult, Next, Received, SideEffectNext, savepoint, with,
};

use crate::driver::{DRIVERS, Pool, Tx};
use crate::env::{ConsumerEnv, OrderCreated, Running};

/// Notes the layers that were passed before a handler, for each of its events.
async fn note(tx: &mut dyn Tx, handler: &str, events: usize) -> HandlerResult {
    for _ in 0..events {
        let note = format!("concat('{handler}', current_setting('app.layers', true))");
        tx.run(&format!("INSERT INTO effect (order_id, step, note) VALUES (1, 0, {note})")).await?;
    }
    Ok(())
}

/// Notes a call after its handler, with the number of its events.
async fn note_call(tx: &mut dyn Tx, events: usize) -> HandlerResult {
    tx.run(&format!("INSERT INTO effect (order_id, step, note) VALUES (0, {events}, 'call')")).await
}

mod on_tokio_postgres {
    use super::*;

    pub(super) async fn outer(name: &&'static str, tx: &Transaction<'_>, next: Next<'_>) -> HandlerResult {
        tx.batch_execute(&format!("SET LOCAL app.layers = ' {name}'")).await?;
        next.run(tx).await
    }

    pub(super) async fn inner(mut tx: &Transaction<'_>, next: Next<'_>) -> HandlerResult {
        let events = next.events().len();
        tx.batch_execute("SELECT set_config('app.layers', current_setting('app.layers') || ' inner', true)").await?;
        next.run(tx).await?;
        note_call(&mut tx, events).await
    }

    pub(super) async fn one(mut tx: &Transaction<'_>, _: Received<OrderCreated>) -> HandlerResult {
        note(&mut tx, "one", 1).await
    }

    pub(super) async fn many(mut tx: &Transaction<'_>, events: Vec<Received<OrderCreated>>) -> HandlerResult {
        note(&mut tx, "many", events.len()).await
    }

    pub(super) async fn raw(name: &&'static str, mut tx: &Transaction<'_>, _: Received<()>) -> HandlerResult {
        note(&mut tx, name, 1).await
    }
}

#[cfg(feature = "sqlx")]
mod on_sqlx {
    use outbox_kafka_consumer::sqlx::Next;
    use sqlx::{Executor as _, Postgres};

    use super::*;

    type Transaction<'a> = sqlx::Transaction<'a, Postgres>;

    pub(super) async fn outer(name: &&'static str, tx: &mut Transaction<'_>, next: Next<'_>) -> HandlerResult {
        Tx::run(&mut &mut *tx, &format!("SET LOCAL app.layers = ' {name}'")).await?;
        next.run(tx).await
    }

    pub(super) async fn inner(mut tx: &mut Transaction<'_>, next: Next<'_>) -> HandlerResult {
        let events = next.events().len();
        tx.execute("SELECT set_config('app.layers', current_setting('app.layers') || ' inner', true)").await?;
        next.run(tx).await?;
        note_call(&mut tx, events).await
    }

    pub(super) async fn one(mut tx: &mut Transaction<'_>, _: Received<OrderCreated>) -> HandlerResult {
        note(&mut tx, "one", 1).await
    }

    pub(super) async fn many(mut tx: &mut Transaction<'_>, events: Vec<Received<OrderCreated>>) -> HandlerResult {
        note(&mut tx, "many", events.len()).await
    }

    pub(super) async fn raw(name: &&'static str, mut tx: &mut Transaction<'_>, _: Received<()>) -> HandlerResult {
        note(&mut tx, name, 1).await
    }
}

#[tokio::test]
async fn every_handler_in_a_transaction_runs_within_the_layers_on_both_drivers() {
    macro_rules! consumer {
        ($builder:expr, $pool:expr, $handlers:ident) => {
            $builder
                .pool($pool.clone())
                .layer(with("outer", $handlers::outer))
                .layer($handlers::inner)
                .on($handlers::one)
                .on_batch($handlers::many)
                .on_raw("order", "Raw", with("raw", $handlers::raw))
                .otherwise(with("other", $handlers::raw))
                .build()
                .unwrap()
        };
    }
    for driver in DRIVERS {
        let env = ConsumerEnv::with_partitions(1).await;
        for id in 0..3 {
            env.produce_order_of_key(0, "7", id).await;
        }
        for event_type in ["Raw", "Else"] {
            env.produce(0, &OutboxEvent::builder("order", "7", event_type).build().unwrap()).await;
        }
        let running = Running::start(match driver.pool(env.url(), 8) {
            Pool::TokioPostgres(pool) => consumer!(env.consumer(), pool, on_tokio_postgres),
            #[cfg(feature = "sqlx")]
            Pool::Sqlx(pool) => consumer!(env.sqlx_consumer(), pool, on_sqlx),
        });
        env.position(0, 5).await;
        running.stop().await.unwrap();

        let notes = "SELECT note, count(*), sum(step)::bigint FROM effect GROUP BY note ORDER BY note";
        let rows = env.client().await.query(notes, &[]).await.unwrap();
        let found: Vec<(&str, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        // A batch has one call.
        let calls = found[0].1;
        assert!((6..=8).contains(&calls) && rows[0].get::<_, i64>(2) == 8, "{found:?}");
        let within =
            [("many outer inner", 3), ("one outer inner", 3), ("other outer inner", 1), ("raw outer inner", 1)];
        assert_eq!(found, [&[("call", calls)][..], &within].concat(), "{driver:?}");
    }
}

#[tokio::test]
async fn the_effects_of_a_layer_happen_once_with_those_of_the_handler() {
    let env = ConsumerEnv::with_partitions(1).await;
    async fn flaky(failures: &AtomicU32, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        on_tokio_postgres::one(tx, event).await?;
        if failures.fetch_add(1, Ordering::Relaxed) < 2 { Err("not yet".into()) } else { Ok(()) }
    }
    let layers = env.consumer().layer(with("outer", on_tokio_postgres::outer)).layer(on_tokio_postgres::inner);
    let running = Running::start(layers.on(with(AtomicU32::new(0), flaky)).build().unwrap());
    env.produce_order(0, 7).await;
    assert_eq!(env.steps(2).await, [(1, 0), (0, 1)]);
    env.held(EventState::Parked, 0).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_result_of_a_layer_is_that_of_the_handler() {
    let env = ConsumerEnv::without_topic().await;
    let pool = env.pool();

    async fn handle(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        tx.execute("INSERT INTO effect (order_id, step) VALUES ($1, 1)", &[&event.event().order_id]).await?;
        if event.event().step == 13 { Err(HandlerError::reject("unlucky")) } else { Ok(()) }
    }
    async fn layer(tx: &Transaction<'_>, next: Next<'_>) -> HandlerResult {
        match next.event().envelope().headers.get("layer") {
            Some("skip") => Ok(()),
            Some("ignore") => {
                _ = savepoint(tx, next.run(tx)).await?;
                Ok(())
            }
            Some("panic") => panic!("on purpose"),
            Some("later") => next.run(tx).await.map_err(|e| HandlerError::retry(e.to_string())),
            _ => next.run(tx).await,
        }
    }

    let consumer = env.consumer().layer(layer).on(handle).build().unwrap();
    let event = |order_id, step, way| {
        OutboxEvent::from_event(&OrderCreated { order_id, step }).header("layer", way).build().unwrap()
    };

    let mut client = pool.get().await.unwrap();
    let mut trial = Trial::begin(&consumer, &mut client).await.unwrap();
    for order in [event(1, 0, "run"), event(2, 0, "skip"), event(3, 13, "ignore")] {
        assert_eq!(trial.deliver(&order).await.unwrap(), Delivered::Handled);
        assert_eq!(trial.deliver(&order).await.unwrap(), Delivered::Duplicate);
    }
    let found = trial.transaction().query("SELECT order_id FROM effect", &[]).await.unwrap();
    assert_eq!(found.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [1]);

    let unreadable = OutboxEvent::builder("order", "1", OrderCreated::EVENT_TYPE).schema_version(3).json("{}");
    for (event, kind, retried) in [
        (event(4, 13, "run"), FailureKind::Rejected, false),
        (event(5, 13, "later"), FailureKind::Failed, true),
        (event(6, 0, "panic"), FailureKind::Panicked, true),
        (unreadable.build().unwrap(), FailureKind::Undecodable, false),
    ] {
        let failed = trial.deliver(&event).await.unwrap_err();
        assert_eq!((failed.kind(), failed.retry_in().is_some()), (kind, retried), "{failed}");
    }
}

#[tokio::test]
async fn a_layer_cannot_run_the_handler_in_another_transaction() {
    let env = ConsumerEnv::without_topic().await;
    let pool = env.pool();
    type Other = outbox_kafka_consumer::deadpool_postgres::Pool;
    async fn elsewhere(pool: &Other, _: &Transaction<'_>, next: Next<'_>) -> HandlerResult {
        let mut client = pool.get().await?;
        next.run(&client.transaction().await?).await
    }

    let consumer = env.consumer().layer(with(pool.clone(), elsewhere)).on(on_tokio_postgres::one).build().unwrap();
    let mut client = pool.get().await.unwrap();
    let mut trial = Trial::begin(&consumer, &mut client).await.unwrap();
    let order = OutboxEvent::from_event(&OrderCreated { order_id: 1, step: 0 }).build().unwrap();
    let failed = trial.deliver(&order).await.unwrap_err();
    assert_eq!(failed.to_string(), "a layer has passed on another transaction than its own");
}

#[tokio::test]
async fn a_handler_outside_of_a_transaction_runs_within_its_own_layers() {
    let env = ConsumerEnv::with_partitions(1).await;
    static CALLS: AtomicU32 = AtomicU32::new(0);
    async fn counted(calls: &&'static AtomicU32, next: SideEffectNext<'_>) -> HandlerResult {
        assert_eq!(next.events().len(), 1);
        calls.fetch_add(1, Ordering::Relaxed);
        next.run().await
    }
    async fn impatient(next: SideEffectNext<'_>) -> HandlerResult {
        if next.event().attempt() == 1 { Err("the first attempt".into()) } else { next.run().await }
    }
    async fn call(_: Received<OrderCreated>) -> HandlerResult {
        CALLS.fetch_add(100, Ordering::Relaxed);
        Ok(())
    }

    // A layer of handlers in transactions is not called.
    let layers = env.consumer().layer(on_tokio_postgres::inner);
    let layers = layers.layer_side_effect(with(&CALLS, counted)).layer_side_effect(impatient);
    let running = Running::start(layers.on_side_effect(call).build().unwrap());
    env.produce_order(0, 7).await;
    env.position(0, 1).await;
    outbox_test_support::eventually("the second attempt".to_owned(), async || {
        let calls = CALLS.load(Ordering::Relaxed);
        if calls == 102 { Ok(()) } else { Err(calls) }
    })
    .await;

    running.stop().await.unwrap();
    assert_eq!(env.inbox().await, ["handled"]);
}
