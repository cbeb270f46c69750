use serde::Serialize;
use tokio_postgres::{Client, Row};

use crate::exit::Failure;
use crate::output::{bytes, or_dash, seconds};

/// A replication slot as PostgreSQL shows it. Lags are those of the moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SlotState {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) plugin: String,
    pub(crate) database: String,
    pub(crate) is_in_this_database: bool,
    pub(crate) active: bool,
    reader: Option<Reader>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    wal_status: String,
    invalidation_reason: Option<String>,
    pub(crate) restart_lsn: Option<String>,
    pub(crate) confirmed_flush_lsn: Option<String>,
    /// The WAL that PostgreSQL keeps for the slot.
    pub(crate) retained_bytes: Option<i64>,
    /// The WAL that is written and not confirmed.
    pub(crate) lag_bytes: Option<i64>,
    /// The lag of the reader, while a process reads the slot.
    pub(crate) lag_seconds: Option<f64>,
    /// The WAL that can still be written before the slot is lost, with a limit.
    pub(crate) safe_wal_bytes: Option<i64>,
    /// PostgreSQL knows it from version 17 on.
    pub(crate) inactive_seconds: Option<f64>,
}

/// The process that reads a slot.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reader {
    pid: i32,
    application: String,
    user: String,
    address: Option<String>,
}

/// Columns that some versions do not have are read through JSON.
const SLOTS: &str = "WITH wal AS (
        SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS written)
    SELECT s.slot_name::text, s.slot_type, coalesce(s.plugin::text, '') AS plugin, coalesce(s.database::text, '') AS database,
        coalesce(s.database = current_database(), false) AS is_here, s.active, s.active_pid,
        coalesce(a.application_name, '') AS application, coalesce(a.usename::text, '') AS usename, host(a.client_addr) AS address,
        coalesce(s.wal_status, 'unknown') AS wal_status, to_jsonb(s) ->> 'invalidation_reason' AS reason,
        s.restart_lsn::text, s.confirmed_flush_lsn::text, (written - s.restart_lsn)::int8 AS retained,
        (written - s.confirmed_flush_lsn)::int8 AS lag, s.safe_wal_size,
        extract(epoch FROM coalesce(r.replay_lag, r.flush_lag))::float8 AS lag_seconds,
        extract(epoch FROM clock_timestamp() - (to_jsonb(s) ->> 'inactive_since')::timestamptz)::float8 AS inactive_seconds
    FROM wal, pg_replication_slots s
    LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid
    LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
    WHERE $1::text IS NULL OR s.slot_name = $1 ORDER BY s.slot_name";

impl SlotState {
    /// Reads all slots of the server.
    pub(crate) async fn all(client: &Client) -> Result<Vec<Self>, Failure> {
        Self::read(client, None).await
    }

    /// Reads one slot.
    pub(crate) async fn find(client: &Client, name: &str) -> Result<Option<Self>, Failure> {
        Ok(Self::read(client, Some(name)).await?.pop())
    }

    /// Reads a slot that must exist.
    pub(crate) async fn get(client: &Client, name: &str) -> Result<Self, Failure> {
        Self::find(client, name).await?.ok_or_else(|| {
            Failure::not_found(format!(
                "the replication slot {name} does not exist: outbox slot list shows those that do, outbox slot create makes one"
            ))
        })
    }

    async fn read(client: &Client, name: Option<&str>) -> Result<Vec<Self>, Failure> {
        let unread = |e| Failure::server("the replication slots cannot be read").caused_by(&e);
        let rows = client.query(SLOTS, &[&name]).await.map_err(unread)?;
        rows.iter().map(Self::of).collect::<Result<_, _>>().map_err(unread)
    }

    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let pid: Option<i32> = row.try_get("active_pid")?;
        let (application, user, address) =
            (row.try_get("application")?, row.try_get("usename")?, row.try_get("address")?);
        Ok(Self {
            name: row.try_get("slot_name")?,
            kind: row.try_get("slot_type")?,
            plugin: row.try_get("plugin")?,
            database: row.try_get("database")?,
            is_in_this_database: row.try_get("is_here")?,
            active: row.try_get("active")?,
            reader: pid.map(|pid| Reader { pid, application, user, address }),
            wal_status: row.try_get("wal_status")?,
            invalidation_reason: row.try_get("reason")?,
            restart_lsn: row.try_get("restart_lsn")?,
            confirmed_flush_lsn: row.try_get("confirmed_flush_lsn")?,
            retained_bytes: row.try_get("retained")?,
            lag_bytes: row.try_get("lag")?,
            lag_seconds: row.try_get("lag_seconds")?,
            safe_wal_bytes: row.try_get("safe_wal_size")?,
            inactive_seconds: row.try_get("inactive_seconds")?,
        })
    }

    /// Checks that the slot may be changed: no process reads it, and it is a logical slot of this database.
    pub(crate) fn check_unused(&self) -> Result<(), Failure> {
        let name = &self.name;
        if let Some(reader) = self.reader_name() {
            return Err(Failure::refused(format!("the slot {name} is in use by {reader}: stop that reader first")));
        }
        if self.kind != "logical" {
            return Err(Failure::refused(format!(
                "{name} is a physical slot, which a standby reads: it is not touched"
            )));
        }

        if !self.is_in_this_database {
            let database = &self.database;
            return Err(Failure::refused(format!(
                "the slot {name} belongs to the database {database}: connect to that one"
            )));
        }
        Ok(())
    }

    /// Returns whether PostgreSQL has invalidated the slot.
    pub(crate) fn is_lost(&self) -> bool {
        self.wal_status == "lost" || self.invalidation_reason.is_some()
    }

    /// Returns the reader's name, for sentences and tables.
    pub(crate) fn reader_name(&self) -> Option<String> {
        let Reader { pid, application, user, address } = self.reader.as_ref()?;
        let application = if application.is_empty() { "a program without a name" } else { application };
        let from = address.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
        Some(format!("{application} (PID {pid}, user {user}{from})"))
    }

    /// Returns the state of the WAL for the slot.
    pub(crate) fn status(&self) -> String {
        match &self.invalidation_reason {
            Some(reason) => format!("{}: {reason}", self.wal_status),
            None => self.wal_status.clone(),
        }
    }

    pub(crate) fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            or_dash(Some(&self.database)),
            if self.active { "yes" } else { "no" }.to_owned(),
            self.status(),
            self.retained_bytes.map_or("-".to_owned(), bytes),
            self.lag_bytes.map_or("-".to_owned(), bytes),
            self.lag_seconds.map_or("-".to_owned(), seconds),
            or_dash(self.reader_name().as_deref()),
        ]
    }
}

pub(crate) const HEAD: &[&str] = &["slot", "database", "active", "wal status", "retained", "lag", "lag time", "reader"];
