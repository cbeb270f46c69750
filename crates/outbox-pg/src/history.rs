//! The history of a pipeline's slots and their confirmed positions, in the table `<table>_slots`. PostgreSQL forgets a
//! slot that is dropped, and a slot that is created again looks like one that has confirmed everything.

use outbox_core::Pipeline;

use crate::Error;
use crate::ownership;
use crate::readiness::Problem;
use crate::session::{DriverError, Row, Session};
use crate::sql_text::companion;

/// The statements that create the tables of the slots and of replays. Transaction ids mean nothing in another cluster,
/// so each row names its own.
pub(crate) const TABLES: &str = "CREATE TABLE IF NOT EXISTS {slots} (
    slot text NOT NULL,
    incarnation integer NOT NULL,
    cluster text NOT NULL DEFAULT (pg_control_system()).system_identifier::text,
    created_at timestamptz,
    created_xid xid8,
    ended_at timestamptz,
    confirmed_xid xid8,
    sampled_xid xid8,
    sampled_position pg_lsn,
    released_at timestamptz,
    PRIMARY KEY (slot, incarnation)
);
CREATE TABLE IF NOT EXISTS {replays} (
    name text PRIMARY KEY,
    selection text NOT NULL,
    before_xid xid8 NOT NULL,
    last_id uuid,
    events bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
)";

const THIS_CLUSTER: &str = "cluster = (pg_control_system()).system_identifier::text";

/// The history of the latest slot of the pipeline's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Latest {
    /// No slot was recorded.
    None,
    /// One is being created, or its creator died.
    Pending,
    /// It exists, as far as is known.
    Open,
    /// It was dropped.
    Ended,
}

/// The record of a pipeline's slots.
pub(crate) struct History<'a, 'c> {
    client: &'a Session<'c>,
    slot: String,
    table: String,
}

impl<'a, 'c> History<'a, 'c> {
    /// Opens the record.
    ///
    /// # Errors
    /// The table is missing, belongs to another role, or the catalogs could not be read.
    pub(crate) async fn open(client: &'a Session<'c>, pipeline: &Pipeline) -> Result<Self, Error> {
        let table = companion(pipeline.layout(), "_slots");
        let row = client.query_one("SELECT to_regclass($1) IS NULL", &[&table]).await;
        if row.map_err(|e| Error::database(format!("look for {table}"), e))?.get(0) {
            return Err(Error::not_ready(vec![Problem::HistoryMissing { table }]));
        }
        ownership::expect_trusted(client, pipeline.layout()).await?;
        Ok(Self { client, slot: pipeline.slot().as_str().to_owned(), table })
    }

    pub(crate) async fn latest(&self) -> Result<Latest, Error> {
        // A slot of another cluster, from which this one was restored or upgraded, does not exist here.
        let sql = format!(
            "SELECT created_at IS NULL AND {THIS_CLUSTER}, ended_at IS NULL AND {THIS_CLUSTER} FROM {} WHERE slot = $1
             ORDER BY incarnation DESC LIMIT 1",
            self.table
        );
        let row = self.client.query_opt(&sql, &[&self.slot]).await.map_err(|e| self.failed(e))?;
        Ok(match row.map(|row| (row.get(0), row.get(1))) {
            None => Latest::None,
            Some((true, _)) => Latest::Pending,
            Some((false, true)) => Latest::Open,
            Some((false, false)) => Latest::Ended,
        })
    }

    /// Records that a slot is about to be created, so that a creator that dies leaves a trace.
    pub(crate) async fn begin(&self) -> Result<(), Error> {
        self.end().await?;
        if self.latest().await? != Latest::Pending {
            self.insert("NULL", "NULL").await?;
        }
        Ok(())
    }

    /// Records that the slot is created: it publishes the transactions from here on, and perhaps some before.
    pub(crate) async fn created(&self) -> Result<(), Error> {
        self.update(
            "created_at = clock_timestamp(), created_xid = pg_snapshot_xmax(pg_current_snapshot())",
            "created_at IS NULL",
        )
        .await
    }

    /// Records a slot that existed before the record was begun.
    pub(crate) async fn adopt(&self) -> Result<(), Error> {
        self.insert("clock_timestamp()", "NULL").await
    }

    /// Records that the slot is gone, or lost.
    pub(crate) async fn end(&self) -> Result<(), Error> {
        self.update("ended_at = clock_timestamp()", "created_at IS NOT NULL AND ended_at IS NULL").await
    }

