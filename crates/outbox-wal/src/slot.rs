use std::fmt;

use super::error::{Error, Kind, Operation};
use super::options::ConnectOptions;
use super::session::{Purpose, Session};
use super::sql::literal;
use crate::Lsn;

/// A replication slot, and the publication whose changes are read through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    slot: Box<str>,
    publication: Box<str>,
    has_messages: bool,
}

impl Source {
    /// Creates a source from the names of a slot and a publication, which are not quoted.
    #[must_use]
    pub fn new(slot: impl Into<String>, publication: impl Into<String>) -> Self {
        Self { slot: slot.into().into(), publication: publication.into().into(), has_messages: false }
    }

    /// Adds logical decoding messages (`pg_logical_emit_message`), which belong to no publication.
    #[must_use]
    pub fn with_messages(self) -> Self {
        Self { has_messages: true, ..self }
    }

    /// Returns the slot's name.
    #[must_use]
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// Returns whether logical decoding messages are read.
    #[must_use]
    pub fn has_messages(&self) -> bool {
        self.has_messages
    }

    /// Returns the publication's name.
    #[must_use]
    pub fn publication(&self) -> &str {
        &self.publication
    }
}

/// The position of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotState {
    /// Decoding begins here, each time.
    pub restart_lsn: Lsn,
    /// The position below which no commit is sent again.
    pub confirmed_flush_lsn: Lsn,
    /// Whether standbys keep a copy of the slot. Only the slot's own walsender waits for `synchronized_standby_slots`.
    pub is_failover: bool,
}

impl SlotState {
    /// Returns how much WAL is decoded again each time before anything is sent. While an old transaction is open, it
    /// grows.
    pub(super) fn distance(self) -> u64 {
        self.confirmed_flush_lsn.as_u64().saturating_sub(self.restart_lsn.as_u64())
    }

    /// Reads a slot of pgoutput in this database.
    pub(super) async fn read(session: &mut Session, slot: &str) -> Result<Self, Error> {
        let sql = format!(
            "SELECT restart_lsn, confirmed_flush_lsn,
                coalesce(state ->> 'invalidation_reason', CASE wal_status WHEN 'lost' THEN 'wal_status = lost' END),
                state ->> 'two_phase', state ->> 'failover'
             FROM pg_catalog.pg_replication_slots s, LATERAL pg_catalog.to_jsonb(s) state
             WHERE slot_name = {} AND plugin = 'pgoutput' AND database = pg_catalog.current_database()",
            literal(slot)
        );
        let rows = session.query(&sql, Operation::Query).await?;
        let Some([restart, confirmed, invalidated, two_phase, failover]) = rows.first().map(Vec::as_slice) else {
            return Err(Error::new(Kind::SlotMissing { slot: slot.into() }));
        };

        let slot = slot.into();
        Err(Error::new(match (restart, confirmed, invalidated) {
            (_, _, Some(reason)) => Kind::SlotLost { slot, reason: Some(reason.as_str().into()) },
            _ if two_phase.as_deref() == Some("true") => Kind::TwoPhase { slot },
            (Some(restart), Some(confirmed), None) => {
                let is_failover = failover.as_deref() == Some("true");
                return Ok(Self {
                    restart_lsn: restart.parse()?,
                    confirmed_flush_lsn: confirmed.parse()?,
                    is_failover,
                });
            }
            (Some(_), None, None) => Kind::SlotUnfinished { slot },
            (None, ..) => Kind::SlotLost { slot, reason: None },
        }))
    }
}

/// Returns the process that holds a slot; `None` if the slot is free.
pub(super) async fn holder(session: &mut Session, slot: &str) -> Result<Option<u32>, Error> {
    let sql = format!("SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = {}", literal(slot));
    let rows = session.query(&sql, Operation::Query).await?;
    let Some(row) = rows.into_iter().next() else { return Err(Error::new(Kind::SlotMissing { slot: slot.into() })) };
    let pid = row.into_iter().next().flatten();
    pid.map(|pid| pid.parse().map_err(|_| Error::protocol("a process id"))).transpose()
}

/// Returns an error if the server would not let the slot be taken. An attempt would write an error to the server's log.
pub(super) async fn require_free(session: &mut Session, slot: &str) -> Result<(), Error> {
    // Before version 16 a standby decodes nothing. A slot that is being synchronised is held by the server itself.
    let sql = format!(
        "SELECT pg_catalog.pg_is_in_recovery() AND (state ->> 'synced' = 'true'
             OR pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 160000)
         FROM pg_catalog.pg_replication_slots s, LATERAL pg_catalog.to_jsonb(s) state WHERE slot_name = {}",
        literal(slot)
    );
    if session.query(&sql, Operation::Query).await?.into_iter().flatten().flatten().any(|is| is == "t") {
        return Err(Error::new(Kind::Standby { slot: slot.into() }));
    }
    match holder(session, slot).await? {
        Some(pid) => Err(Error::new(Kind::SlotActive { slot: slot.into(), pid: Some(pid) })),
        None => Ok(()),
    }
}

/// Returns whether the server is a standby.
pub(super) async fn is_in_recovery(session: &mut Session) -> Result<bool, Error> {
    let rows = session.query("SELECT 1 WHERE pg_catalog.pg_is_in_recovery()", Operation::Query).await?;
    Ok(!rows.is_empty())
}

