use std::ops::Range;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::engine::{Engine, Kind};
use super::limit::{self, Peek};
use super::setting::Setting;
use crate::process::{CpuSeconds, peak_resident_mb, resident_mb};
use crate::run_env::{RunEnv, Shape};
use crate::{Outcome, report};

const POLL: Duration = Duration::from_millis(5);
/// The time that the topic may stay as it is before the engine is looked at, and before it is given up.
const LOOK: Duration = Duration::from_secs(10);
const GIVE_UP: Duration = Duration::from_secs(120);

/// A backlog that an engine has read to its end, checked.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Drain {
    pub(crate) engine: Kind,
    pub(crate) shape: Shape,
    pub(crate) partitions: i32,
    /// The records that the topic had before.
    pub(crate) records_before: u64,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) rows_per_second: f64,
    pub(crate) first_record_seconds: f64,
    pub(crate) rows_per_second_from_first_record: f64,
    pub(crate) cpu_seconds: CpuSeconds,
    pub(crate) peak_resident_mb: Option<f64>,
    pub(crate) resident_mb: Option<f64>,
    pub(crate) bytes_per_row: Option<f64>,
}

/// The figure that a drain is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Nothing,
    Limit,
}

/// Lets an engine drain a backlog that is there before its start.
pub(crate) async fn run(
    setting: &Setting,
    kind: Kind,
    shape: Shape,
    rows: u64,
    comparison: Comparison,
) -> Outcome<(Drain, Option<Peek>)> {
    let env = setting.env().await?;
    of(setting, &env, kind, shape, 0..rows, comparison).await
}

/// Lets an engine drain these rows into a topic that has those before them.
pub(crate) async fn of(
    setting: &Setting,
    env: &RunEnv,
    kind: Kind,
    shape: Shape,
    numbers: Range<u64>,
    comparison: Comparison,
) -> Outcome<(Drain, Option<Peek>)> {
    let Range { start: records_before, end } = numbers;
    let rows = end.saturating_sub(records_before);
    report(&format!("drain by {kind}: writing {rows} rows, {shape}"));
    env.fill(shape, numbers).await?;

    let peek = match comparison {
        Comparison::Nothing => None,
        Comparison::Limit => {
            let peek = limit::peek(env, shape, rows).await?;
            report(&format!("  limit: one peek gives {:.0} rows/s", peek.rows_per_second));
            Some(peek)
        }
    };
    let bytes_per_row = env.bytes_per_row().await?;
    let running = match kind {
        Kind::Relay => None,
        Kind::Debezium => setting.worker()?,
    };

    let brokers = setting.brokers()?;
    let before = CpuSeconds::now(&setting.stack, &brokers, running)?;
    let (mut engine, started) = Engine::start(kind, setting, env)?;
    let reached = await_end(env, &mut engine, records_before, end).await?;
    let pid = engine.pid()?;
    let cpu_seconds = CpuSeconds::now(&setting.stack, &brokers, pid)?.since(before);
    let (seconds, first) = ((reached.last - started).as_secs_f64(), reached.first - started);
    let drain = Drain {
        engine: kind,
        shape,
        partitions: setting.partitions,
        records_before,
        rows,
        seconds,
        rows_per_second: rows as f64 / seconds,
        first_record_seconds: first.as_secs_f64(),
        rows_per_second_from_first_record: end.saturating_sub(reached.at_first) as f64
            / (reached.last - reached.first).as_secs_f64().max(POLL.as_secs_f64()),
        cpu_seconds,
        peak_resident_mb: pid.and_then(peak_resident_mb),
        resident_mb: pid.and_then(resident_mb),
        bytes_per_row,
    };

    engine.stop()?;
    let audit = env.topic.read().await?.audit(0..end);
    if !audit.is_clean() {
        return Err(format!("the drain by {kind} of {rows} rows, {shape}, has no figure: {audit}").into());
    }

    report(&format!("  {kind}: {:.1} s, {:.0} rows/s, {audit}", drain.seconds, drain.rows_per_second));
    Ok((drain, peek))
}

struct Reached {
    first: Instant,
    at_first: u64,
    last: Instant,
}

/// Waits until the topic, which had the first records before, has all of them.
async fn await_end(env: &RunEnv, engine: &mut Engine, records_before: u64, records: u64) -> Outcome<Reached> {
    let (had, expected) = (env.topic.expected(records_before), env.topic.expected(records));
    let grows = had.iter().zip(expected).enumerate().filter(|(_, (had, expected))| **had < *expected);
    let mut left: Vec<_> = grows.map(|(partition, (_, expected))| (partition, expected)).collect();
    let (mut first, mut at_first) = (None, 0);
    let mut before = left.first().and_then(|(at, _)| Some((*at, *had.get(*at)?))).unwrap_or_default();
    let (mut changed, mut looked) = (Instant::now(), Instant::now());

    loop {
        left = env.topic.without_complete(left).await?;
        let now = Instant::now();
        let Some((partition, _)) = left.first().copied() else {
            return Ok(Reached { first: first.unwrap_or(now), at_first, last: now });
        };
        let reached = (partition, env.topic.end_of(partition).await?);

        if reached > before {
            (before, changed) = (reached, now);
            if first.is_none() {
                (first, at_first) = (Some(now), env.topic.end().await?);
            }
        } else if now - changed > GIVE_UP {
            let (end, seconds) = (env.topic.end().await?, GIVE_UP.as_secs());
            return Err(format!("{end} of {records} rows are in the topic, and no more came for {seconds} s").into());
        } else if now - changed > LOOK && now - looked > LOOK {
            engine.check()?;
            looked = now;
        }
        tokio::time::sleep(POLL).await;
    }
}
