use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::{Pool, Transaction};
use outbox_core::DomainEvent as _;
use outbox_kafka_consumer::{Builder, Consumer, HandlerResult, Received, with};
use serde::Serialize;
use tokio::sync::oneshot;

use super::events::{EFFECT, EFFECTS, FullTopic, OrderPlaced, SHARED_EFFECT};
use super::naive;
use crate::percentile::median;
use crate::{Outcome, report};

/// Events a second whose effects are committed exactly once, and for comparison one transaction for each event.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Effects {
    pub(super) per_second: f64,
    pub(super) ratio: Option<f64>,
    /// With a batch handler.
    pub(super) batch_ratio: Option<f64>,
    consumer: Vec<f64>,
    batch: Vec<f64>,
    naive: Vec<f64>,
}

/// The same if events of all aggregates change 1,000 rows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Shared {
    pub(super) per_second: f64,
    pub(super) ratio: Option<f64>,
    consumer: Vec<f64>,
    naive: Vec<f64>,
}

const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);

/// The number of events that handlers were called with.
pub(super) type Calls = Arc<AtomicU64>;

/// The statement of a handler for single events.
pub(super) struct Effect {
    sql: &'static str,
    calls: Calls,
}

impl Effect {
    pub(super) fn new(sql: &'static str, calls: Calls) -> Self {
        Self { sql, calls }
    }
}

/// Compares single handlers, a batch handler with this size of batches and number of workers for each partition, and a
/// transaction for each event.
pub(super) async fn compare(
    full: &FullTopic,
    rounds: u32,
    (batch_size, workers): (NonZeroUsize, NonZeroUsize),
) -> Outcome<Effects> {
    let (mut consumer, mut batch, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let each = |builder: Builder, calls| builder.on(with(Effect::new(EFFECT, calls), apply));
        let single = consumed(full, format!("bench-{round}"), each).await?;
        let all = |builder: Builder, calls| {
            builder.max_batch_size(batch_size).partition_concurrency(workers).on_batch(with(calls, apply_all))
        };
        let batches = consumed(full, format!("bench-batch-{round}"), all).await?;
        full.reset().await?;
        let one_by_one = naive::rate(full, EFFECT).await?;
        report(&format!("  {single:.0} effects/s, {batches:.0} in batches, {one_by_one:.0} one by one"));
        consumer.push(single);
        batch.push(batches);
        naive.push(one_by_one);
    }

    let per_second = median(&consumer).ok_or("no round was measured")?;
    let ratio = |rates: &[f64]| Some(median(rates)? / median(&naive)?);
    Ok(Effects { per_second, ratio: ratio(&consumer), batch_ratio: ratio(&batch), consumer, batch, naive })
}

/// Compares handlers that share rows, with a worker for each partition on both sides.
pub(super) async fn compare_shared(full: &FullTopic, rounds: u32) -> Outcome<Shared> {
    let (mut consumer, mut naive) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let register = |builder: Builder, calls| {
            let handler = with(Effect::new(SHARED_EFFECT, calls), apply);
            builder.partition_concurrency(NonZeroUsize::MIN).on(handler)
        };
        let batches = consumed(full, format!("bench-shared-{round}"), register).await?;
        full.reset().await?;
        let one_by_one = naive::rate(full, SHARED_EFFECT).await?;
        report(&format!("  {batches:.0} effects/s on shared rows, {one_by_one:.0} one by one"));
        consumer.push(batches);
        naive.push(one_by_one);
    }

    let per_second = median(&consumer).ok_or("no round was measured")?;
    Ok(Shared { per_second, ratio: median(&naive).map(|naive| per_second / naive), consumer, naive })
}

async fn consumed(full: &FullTopic, group: String, register: impl FnOnce(Builder, Calls) -> Builder) -> Outcome<f64> {
    full.reset().await?;
    consumed_now(full, group, register).await
}

/// Measures the rate from the first call to the last effect.
pub(super) async fn consumed_now(
    full: &FullTopic,
    group: String,
    register: impl FnOnce(Builder, Calls) -> Builder,
) -> Outcome<f64> {
    let pool = full.env.pool_of(24);
    let builder =
        Consumer::builder([full.env.brokers()]).pipeline(full.env.pipeline().clone()).group(group).pool(pool.clone());
    let calls = Calls::default();
    let consumer = register(builder, Arc::clone(&calls)).build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(consumer.run(async { _ = stopped.await }));
    let measured = seconds(full, &pool, &calls).await;
    _ = stop.send(());
    running.await??;

    let (count, disorder) = full.effects(&pool).await?;
    if (count, disorder) != (full.events, 0) {
        let events = full.events;
        return Err(format!("no figure: {count} effects of {events} events, {disorder} out of order").into());
    }
    measured
}

/// Measures from the first call of a handler to the last effect. Calls are counted, which costs nothing, until the
/// last one; then the effects are.
async fn seconds(full: &FullTopic, pool: &Pool, calls: &AtomicU64) -> Outcome<f64> {
    let deadline = Instant::now() + PATIENCE;
    let mut begun = None;
    loop {
        let called = calls.load(Ordering::Relaxed);
        let effects = if called < full.events { 0 } else { full.effects(pool).await?.0 };
        let now = Instant::now();
        match begun {
            None if called > 0 => begun = Some(now),
            Some(since) if effects >= full.events => return Ok(effects as f64 / (now - since).as_secs_f64()),
            _ if now > deadline => return Err(format!("not all effects within {} s", PATIENCE.as_secs()).into()),
            _ => {}
        }
        tokio::time::sleep(POLL).await;
    }
}

pub(super) async fn apply(effect: &Effect, tx: &Transaction<'_>, event: Received<OrderPlaced>) -> HandlerResult {
    effect.calls.fetch_add(1, Ordering::Relaxed);
    let statement = tx.prepare_cached(effect.sql).await?;
    let (aggregate, n) = (event.event().aggregate_id(), event.event().n);
    match tx.execute(&statement, &[&aggregate, &n]).await? {
        1 => Ok(()),
        _ => Err("no such row".into()),
    }
}

async fn apply_all(calls: &Calls, tx: &Transaction<'_>, events: Vec<Received<OrderPlaced>>) -> HandlerResult {
    calls.fetch_add(events.len() as u64, Ordering::Relaxed);
    let effects = tx.prepare_cached(EFFECTS).await?;
    let (aggregates, numbers): (Vec<String>, Vec<i64>) =
        events.iter().map(|event| (event.event().aggregate_id(), event.event().n)).unzip();
    tx.execute(&effects, &[&aggregates, &numbers]).await?;
    Ok(())
}
