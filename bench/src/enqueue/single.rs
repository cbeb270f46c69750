use serde::Serialize;
use tokio_postgres::IsolationLevel;

use super::options::Options;
use super::outbox_env::{OutboxEnvs, SynchronousCommit};
use super::writer::{Way, Writer};
use crate::Outcome;
use crate::percentile::{median, percentile};

/// Transactions of one event, by each way.
#[derive(Debug, Default, Serialize)]
pub(super) struct Single {
    pub(super) without_outbox: Turns,
    pub(super) handwritten: Turns,
    /// The same once more: what it differs by is noise.
    pub(super) handwritten_again: Turns,
    pub(super) cached: Turns,
    pub(super) uncached: Turns,
    /// Cached, once more next to the other lives of a row.
    pub(super) keep: Turns,
    pub(super) in_partitions: Turns,
    pub(super) vanish: Turns,
    pub(super) message: Turns,
}

/// The turns of one way.
#[derive(Debug, Default, Serialize)]
pub(super) struct Turns {
    p50_ms: f64,
    p99_ms: f64,
    /// The mean transaction of each turn.
    turns_ms: Vec<f64>,
    /// The median transaction of each turn.
    medians_ms: Vec<f64>,
    #[serde(skip)]
    turn: Vec<f64>,
    #[serde(skip)]
    each_ms: Vec<f64>,
}

/// Transactions of each way that do not count.
const WARM_UP: u32 = 200;

pub(super) async fn compare(envs: &OutboxEnvs, options: &Options, commit: SynchronousCommit) -> Outcome<Single> {
    let all = [&envs.keep, &envs.partitions, &envs.vanish, &envs.message];
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
    let mut message = writer(&envs.message).await?;
    let mut single = Single::default();

    for turn in 0..=options.pairs {
        // The first turn of each is its warm-up.
        let transactions = if turn == 0 { WARM_UP } else { options.transactions };

        // One transaction of each way after the other, there and back: all meet the same moods of the machine, and what
        // one leaves behind.
        for _ in 0..transactions.div_ceil(2) {
            single.without_outbox.take(&mut keep, Way::None).await?;
            single.handwritten.take(&mut keep, Way::Handwritten).await?;
            single.cached.take(&mut keep, Way::Cached).await?;
            single.handwritten_again.take(&mut keep, Way::Handwritten).await?;
            single.uncached.take(&mut keep, Way::Unnamed).await?;
            single.uncached.take(&mut keep, Way::Unnamed).await?;
            single.handwritten_again.take(&mut keep, Way::Handwritten).await?;
            single.cached.take(&mut keep, Way::Cached).await?;
            single.handwritten.take(&mut keep, Way::Handwritten).await?;
            single.without_outbox.take(&mut keep, Way::None).await?;
        }

        for _ in 0..transactions.div_ceil(2) {
            single.keep.take(&mut keep, Way::Cached).await?;
            single.in_partitions.take(&mut partitions, Way::Cached).await?;
            single.vanish.take(&mut vanish, Way::Cached).await?;
            single.message.take(&mut message, Way::Cached).await?;
            single.message.take(&mut message, Way::Cached).await?;
            single.vanish.take(&mut vanish, Way::Cached).await?;
            single.in_partitions.take(&mut partitions, Way::Cached).await?;
            single.keep.take(&mut keep, Way::Cached).await?;
        }

        for turns in single.ways() {
            let times = std::mem::take(&mut turns.turn);
            if turn > 0 {
                turns.end(times);
            }
        }
    }

    for (env, writer) in all.into_iter().zip([keep, partitions, vanish, message]) {
        env.check(writer.written()).await?;
    }
    Ok(single)
}

impl Single {
    fn ways(&mut self) -> [&mut Turns; 9] {
        [
            &mut self.without_outbox,
            &mut self.handwritten,
            &mut self.handwritten_again,
            &mut self.cached,
            &mut self.uncached,
            &mut self.keep,
            &mut self.in_partitions,
            &mut self.vanish,
            &mut self.message,
        ]
    }
}

impl Turns {
    async fn take(&mut self, writer: &mut Writer, way: Way) -> Outcome<()> {
        self.turn.push(writer.transaction(way, 1).await? * 1_000.0);
        Ok(())
    }

    fn end(&mut self, times: Vec<f64>) {
        self.turns_ms.push(times.iter().sum::<f64>() / times.len() as f64);
        self.medians_ms.extend(median(&times));
        self.each_ms.extend(times);
        self.p50_ms = percentile(&self.each_ms, 50.0).unwrap_or_default();
        self.p99_ms = percentile(&self.each_ms, 99.0).unwrap_or_default();
    }

    /// Returns how many times as long as the other's turn each turn took; the median of that.
    pub(super) fn ratio_to(&self, other: &Self) -> Option<f64> {
        let ratios: Vec<f64> = self.turns_ms.iter().zip(&other.turns_ms).map(|(own, other)| own / other).collect();
        median(&ratios)
    }

    /// Returns how much longer than the other's the median transaction of each turn took; the median of that.
    pub(super) fn added_to(&self, other: &Self) -> Option<f64> {
        let added: Vec<f64> = self.medians_ms.iter().zip(&other.medians_ms).map(|(own, other)| own - other).collect();
        median(&added)
    }
}
