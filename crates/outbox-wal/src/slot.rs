use super::error::{Error, Kind};
use super::server_error::Operation;
use super::session::Session;
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
    pub restart: Lsn,
    /// The position below which no commit is sent again.
    pub confirmed: Lsn,
    /// Whether standbys keep a copy of the slot. Only the slot's own walsender waits for `synchronized_standby_slots`.
    pub is_failover: bool,
}

impl SlotState {
    /// Returns how much WAL is decoded again each time before anything is sent. While an old transaction is open, it
    /// grows.
    pub(super) fn distance(self) -> u64 {
        self.confirmed.as_u64().saturating_sub(self.restart.as_u64())
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
                return Ok(Self { restart: restart.parse()?, confirmed: confirmed.parse()?, is_failover });
            }
            (Some(_), None, None) => Kind::SlotUnfinished { slot },
            (None, ..) => Kind::SlotLost { slot, reason: None },
        }))
    }
}

/// Returns the process that holds a slot; none if the slot is free.
pub(super) async fn holder(session: &mut Session, slot: &str) -> Result<Option<u32>, Error> {
    let sql = format!("SELECT active_pid FROM pg_catalog.pg_replication_slots WHERE slot_name = {}", literal(slot));
    let rows = session.query(&sql, Operation::Query).await?;
    let Some(row) = rows.into_iter().next() else { return Err(Error::new(Kind::SlotMissing { slot: slot.into() })) };
    let pid = row.into_iter().next().flatten();
    pid.map(|pid| pid.parse().map_err(|_| Error::protocol("a process id"))).transpose()
}

/// Returns an error if the server would not let the slot be taken. An attempt would put an error into its log.
pub(super) async fn require_free(session: &mut Session, slot: &str) -> Result<(), Error> {
    if let Some(pid) = holder(session, slot).await? {
        return Err(Error::new(Kind::SlotActive { slot: slot.into(), pid: Some(pid) }));
    }
    let sql = format!(
        "SELECT pg_catalog.pg_is_in_recovery() AND state ->> 'synced' = 'true'
         FROM pg_catalog.pg_replication_slots s, LATERAL pg_catalog.to_jsonb(s) state WHERE slot_name = {}",
        literal(slot)
    );
    match session.query(&sql, Operation::Query).await?.into_iter().flatten().flatten().next().as_deref() {
        Some("t") => Err(Error::new(Kind::Standby { slot: slot.into() })),
        _ => Ok(()),
    }
}

/// Returns the end of the WAL that may be read.
pub(super) async fn flushed(session: &mut Session) -> Result<Lsn, Error> {
    let sql = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
               ELSE pg_catalog.pg_current_wal_flush_lsn() END";
    let lsn = session.query(sql, Operation::Query).await?.into_iter().flatten().flatten().next();
    Ok(lsn.ok_or_else(|| Error::protocol("the end of the WAL"))?.parse()?)
}

/// Checks that the publication exists. A publication that is missing now will be missed at the first row.
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
