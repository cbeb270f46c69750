use serde::Serialize;
use tokio_postgres::IsolationLevel;

use super::writer::{Way, Writer};
use super::{Options, Stands, SynchronousCommit};
use crate::Outcome;
use crate::percentile::{median, percentile};

/// Transactions of one event, by each way.
#[derive(Debug, Serialize)]
pub(super) struct Single {
    pub(super) without_outbox: Turns,
    pub(super) handwritten: Turns,
    pub(super) cached: Turns,
    pub(super) uncached: Turns,
    pub(super) cached_in_partitions: Turns,
    pub(super) cached_vanishing: Turns,
}

/// The turns of one way.
#[derive(Debug, Serialize)]
pub(super) struct Turns {
    p50_ms: f64,
    p99_ms: f64,
    /// The mean transaction of each turn.
    turns_ms: Vec<f64>,
    /// The median transaction of each turn.
    medians_ms: Vec<f64>,
    #[serde(skip)]
    each_ms: Vec<f64>,
}

/// Transactions of each way that do not count.
const WARM_UP: u32 = 200;

pub(super) async fn compare(stands: &Stands, options: &Options, commit: SynchronousCommit) -> Outcome<Single> {
    let all = [&stands.keep, &stands.partitions, &stands.vanish];
    for stand in all {
        stand.settle().await?;
    }
    let writer = async |stand| {
        let isolation = IsolationLevel::ReadCommitted;
        Writer::new(stand, stand.session(commit).await?, isolation, 0).await
    };
    let mut keep = writer(&stands.keep).await?;
    let mut partitions = writer(&stands.partitions).await?;
    let mut vanish = writer(&stands.vanish).await?;
    let mut single = Single {
        without_outbox: Turns::new(),
        handwritten: Turns::new(),
        cached: Turns::new(),
        uncached: Turns::new(),
        cached_in_partitions: Turns::new(),
        cached_vanishing: Turns::new(),
    };
    for turn in 0..=options.pairs {
        // The first turn of each is its warm-up.
        let transactions = if turn == 0 { WARM_UP } else { options.transactions };
        single.without_outbox.take(&mut keep, Way::None, transactions, turn).await?;
        single.handwritten.take(&mut keep, Way::Handwritten, transactions, turn).await?;
        single.cached.take(&mut keep, Way::Cached, transactions, turn).await?;
        single.uncached.take(&mut keep, Way::Unnamed, transactions, turn).await?;
        single.cached_in_partitions.take(&mut partitions, Way::Cached, transactions, turn).await?;
        single.cached_vanishing.take(&mut vanish, Way::Cached, transactions, turn).await?;
    }
    for (stand, writer) in all.into_iter().zip([keep, partitions, vanish]) {
        stand.check(writer.written()).await?;
    }
    Ok(single)
}

impl Turns {
    fn new() -> Self {
        Self { p50_ms: 0.0, p99_ms: 0.0, turns_ms: Vec::new(), medians_ms: Vec::new(), each_ms: Vec::new() }
    }

    async fn take(&mut self, writer: &mut Writer, way: Way, transactions: u32, turn: u32) -> Outcome<()> {
        let mut times = Vec::new();
        for _ in 0..transactions {
            times.push(writer.transaction(way, 1).await? * 1_000.0);
        }
        if turn == 0 {
            return Ok(());
        }
        self.turns_ms.push(times.iter().sum::<f64>() / times.len() as f64);
        self.medians_ms.extend(median(&times));
        self.each_ms.extend(times);
        self.p50_ms = percentile(&self.each_ms, 50.0).unwrap_or_default();
        self.p99_ms = percentile(&self.each_ms, 99.0).unwrap_or_default();
        Ok(())
    }

    /// How many times as long as the other's turn each turn took; the median of that.
    pub(super) fn ratio_to(&self, other: &Self) -> Option<f64> {
        let ratios: Vec<f64> = self.turns_ms.iter().zip(&other.turns_ms).map(|(own, other)| own / other).collect();
        median(&ratios)
    }

    /// How much longer than the other's the median transaction of each turn took; the median of that.
    pub(super) fn added_to(&self, other: &Self) -> Option<f64> {
        let added: Vec<f64> = self.medians_ms.iter().zip(&other.medians_ms).map(|(own, other)| own - other).collect();
        median(&added)
    }
}
