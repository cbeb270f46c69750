use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;

use super::engine::Kind;
use super::primed::{self, PRIMERS, START};
use super::setting::Setting;
use crate::load::{Load, Rate};
use crate::{Outcome, report};

const RATE: Rate = Rate { rows_per_second: 500, writers: 2 };
/// The time that the load runs before the crash, and after the return.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(2);
/// The time that a duplicate may take to show.
const QUIET: Duration = Duration::from_secs(2);

/// A crash under load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Restart {
    pub(crate) engine: Kind,
    pub(crate) rows: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    /// From the restart until a row that was committed after the crash was readable.
    pub(crate) first_record_ms: f64,
}

pub(crate) async fn run(setting: &Setting, kind: Kind) -> Outcome<Restart> {
    report(&format!("kill -9 of {kind} at {} rows/s", RATE.rows_per_second));
    let (env, mut tail, mut engine) = primed::start(setting, kind).await?;

    let load = Load::start(&env, RATE, PRIMERS..u64::MAX).await?;
    tokio::time::sleep(BEFORE).await;
    let started = engine.crash()?;
    let issued = load.issued();
    let returned = tail.wait(START, "a new record came", |received| received.highest >= Some(issued)).await;
    engine.judged(returned)?;
    tokio::time::sleep(AFTER).await;
    let commits = load.end().await?;
    let rows = PRIMERS + commits.len() as u64;
    // Rows that are lost never come: what is there after a while is counted.
    let complete = tail.wait(START, "all records came", |received| received.ledger.distinct() >= rows).await;
    if let Err(error) = complete {
        report(&format!("  {error}"));
    }
    tokio::time::sleep(QUIET).await;
    engine.stop()?;
    let received = tail.finish();
    let audit = received.ledger.audit((0..PRIMERS).chain(commits.iter().map(|(number, _)| *number)));

    let new: HashSet<_> = commits.iter().filter(|(_, at)| *at > started).map(|(number, _)| number).collect();
    let first = received.arrivals.iter().find(|(number, at)| *at > started && new.contains(number));
    let (_, first) = first.ok_or("no record came after the restart")?;
    let first_record_ms = (*first - started).as_secs_f64() * 1_000.0;
    report(&format!("  {kind}: the next record after {first_record_ms:.0} ms; {audit}"));
    if audit.swapped.count > 0 || audit.foreign > 0 {
        return Err(format!("the restart of {kind} has no figure: {audit}").into());
    }
    Ok(Restart { engine: kind, rows, lost: audit.lost.count, duplicates: audit.doubled.count, first_record_ms })
}
