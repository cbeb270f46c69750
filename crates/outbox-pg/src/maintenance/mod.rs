mod batches;
mod detach;
mod lease;
mod partition;
mod report;

use std::time::Duration;

use outbox_core::{Identifier, Pipeline, RowLife};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

pub(crate) use self::partition::{TableForm, first_id, partitions, table_form, time_of};
pub use self::report::{Deferred, MaintenanceOutcome, MaintenanceReport};

use self::lease::Lease;
use crate::Error;
use crate::history::{Confirmed, Gap, History};
use crate::ownership;
use crate::readiness::Problem;
use crate::session::{DriverError, Session, Timeouts};
use crate::sql_text::{companion, companion_name, quoted};

/// Keeps an outbox table bounded: it creates partitions in advance and drops old ones, or deletes rows in batches.
///
/// Run it every few minutes, from any number of instances, as the table's owner and on its own session (not through
/// PgBouncer in transaction mode): a lease row lets one of them work at a time. It waits for each lock at most
/// [`lock_timeout`](Self::lock_timeout). Work without its lock is reported, and the next run tries it again.
#[derive(Clone, Debug)]
pub struct Maintenance {
    pipeline: Pipeline,
    retention: Duration,
    partition: Duration,
    ahead: Duration,
    behind: Duration,
    lock_timeout: Duration,
    lease: Duration,
    batch: u32,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Maintenance {
    /// Creates maintenance for rows, or ids, that are kept at least that long.
    #[must_use]
    pub fn new(pipeline: Pipeline, retention: Duration) -> Self {
        Self {
            pipeline,
            retention,
            partition: DAY,
            ahead: 7 * DAY,
            behind: DAY,
            lock_timeout: Duration::from_secs(2),
            lease: Duration::from_secs(300),
            batch: 5_000,
        }
    }

    /// Sets the time that a new partition spans: a day unless set otherwise, at least a minute.
    #[must_use]
    pub fn partition(self, span: Duration) -> Self {
        Self { partition: span.max(Duration::from_secs(60)), ..self }
    }

    /// Sets how far ahead there are partitions: 7 days unless set otherwise. Maintenance must run more often than that.
    #[must_use]
    pub fn ahead(self, ahead: Duration) -> Self {
        Self { ahead, ..self }
    }

    /// Sets how far back the first partition reaches, for events whose ids are older than the table: a day unless it
    /// was set otherwise.
    #[must_use]
    pub fn behind(self, behind: Duration) -> Self {
        Self { behind, ..self }
    }

    /// Sets how long a lock is waited for, with writers queueing behind: 2 s unless set otherwise.
    #[must_use]
    pub fn lock_timeout(self, timeout: Duration) -> Self {
        Self { lock_timeout: timeout.max(Duration::from_millis(1)), ..self }
    }

    /// Sets how many rows one DELETE removes: 5,000 unless set otherwise.
    #[must_use]
    pub fn batch_size(self, rows: u32) -> Self {
        Self { batch: rows.max(1), ..self }
    }

    /// Does the work that is due, unless another instance runs maintenance. Without a table (`RowLife::Message`) there
    /// is nothing to do.
    ///
    /// It may be run again after any error, and after its future was dropped: the next run continues where this one
    /// ended, at the latest when its lease ends, after 5 minutes.
    ///
    /// # Errors
    /// `Migrations::maintenance` is not applied, the table does not exist, or is not partitioned although its layout is
    /// ([`Error::is_not_ready`]); or PostgreSQL refused. A lock that is not acquired in time is no error.
    pub async fn run(&self, client: &Client) -> Result<MaintenanceOutcome, Error> {
        self.run_on(&client.into()).await
    }

    /// Runs the maintenance while it holds the lease. Restores the timeouts of the session and releases the lease, also
    /// after an error.
    pub(crate) async fn run_on(&self, client: &Session<'_>) -> Result<MaintenanceOutcome, Error> {
        if !self.pipeline.layout().row_life().has_table() {
            return Ok(MaintenanceOutcome::Done(MaintenanceReport::default()));
        }

        self.expect_ready(client).await?;
        let lease = match Lease::take(client, &self.pipeline, self.lease).await? {
            Ok(lease) => lease,
            Err(held) => return Ok(held),
        };
        // No statement outlives the lease that it was begun under.
        let timeouts = Timeouts::set(client, self.lock_timeout, self.lease / 2).await?;
        let done = self.work(client, &lease).await;
        let restored = timeouts.restore().await;
        let released = lease.release(client).await;

        // The first error counts.
        let report = done?;
        restored?;
        released?;
        Ok(MaintenanceOutcome::Done(report))
    }

    async fn work(&self, client: &Session<'_>, lease: &Lease) -> Result<MaintenanceReport, Error> {
        let mut report = MaintenanceReport::default();
        let layout = self.pipeline.layout();
        let now = now_millis(client).await?;
        let confirmed = self.confirmed(client, lease).await?;
        for slot in confirmed.iter().flat_map(|confirmed| &confirmed.gone) {
            report.waiting.push(Deferred::OtherSlotGone { slot: slot.clone() });
        }

        if layout.row_life() == RowLife::Partitioned {
            self.create(client, lease, now, &mut report).await?;
            self.detach(client, lease, now, confirmed.as_ref(), &mut report).await?;
            self.drop_detached(client, lease, confirmed.as_ref(), &mut report).await?;
        } else {
            self.delete(client, lease, now, confirmed.as_ref(), &mut report).await?;
        }
        Ok(report)
    }

    /// Returns the confirmed position of the slot, and closes a gap of which no row is left.
    async fn confirmed(&self, client: &Session<'_>, lease: &Lease) -> Result<Option<Confirmed>, Error> {
        let history = History::open(client, &self.pipeline).await?;
        let Some(mut confirmed) = history.observe_all().await? else { return Ok(None) };
        let mut gaps = Vec::new();
        for gap in confirmed.gaps {
            lease.renew(client).await?;
            if !gap.is_open() && self.is_empty(client, &gap).await? {
                history.release(&gap).await?;
            } else {
                gaps.push(gap);
            }
        }

        confirmed.gaps = gaps;
        Ok(Some(confirmed))
    }

    async fn is_empty(&self, client: &Session<'_>, gap: &Gap) -> Result<bool, Error> {
        let layout = self.pipeline.layout();
        let mut tables = vec![layout.qualified_name()];
        tables.extend(self.detached(client).await?.iter().map(|name| format!("{}.{}", layout.schema(), quoted(name))));
        for table in tables {
            if has_row(client, &table, &gap.of_row()).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Allows the removal of rows that no slot has published: those that were committed before the present slot was
    /// created, and that were not published again by [`Republish::missed`](crate::Republish::missed).
    ///
    /// # Errors
    /// `Migrations::outbox` is not applied ([`Error::is_not_ready`]), or PostgreSQL refused.
    pub async fn release_missed(&self, client: &Client) -> Result<(), Error> {
        self.release_missed_on(&client.into()).await
    }

    pub(crate) async fn release_missed_on(&self, client: &Session<'_>) -> Result<(), Error> {
        if !self.pipeline.layout().row_life().has_table() {
            return Ok(());
        }
        let history = History::open(client, &self.pipeline).await?;
        for gap in history.gaps().await? {
            history.release(&gap).await?;
        }
        Ok(())
    }

    /// Removes the record of another pipeline's slot for the same table, if the slot no longer exists. Until then, rows
    /// that it has not published are kept ([`Deferred::OtherSlotGone`]). Returns whether there is a record of it, and
    /// no such slot.
    ///
    /// # Errors
    /// `Migrations::outbox` is not applied ([`Error::is_not_ready`]), or PostgreSQL refused.
    pub async fn forget_slot(&self, client: &Client, slot: &Identifier) -> Result<bool, Error> {
        if !self.pipeline.layout().row_life().has_table() {
            return Ok(false);
        }
        History::open(&client.into(), &self.pipeline).await?.forget(slot.as_str()).await
    }

    async fn expect_ready(&self, client: &Session<'_>) -> Result<(), Error> {
        let layout = self.pipeline.layout();
        let table = layout.qualified_name();
        let problem = match table_form(client, layout).await? {
            None => Problem::TableMissing { table },
            Some(TableForm::Plain) if layout.row_life() == RowLife::Partitioned => Problem::NotPartitioned { table },
            Some(_) => {
                let sql = "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL";
                let names = [companion(layout, "_lease"), companion(layout, "_detached")];
                let row = client.query_one(sql, &[&names[0], &names[1]]).await;
                if row.map_err(|e| Error::database("look for the maintainer's tables", e))?.get(0) {
                    return ownership::expect_trusted_by_maintenance(client, layout).await;
                }
                Problem::MaintenanceMissing { table }
            }
        };

        Err(Error::not_ready(vec![problem]))
    }

    /// Creates a partition by CREATE LIKE, CHECK and ATTACH, so that the partitioned table stays readable and writable.
    async fn create(
        &self,
        client: &Session<'_>,
        lease: &Lease,
        now: u64,
        report: &mut MaintenanceReport,
    ) -> Result<(), Error> {
        let layout = self.pipeline.layout();
        let (parent, id) = (layout.qualified_name(), crate::migration::row_life::id(layout));
        let span = millis(self.partition);
        let first = now.saturating_sub(millis(self.behind).min(millis(self.retention)));
        let last = partitions(client, layout).await?.iter().map(|partition| partition.to).max().unwrap_or(0);
        let mut from = if last > first { last } else { first - first % span };

        while from < now.saturating_add(millis(self.ahead)) {
            lease.renew(client).await?;
            let to = (from / span + 1) * span;
            let name = companion_name(layout, &partition::suffix(from));
            let child = format!("{}.{}", layout.schema(), quoted(&name));
            let (lower, upper) = (first_id(from), first_id(to));
            let sql = format!(
                "CREATE TABLE {child} (LIKE {parent} INCLUDING ALL EXCLUDING IDENTITY);
                 ALTER TABLE {child} ADD CONSTRAINT range CHECK ({id} >= '{lower}' AND {id} < '{upper}');
                 ALTER TABLE {parent} ATTACH PARTITION {child} FOR VALUES FROM ('{lower}') TO ('{upper}');
                 ALTER TABLE {child} DROP CONSTRAINT range;"
            );

            match client.batch_execute(&sql).await {
                Ok(()) => report.created.push(name),
                Err(e) if is_busy(&e) => {
                    report.waiting.push(Deferred::Lock { table: parent });
                    break;
                }
                Err(e) => return Err(Error::database(format!("create the partition {child}"), e)),
            }
            from = to;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the server's clock, in milliseconds since 1970.
pub(crate) async fn now_millis(client: &Session<'_>) -> Result<u64, Error> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let now: i64 = client.query_one(sql, &[]).await.map_err(|e| Error::database("report the time", e))?.get(0);
    Ok(u64::try_from(now).unwrap_or_default())
}

/// Returns whether a table has a row for which a condition holds; `false` if the table does not exist.
async fn has_row(client: &Session<'_>, table: &str, condition: &str) -> Result<bool, Error> {
    let failed = |e| Error::database(format!("look at the rows of {table}"), e);
    let is_there: bool =
        client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await.map_err(failed)?.get(0);
    if !is_there {
        return Ok(false);
    }
    let sql = format!("SELECT EXISTS (SELECT FROM {table} WHERE {condition})");
    Ok(client.query_one(&sql, &[]).await.map_err(failed)?.get(0))
}

/// Returns whether a lock was not acquired in time.
fn is_busy(error: &DriverError) -> bool {
    let busy = [SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|code| busy.contains(&code))
}
