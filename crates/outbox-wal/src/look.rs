use super::error::{Error, Kind};
use super::options::ConnectOptions;
use super::server_error::Operation;
use super::session::{Purpose, Session};
use super::slot::Source;
use super::sql::literal;
use crate::Lsn;

/// The state of a slot, for metrics and readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLook {
    /// The end of the server's WAL.
    pub server: Lsn,
    /// The WAL from here on is kept for the slot.
    pub restart: Lsn,
    /// The position up to which the walsender has sent, if it waits for a standby of `synchronized_standby_slots`.
    pub waits_for_standby: Option<Lsn>,
}

/// Reads the state of the slot over a separate connection.
pub async fn look(options: &ConnectOptions, source: &Source) -> Result<SlotLook, Error> {
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
        Some([Some(server), Some(restart), sent]) => Ok(SlotLook {
            server: server.parse()?,
            restart: restart.parse()?,
            waits_for_standby: sent.as_deref().map(str::parse).transpose()?,
        }),
        Some(_) => Err(Error::new(Kind::SlotLost { slot: source.slot().into(), reason: None })),
        None => Err(Error::new(Kind::SlotMissing { slot: source.slot().into() })),
    }
}
