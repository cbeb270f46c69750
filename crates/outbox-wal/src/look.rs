use super::error::{Error, Kind};
use super::options::ConnectOptions;
use super::server_error::Doing;
use super::session::{Purpose, Session};
use super::slot::Source;
use super::sql::literal;
use crate::Lsn;

/// What the server tells of a slot, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLook {
    /// The end of the server's WAL.
    pub server: Lsn,
    /// The WAL from here on is kept for the slot.
    pub restart: Lsn,
}

/// Looks at the slot over a connection of its own.
pub async fn look(options: &ConnectOptions, source: &Source) -> Result<SlotLook, Error> {
    let mut session = Session::open(options, Purpose::Sql).await?;
    let sql = format!(
        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                     ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn
         FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
        literal(source.slot())
    );
    let rows = session.query(&sql, Doing::Query).await?;
    match rows.first().map(Vec::as_slice) {
        Some([Some(server), Some(restart)]) => Ok(SlotLook { server: server.parse()?, restart: restart.parse()? }),
        Some(_) => Err(Error::new(Kind::SlotLost { slot: source.slot().into(), reason: None })),
        None => Err(Error::new(Kind::SlotMissing { slot: source.slot().into() })),
    }
}
