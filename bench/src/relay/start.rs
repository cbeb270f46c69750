use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_postgres::Client;

use super::engine::{Engine, Kind};
use super::limit;
use super::setting::Setting;
use crate::process::peak_resident_mb;
use crate::run_env::{RunEnv, Shape};
use crate::{Outcome, report, rows};

const PARTITIONS: i32 = 200;
/// Rows of each partition before the first measured start.
const RECORDS: u64 = 20_000;
/// Rows of each partition that are in Kafka and not confirmed at a measured start.
const UNCONFIRMED: u64 = 3;
/// Rows of each partition in one transaction of the writer.
const CHUNK: usize = 100;
const POLL: Duration = Duration::from_millis(5);
/// The longest wait for a record.
const PATIENCE: Duration = Duration::from_secs(300);

/// A start of the relay with unconfirmed rows in each partition.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Start {
    /// From the start of the process until a row that was committed before it is in Kafka.
    pub(crate) first_record_ms: f64,
    /// The most memory that was resident until then.
    pub(crate) peak_resident_mb: Option<f64>,
}

/// A topic whose partitions have one aggregate each, so that all have the same number of rows.
struct StartEnv {
    env: RunEnv,
    client: Client,
    aggregates: Vec<u64>,
    written: Vec<u64>,
}

/// Lets the relay write all records, and measures starts with unconfirmed rows.
pub(super) async fn run(setting: &Setting, rounds: u32) -> Outcome<Vec<Start>> {
    let mut start_env = StartEnv::create().await?;
    report(&format!("start with {PARTITIONS} partitions: writing {RECORDS} records to each"));
    let (mut engine, _) = Engine::start(Kind::Relay, setting, &start_env.env)?;
    for first in (0..RECORDS).step_by(CHUNK) {
        start_env.write(first..first + CHUNK as u64).await?;
        engine.check()?;
    }
    // The server must not write its pages while a start is measured.
    start_env.client.batch_execute("CHECKPOINT").await?;
    start_env.await_all(&mut engine).await?;
    engine.stop()?;

    let mut starts = Vec::new();
    let mut next = RECORDS;
    for round in 1..=rounds {
        start_env.write_unconfirmed(setting, next..next + UNCONFIRMED).await?;
        next += UNCONFIRMED;
        let start = start_env.measure(setting, next).await?;
        next += 1;
        report(&format!("  start {round} of {rounds}: the next record after {:.0} ms", start.first_record_ms));
        starts.push(start);
    }

    let audit = start_env.env.topic.read().await?.audit(start_env.written.iter().copied());
    if !audit.is_clean() {
        return Err(format!("the starts with {PARTITIONS} partitions have no figure: {audit}").into());
    }
    report(&format!("  {} records: {audit}", start_env.written.len()));
    Ok(starts)
}

impl StartEnv {
    async fn create() -> Outcome<Self> {
        let env = RunEnv::create(PARTITIONS).await?;
        let mut by_partition = BTreeMap::new();
        for aggregate in 0..rows::AGGREGATES {
            by_partition.entry(env.topic.partition_of(aggregate)).or_insert(aggregate);
        }
        let aggregates: Vec<_> = by_partition.into_values().collect();
        if aggregates.len() != usize::try_from(PARTITIONS)? {
            return Err(format!("only {} of {PARTITIONS} partitions have an aggregate", aggregates.len()).into());
        }
        let client = env.client().await;
        client.batch_execute("SET synchronous_commit = off").await?;
        Ok(Self { env, client, aggregates, written: Vec::new() })
    }

    /// Writes a row of each partition for each turn, in one transaction.
    async fn write(&mut self, turns: Range<u64>) -> Outcome<()> {
        self.write_of(turns, 0..self.aggregates.len()).await
    }

