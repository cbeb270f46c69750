use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::engine::Kind;
use super::primed::{self, PRIMERS};
use super::setting::Setting;
use crate::load::{Load, Rate};
use crate::percentile::percentile;
use crate::{Outcome, report};

/// The time that rows may be on their way after the last one was written.
const ARRIVAL: Duration = Duration::from_secs(120);
const WARM_UP: u32 = 2;

/// Times from the return of COMMIT in the writer until a waiting reader has the record in its hands, checked.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) engine: Kind,
    pub(crate) wanted_rows_per_second: u32,
    /// The rate that the writers reached.
    pub(crate) rows_per_second: f64,
    pub(crate) rows: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

pub(crate) async fn run(setting: &Setting, kind: Kind, rate: Rate, seconds: u32) -> Outcome<Latency> {
    let Rate { rows_per_second, .. } = rate;
    report(&format!("latency of {kind} at {rows_per_second} rows/s"));
    let (env, mut tail, mut engine) = primed::start(setting, kind).await?;

    let measured = PRIMERS + u64::from(rows_per_second * WARM_UP);
    let end = measured + u64::from(rows_per_second * seconds);
    let commits = Load::start(&env, rate, PRIMERS..end).await?.finish().await?;
    let complete = tail.wait(ARRIVAL, "all records came", |received| received.ledger.distinct() >= end).await;
    engine.judged(complete)?;
    engine.stop()?;
    let received = tail.finish();
    let audit = received.ledger.audit(0..end);
    if !audit.is_clean() {
        return Err(format!("the latency of {kind} at {rows_per_second} rows/s has no figure: {audit}").into());
    }

    let arrivals: HashMap<_, _> = received.arrivals.into_iter().collect();
    let mut times = Vec::new();
    let (mut first, mut last) = (None, None);

    for (number, committed) in commits.into_iter().filter(|(number, _)| *number >= measured) {
        let Some(arrived) = arrivals.get(&number) else { continue };
        // A record may be readable before COMMIT has returned.
        times.push(arrived.saturating_duration_since(committed).as_secs_f64() * 1_000.0);
        first = Some(first.map_or(committed, |first| committed.min(first)));
        last = last.max(Some(committed));
    }

    let span = first.zip(last).map_or(0.0, |(first, last)| (last - first).as_secs_f64());
    let of = |percent| percentile(&times, percent).ok_or("no row was measured");
    let latency = Latency {
        engine: kind,
        wanted_rows_per_second: rows_per_second,
        rows_per_second: (times.len() as f64 - 1.0) / span,
        rows: times.len() as u64,
        p50_ms: of(50.0)?,
        p99_ms: of(99.0)?,
        max_ms: of(100.0)?,
    };
    report(&format!("  {kind}: p50 {:.1} ms, p99 {:.1} ms, {audit}", latency.p50_ms, latency.p99_ms));
    Ok(latency)
}