    /// Brings the record up to date with the slot, and returns the slot's confirmed position; `None` if there is no
    /// slot.
    pub(crate) async fn observe(&self) -> Result<Option<Confirmed>, Error> {
        let latest = self.latest().await?;
        let sql = "SELECT FROM pg_replication_slots
                   WHERE slot_name = $1 AND database = current_database() AND wal_status IS DISTINCT FROM 'lost'";
        let is_there = self.client.query_opt(sql, &[&self.slot]).await.map_err(|e| self.failed(e))?.is_some();

        match (latest, is_there) {
            (_, false) => {
                self.end().await?;
                return Ok(None);
            }
            (Latest::None, true) => self.adopt().await?,
            (Latest::Pending, true) => self.created().await?,
            // Another program has created it, at an unknown time.
            (Latest::Ended, true) => {
                self.begin().await?;
                self.created().await?;
            }
            (Latest::Open, true) => {}
        }

        self.sample().await?;
        let slot = SlotPosition { slot: self.slot.clone(), before: self.confirmed().await? };
        Ok(Some(Confirmed { slots: vec![slot], gaps: self.gaps().await?, gone: Vec::new() }))
    }

    /// Brings the records of all slots of the table up to date, and returns the positions that all of them have
    /// confirmed; `None` if the pipeline's own is not there. Another pipeline may publish the same rows through another
    /// slot.
    pub(crate) async fn observe_all(&self) -> Result<Option<Confirmed>, Error> {
        let Some(mut confirmed) = self.observe().await? else { return Ok(None) };
        for slot in self.others().await? {
            let other = History { client: self.client, slot, table: self.table.clone() };
            if let Some(of_other) = other.observe().await? {
                confirmed.slots.extend(of_other.slots);
                confirmed.gaps.extend(of_other.gaps);
            } else {
                let open =
                    Gap { slot: other.slot.clone(), incarnation: 0, from: other.unconfirmed_from().await?, to: None };
                confirmed.gaps.extend(other.gaps().await?);
                confirmed.gaps.push(open);
                confirmed.gone.push(other.slot);
            }
        }
        Ok(Some(confirmed))
    }

    async fn others(&self) -> Result<Vec<String>, Error> {
        let sql = format!("SELECT DISTINCT slot FROM {} WHERE slot <> $1 AND {THIS_CLUSTER} ORDER BY slot", self.table);
        let rows = self.client.query(&sql, &[&self.slot]).await.map_err(|e| self.failed(e))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Removes the record of a slot that does not exist, and returns whether there was one.
    pub(crate) async fn forget(&self, slot: &str) -> Result<bool, Error> {
        let sql = format!(
            "DELETE FROM {} WHERE slot = $1 AND NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)",
            self.table
        );
        Ok(self.client.execute(&sql, &[&slot]).await.map_err(|e| self.failed(e))? > 0)
    }

    /// Records the confirmed position. All transactions before a snapshot's oldest have ended, and so have their
    /// commits in the WAL. Once the slot has confirmed that position, they are confirmed.
    async fn sample(&self) -> Result<(), Error> {
        let confirmed = "confirmed_xid = sampled_xid, sampled_xid = NULL, sampled_position = NULL";
        let is_passed = "ended_at IS NULL AND sampled_position <= (
            SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1)";
        self.update(confirmed, is_passed).await?;
        let sample = "sampled_xid = pg_snapshot_xmin(pg_current_snapshot()),
                      sampled_position = pg_current_wal_insert_lsn()";
        self.update(sample, "ended_at IS NULL AND sampled_xid IS NULL").await
    }

    async fn confirmed(&self) -> Result<Option<String>, Error> {
        let sql = format!(
            "SELECT confirmed_xid::xid::text FROM {} WHERE slot = $1 AND {THIS_CLUSTER} AND ended_at IS NULL
             ORDER BY incarnation DESC LIMIT 1",
            self.table
        );
        let row = self.client.query_opt(&sql, &[&self.slot]).await.map_err(|e| self.failed(e))?;
        Ok(row.and_then(|row| row.get(0)))
    }