    async fn write_of(&mut self, turns: Range<u64>, partitions: Range<usize>) -> Outcome<()> {
        let aggregates = self.aggregates.get(partitions).unwrap_or_default();
        let list: Vec<_> = aggregates.iter().map(u64::to_string).collect();
        let source = format!(
            "(SELECT turn * {} + aggregate AS n
              FROM generate_series({}::bigint, {}::bigint - 1) AS turns(turn),
                   unnest(ARRAY[{}]::bigint[]) WITH ORDINALITY AS aggregates(aggregate, place)
              ORDER BY turn, place) AS numbers",
            rows::AGGREGATES,
            turns.start,
            turns.end,
            list.join(",")
        );
        self.client.batch_execute(&rows::insert(self.env.table(), &source)).await?;

        let of_turn = |turn| aggregates.iter().map(move |aggregate| turn * rows::AGGREGATES + aggregate);
        self.written.extend(turns.flat_map(of_turn));
        Ok(())
    }

    /// Lets a relay write rows, and puts the slot back to where it was before them.
    async fn write_unconfirmed(&mut self, setting: &Setting, turns: Range<u64>) -> Outcome<()> {
        let (slot, kept) = (self.env.name().to_owned(), format!("{}_kept", self.env.name()));
        let rows = turns.end.saturating_sub(turns.start) * u64::try_from(PARTITIONS)?;
        let copy = |from: &str, to: &str| format!("SELECT pg_copy_logical_replication_slot('{from}', '{to}')");
        self.client.batch_execute(&copy(&slot, &kept)).await?;

        let (mut engine, _) = Engine::start(Kind::Relay, setting, &self.env)?;
        self.write(turns).await?;
        self.await_all(&mut engine).await?;
        engine.stop()?;
        self.await_free().await?;

        let drop = |name: &str| format!("SELECT pg_drop_replication_slot('{name}')");
        self.client.batch_execute(&drop(&slot)).await?;
        self.client.batch_execute(&copy(&kept, &slot)).await?;
        self.client.batch_execute(&drop(&kept)).await?;
        // An error if the slot does not hold the rows again.
        limit::peek(&self.env, Shape::OneTransaction, rows).await?;
        Ok(())
    }

    /// Waits until the walsender of the last relay has given the slot back.
    async fn await_free(&self) -> Outcome<()> {
        let begun = Instant::now();
        let sql = "SELECT active FROM pg_replication_slots WHERE slot_name = $1";
        while self.client.query_one(sql, &[&self.env.name()]).await?.try_get(0)? {
            if begun.elapsed() > PATIENCE {
                return Err(format!("the slot {} is still in use", self.env.name()).into());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Starts the relay with one row that is not in Kafka. It belongs to the partition that the unconfirmed rows name
    /// last, so most other partitions are read before it.
    async fn measure(&mut self, setting: &Setting, turn: u64) -> Outcome<Start> {
        let last = self.aggregates.len().saturating_sub(1);
        let before = self.env.topic.end_of(last).await?;
        self.write_of(turn..turn + 1, last..last + 1).await?;
        self.client.batch_execute("CHECKPOINT").await?;

        let (mut engine, started) = Engine::start(Kind::Relay, setting, &self.env)?;
        let pid = engine.pid()?;
        while self.env.topic.end_of(last).await? <= before {
            if started.elapsed() > PATIENCE {
                return Err(format!("no new record within {} s of the start", PATIENCE.as_secs()).into());
            }
            engine.check()?;
            tokio::time::sleep(POLL).await;
        }
        let (waited, peak_resident_mb) = (started.elapsed(), pid.and_then(peak_resident_mb));
        self.await_all(&mut engine).await?;
        engine.stop()?;
        Ok(Start { first_record_ms: waited.as_secs_f64() * 1_000.0, peak_resident_mb })
    }

    /// Waits until the topic has a record for each row, or more.
    async fn await_all(&self, engine: &mut Engine) -> Outcome<()> {
        let begun = Instant::now();
        let rows = self.written.len() as u64;
        loop {
            let end = self.env.topic.end().await?;
            if end >= rows {
                return Ok(());
            }
            engine.check()?;
            if begun.elapsed() > PATIENCE {
                let seconds = PATIENCE.as_secs();
                return Err(format!("{end} of {rows} rows are in the topic after {seconds} s").into());
            }
            tokio::time::sleep(POLL * 20).await;
        }
    }
}
