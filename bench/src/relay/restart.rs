use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;

use super::engine::{Engine, Kind};
use super::setting::Setting;
use crate::load::{Load, Rate};
use crate::site::{Shape, Site};
use crate::tail::Tail;
use crate::{Outcome, report};

const RATE: Rate = Rate { rows_per_second: 500, writers: 2 };
const PRIMERS: u64 = 10;
const START: Duration = Duration::from_secs(120);
/// How long the load runs before the crash, and after the return.
const BEFORE: Duration = Duration::from_secs(5);
const AFTER: Duration = Duration::from_secs(2);
/// How long a duplicate may take to show.
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
    let site = Site::create(setting.partitions).await?;
    let mut tail = Tail::start(&site.topic).await?;
    site.fill(Shape::Transactions(1), 0..PRIMERS).await?;
    let (mut engine, _) = Engine::start(kind, setting, &site)?;
    let primed = tail.wait(START, "the first records came", |received| received.ledger.distinct() == PRIMERS).await;
    engine.judged(primed)?;

    let load = Load::start(&site, RATE, PRIMERS..u64::MAX).await?;
    tokio::time::sleep(BEFORE).await;
    let told = engine.crash()?;
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
    let verdict = received.ledger.verdict((0..PRIMERS).chain(commits.iter().map(|(number, _)| *number)));

    let new: HashSet<_> = commits.iter().filter(|(_, at)| *at > told).map(|(number, _)| number).collect();
    let first = received.arrivals.iter().find(|(number, at)| *at > told && new.contains(number));
    let (_, first) = first.ok_or("no record came after the restart")?;
    let first_record_ms = (*first - told).as_secs_f64() * 1_000.0;
    report(&format!("  {kind}: the next record after {first_record_ms:.0} ms; {verdict}"));
    if verdict.swapped.count > 0 || verdict.foreign > 0 {
        return Err(format!("the restart of {kind} has no figure: {verdict}").into());
    }
    Ok(Restart { engine: kind, rows, lost: verdict.lost.count, duplicates: verdict.doubled.count, first_record_ms })
}