    /// Returns the transactions that were committed after the last confirmed position of one slot and before the first
    /// one that the next slot publishes, without those that are released.
    pub(crate) async fn gaps(&self) -> Result<Vec<Gap>, Error> {
        let sql = format!(
            "SELECT incarnation, previous::xid::text, created_xid::xid::text FROM (
                 SELECT incarnation, created_xid, released_at,
                        lag(coalesce(confirmed_xid, created_xid)) OVER (ORDER BY incarnation) AS previous
                 FROM {} WHERE slot = $1 AND {THIS_CLUSTER}) AS slots
             WHERE created_xid IS NOT NULL AND released_at IS NULL ORDER BY incarnation",
            self.table
        );
        let rows = self.client.query(&sql, &[&self.slot]).await.map_err(|e| self.failed(e))?;
        let gap =
            |row: &Row| Gap { slot: self.slot.clone(), incarnation: row.get(0), from: row.get(1), to: row.get(2) };
        Ok(rows.iter().map(gap).collect())
    }

    /// Allows the removal of rows of a gap.
    pub(crate) async fn release(&self, gap: &Gap) -> Result<(), Error> {
        let history = History { client: self.client, slot: gap.slot.clone(), table: self.table.clone() };
        history.update("released_at = clock_timestamp()", &format!("incarnation = {}", gap.incarnation)).await
    }

    /// Returns the first transaction that the latest slot had not confirmed, as far as is known.
    pub(crate) async fn unconfirmed_from(&self) -> Result<Option<String>, Error> {
        let sql = format!(
            "SELECT coalesce(confirmed_xid, created_xid)::xid::text FROM {} WHERE slot = $1 AND {THIS_CLUSTER}
             ORDER BY incarnation DESC LIMIT 1",
            self.table
        );
        let row = self.client.query_opt(&sql, &[&self.slot]).await.map_err(|e| self.failed(e))?;
        Ok(row.and_then(|row| row.get(0)))
    }

    async fn insert(&self, created_at: &str, created_xid: &str) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO {table} (slot, incarnation, created_at, created_xid)
             SELECT $1, coalesce(max(incarnation), 0) + 1, {created_at}, {created_xid} FROM {table} WHERE slot = $1
             ON CONFLICT DO NOTHING",
            table = self.table
        );
        self.client.execute(&sql, &[&self.slot]).await.map(drop).map_err(|e| self.failed(e))
    }

    async fn update(&self, change: &str, condition: &str) -> Result<(), Error> {
        let sql = format!("UPDATE {} SET {change} WHERE slot = $1 AND {THIS_CLUSTER} AND {condition}", self.table);
        self.client.execute(&sql, &[&self.slot]).await.map(drop).map_err(|e| self.failed(e))
    }

    fn failed(&self, error: DriverError) -> Error {
        Error::database(format!("read or write {}", self.table), error)
    }
}

/// The positions that slots have confirmed.
#[derive(Debug)]
pub(crate) struct Confirmed {
    pub(crate) slots: Vec<SlotPosition>,
    pub(crate) gaps: Vec<Gap>,
    /// The slots of other pipelines that are gone.
    pub(crate) gone: Vec<String>,
}

/// The position that a slot has confirmed.
#[derive(Debug)]
pub(crate) struct SlotPosition {
    pub(crate) slot: String,
    /// The transaction up to which everything is confirmed.
    before: Option<String>,
}

impl Confirmed {
    /// Returns the condition in SQL that every slot has confirmed a row's transaction.
    pub(crate) fn of_row(&self) -> String {
        let conditions: Vec<_> = self.slots.iter().map(SlotPosition::of_row).collect();
        format!("({})", conditions.join(" AND "))
    }
}

impl SlotPosition {
    /// Returns the condition in SQL that the slot has confirmed a row's transaction.
    pub(crate) fn of_row(&self) -> String {
        match &self.before {
            Some(before) => format!("age(xmin) > age('{before}'::xid)"),
            None => "false".into(),
        }
    }
}

/// Transactions whose events no slot has published.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    slot: String,
    incarnation: i32,
    from: Option<String>,
    /// The first transaction that the next slot publishes, if there is one.
    to: Option<String>,
}

impl Gap {
    /// Returns the condition in SQL that a row is of the gap.
    pub(crate) fn of_row(&self) -> String {
        let to = self.to.as_ref().map_or("true".to_owned(), |to| format!("age(xmin) > age('{to}'::xid)"));
        let from = self.from.as_ref().map(|from| format!(" AND age(xmin) <= age('{from}'::xid)"));
        format!("({to}{})", from.unwrap_or_default())
    }

    /// Returns whether no slot has followed yet.
    pub(crate) fn is_open(&self) -> bool {
        self.to.is_none()
    }
}

/// Returns the condition in SQL that a row is of one of the gaps.
pub(crate) fn in_gaps(gaps: &[Gap]) -> String {
    let conditions: Vec<_> = gaps.iter().map(Gap::of_row).collect();
    if conditions.is_empty() { "false".into() } else { format!("({})", conditions.join(" OR ")) }
}