/// Returns the end of the WAL that may be read.
pub(super) async fn flushed(session: &mut Session) -> Result<Lsn, Error> {
    let sql = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
               ELSE pg_catalog.pg_current_wal_flush_lsn() END";
    let lsn = session.query(sql, Operation::Query).await?.into_iter().flatten().flatten().next();
    Ok(lsn.ok_or_else(|| Error::protocol("the end of the WAL"))?.parse()?)
}

/// Checks that the publication exists. A missing publication would cause an error at the first row.
pub(super) async fn require_publication(session: &mut Session, publication: &str) -> Result<(), Error> {
    match has_publication(session, publication).await? {
        true => Ok(()),
        false => Err(Error::new(Kind::PublicationMissing { publication: publication.into() })),
    }
}

/// Returns whether a publication exists in this database.
pub(super) async fn has_publication(session: &mut Session, publication: &str) -> Result<bool, Error> {
    let sql = format!("SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = {}", literal(publication));
    Ok(!session.query(&sql, Operation::Query).await?.is_empty())
}

/// Returns whether the slot is held by a walsender of this application's name, which must be the caller's own.
pub async fn is_held(options: &ConnectOptions, source: &Source) -> Result<bool, Error> {
    of_own_walsender(options, source, "true").await.map(|found| found.is_some())
}

/// Ends a walsender of this application's name that still holds the slot, such as that of a connection that hangs.
/// Returns whether there was one. The application's name must be the caller's own.
pub async fn end_own_walsender(options: &ConnectOptions, source: &Source) -> Result<bool, Error> {
    // The server answers before the statement's timeout.
    let wait = (options.timeouts.statement / 2).as_millis();
    let ended = of_own_walsender(options, source, &format!("pg_catalog.pg_terminate_backend(a.pid, {wait})")).await?;
    Ok(ended.is_some())
}

/// Returns whether the slot's walsender is at work, and waits neither for WAL nor for its client.
pub(super) async fn is_decoding(options: &ConnectOptions, source: &Source) -> Result<bool, Error> {
    let is_busy = "coalesce(a.wait_event_type NOT IN ('Activity', 'Client'), true)";
    Ok(of_own_walsender(options, source, is_busy).await?.as_deref() == Some("t"))
}

/// Returns an expression of the walsender's row in `pg_stat_activity`.
async fn of_own_walsender(
    options: &ConnectOptions,
    source: &Source,
    expression: &str,
) -> Result<Option<String>, Error> {
    let mut session = Session::open(options, Purpose::Sql).await?;
    let sql = format!(
        "SELECT {expression}
         FROM pg_catalog.pg_replication_slots s JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
         WHERE s.slot_name = {} AND a.application_name = {}",
        literal(source.slot()),
        literal(&options.application_name)
    );
    Ok(session.query(&sql, Operation::Query).await?.into_iter().flatten().flatten().next())
}

/// The state of a slot, for metrics and readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotStatus {
    /// The end of the server's WAL.
    pub wal_end: Lsn,
    /// The WAL from here on is kept for the slot.
    pub restart_lsn: Lsn,
    /// The position up to which the walsender has sent, if it waits for a standby of `synchronized_standby_slots`.
    pub waits_for_standby: Option<Lsn>,
}

/// Reads the state of the slot over a separate connection.
pub async fn slot_status(options: &ConnectOptions, source: &Source) -> Result<SlotStatus, Error> {
    let mut session = Session::open(options, Purpose::Sql).await?;
    let sql = format!(
        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                     ELSE pg_catalog.pg_current_wal_lsn() END, s.restart_lsn,
                CASE WHEN a.wait_event = 'WaitForStandbyConfirmation' THEN r.sent_lsn END
         FROM pg_catalog.pg_replication_slots s
         LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
         LEFT JOIN pg_catalog.pg_stat_replication r ON r.pid = s.active_pid
         WHERE s.slot_name = {}",
        literal(source.slot())
    );
    let rows = session.query(&sql, Operation::Query).await?;

    match rows.first().map(Vec::as_slice) {
        Some([Some(wal_end), Some(restart), sent]) => Ok(SlotStatus {
            wal_end: wal_end.parse()?,
            restart_lsn: restart.parse()?,
            waits_for_standby: sent.as_deref().map(str::parse).transpose()?,
        }),
        Some(_) => Err(Error::new(Kind::SlotLost { slot: source.slot().into(), reason: None })),
        None => Err(Error::new(Kind::SlotMissing { slot: source.slot().into() })),
    }
}

/// A connection that watches who holds a slot. Watching costs the server one small query each time and writes nothing
/// to its log, unlike an attempt to take the slot.
pub struct SlotWatch {
    session: Session,
    slot: Box<str>,
}

impl SlotWatch {
    /// Connects.
    pub async fn open(options: &ConnectOptions, source: &Source) -> Result<Self, Error> {
        Ok(Self { session: Session::open(options, Purpose::Sql).await?, slot: source.slot().into() })
    }

    /// Returns the process that holds the slot; `None` if the slot is free.
    pub async fn holder(&mut self) -> Result<Option<u32>, Error> {
        holder(&mut self.session, &self.slot).await
    }
}

impl fmt::Debug for SlotWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotWatch").field("slot", &self.slot).finish_non_exhaustive()
    }
}
