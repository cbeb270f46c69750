use serde::Serialize;
use tokio_postgres::IsolationLevel;

use super::outbox_env::{OutboxEnvs, SynchronousCommit};
use super::writer::{Way, Writer};
use crate::Outcome;
use crate::percentile::median;

/// Milliseconds of transactions of 1,000 events, turn by turn.
#[derive(Debug, Default, Serialize)]
pub(super) struct Batch {
    pub(super) single_cached_ms: Vec<f64>,
    pub(super) single_uncached_ms: Vec<f64>,
    pub(super) all_ms: Vec<f64>,
    pub(super) all_in_partitions_ms: Vec<f64>,
    pub(super) all_vanishing_ms: Vec<f64>,
}

const EVENTS: u64 = 1_000;

pub(super) async fn compare(envs: &OutboxEnvs, turns: u32, commit: SynchronousCommit) -> Outcome<Batch> {
    let all = [&envs.keep, &envs.partitions, &envs.vanish];
    for env in all {
        env.settle().await?;
    }

    let writer = async |env| {
        let isolation = IsolationLevel::ReadCommitted;
        Writer::new(env, env.session(commit).await?, isolation, 0).await
    };
    let mut keep = writer(&envs.keep).await?;
    let mut partitions = writer(&envs.partitions).await?;
    let mut vanish = writer(&envs.vanish).await?;
    let mut batch = Batch::default();

    for turn in 0..=turns {
        let times = [
            keep.transaction(Way::Cached, EVENTS).await?,
            keep.transaction(Way::All, EVENTS).await?,
            keep.transaction(Way::Unnamed, EVENTS).await?,
            partitions.transaction(Way::All, EVENTS).await?,
            vanish.transaction(Way::All, EVENTS).await?,
        ];
        // The first turn of each is its warm-up.
        if turn > 0 {
            let [cached, all, uncached, in_partitions, vanishing] = times.map(|seconds| seconds * 1_000.0);
            batch.single_cached_ms.push(cached);
            batch.single_uncached_ms.push(uncached);
            batch.all_ms.push(all);
            batch.all_in_partitions_ms.push(in_partitions);
            batch.all_vanishing_ms.push(vanishing);
        }
    }

    for (env, writer) in all.into_iter().zip([keep, partitions, vanish]) {
        env.check(writer.written()).await?;
    }
    Ok(batch)
}

/// Returns how many times as long as the other's turn each turn took; the median of that.
pub(super) fn ratio(own: &[f64], other: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| own / other).collect();
    median(&ratios)
}
