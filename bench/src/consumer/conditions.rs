use outbox_kafka_consumer::{Builder, with};
use serde::Serialize;

use super::effects::{Effect, apply, consumed_now};
use super::events::{ARRIVAL, FullTopic};
use crate::percentile::median;
use crate::{Outcome, report};

/// Effects a second under conditions of a long life, as fractions of the rate with an empty inbox and no old snapshot.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Conditions {
    pub(super) full_inbox_fraction: Option<f64>,
    pub(super) old_snapshot_fraction: Option<f64>,
    inbox_rows: u64,
    normal: Vec<f64>,
    full_inbox: Vec<f64>,
    old_snapshot: Vec<f64>,
}

/// The number of times that a position is moved in 30 minutes.
const MOVES: u32 = 1_800;
const FULL: &str = "bench-full";

pub(super) async fn compare(full: &FullTopic, rounds: u32, inbox_rows: u64) -> Outcome<Conditions> {
    let (mut normal, mut full_inbox, mut old_snapshot) = (Vec::new(), Vec::new(), Vec::new());
    full.fill_inbox(FULL, inbox_rows).await?;
    for round in 0..rounds {
        full.reset().await?;
        normal.push(rate(full, format!("bench-normal-{round}")).await?);
        full.reset().await?;
        old_snapshot.push(rate_with_old_snapshot(full, format!("bench-snapshot-{round}")).await?);
        full.reset().await?;
        full.enlarge_inbox().await?;
        let measured = rate(full, FULL.to_owned()).await;
        full.empty_inbox().await?;
        full_inbox.push(measured?);
        full.forget(FULL).await?;
    }

    let fraction = |rates: &[f64]| Some(median(rates)? / median(&normal)?);
    let (full_inbox_fraction, old_snapshot_fraction) = (fraction(&full_inbox), fraction(&old_snapshot));
    report(&format!(
        "  {full_inbox_fraction:.2?} with {inbox_rows} known events, {old_snapshot_fraction:.2?} with an old snapshot"
    ));
    Ok(Conditions { full_inbox_fraction, old_snapshot_fraction, inbox_rows, normal, full_inbox, old_snapshot })
}

async fn rate(full: &FullTopic, group: String) -> Outcome<f64> {
    let register = |builder: Builder, calls| builder.on(with(Effect::new(ARRIVAL, calls), apply));
    let rate = consumed_now(full, group, register).await?;
    match full.arrivals_out_of_order().await? {
        0 => Ok(rate),
        disorder => Err(format!("no figure: {disorder} effects out of order").into()),
    }
}

/// Measures the rate next to an old snapshot, which is held while the positions move as often as in 30 minutes, and
/// while the effects are measured.
async fn rate_with_old_snapshot(full: &FullTopic, group: String) -> Outcome<f64> {
    let (holder, mover) = (full.env.client().await, full.env.client().await);
    let positions = format!(
        "INSERT INTO outbox.consumer_position (consumer_group, topic, partition, next_offset)
         SELECT '{group}', '{}', n, 0 FROM generate_series(0, {} - 1) AS n",
        full.env.topic(),
        full.topic.partitions(),
    );
    mover.batch_execute(&positions).await?;
    holder.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM ledger LIMIT 1").await?;
    let moved = format!("UPDATE outbox.consumer_position SET updated_at = now() WHERE consumer_group = '{group}'");
    for _ in 0..MOVES {
        mover.batch_execute(&moved).await?;
    }

    let measured = rate(full, group).await;
    holder.batch_execute("ROLLBACK").await?;
    measured
}
