use std::time::{Duration, SystemTime};

use super::error::{Error, Operation};
use super::options::ConnectOptions;
use super::session::{Purpose, Session};
use super::slot::{SlotState, Source};
use super::sql::{identifier, literal};

/// The state of a server, which a reader inspects before it takes the slot.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The server's version, in words.
    pub version: String,
    /// Whether the server is a standby.
    pub is_standby: bool,
    /// The setting `wal_level`.
    pub wal_level: String,
    /// The number of slots that the server can have in addition.
    pub free_slots: i64,
    /// Whether the role may copy slots, as a [`CatchUp`](crate::CatchUp) does.
    pub may_copy_slots: bool,
    /// The setting `synchronized_standby_slots`, if the version has it.
    pub synchronized_standby_slots: Option<String>,
    /// Whether standbys synchronize the slot, if it exists and the version has such slots.
    pub has_failover: Option<bool>,
    /// The process that holds the slot.
    pub slot_holder: Option<u32>,
    /// The seconds by which the server's clock is ahead of this machine's. The time that the answer took is not known.
    pub clock_ahead: f64,
}

/// A sample of a table's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSample {
    /// Different values of the column, as text.
    pub values: Vec<String>,
    /// The length of the longest row as text, in bytes.
    pub longest: Option<u64>,
}

/// The number of rows that a sample reads, and of the values that it returns.
const SAMPLED_ROWS: u32 = 100_000;
const SAMPLED_VALUES: u32 = 100;

/// Opens a walsender connection and closes it again: a pooler, a missing privilege or a lack of connections fails it.
pub async fn check_replication(options: &ConnectOptions) -> Result<(), Error> {
    let mut session = Session::open(options, Purpose::Replication).await?;
    session.query("IDENTIFY_SYSTEM", Operation::Identify).await.map(|_| ())
}

/// Checks that a slot can be read: it exists, is not lost, and has no two-phase commit. It may be held by another
/// process.
pub async fn check_slot(options: &ConnectOptions, source: &Source) -> Result<SlotState, Error> {
    SlotState::read(&mut Session::open(options, Purpose::Sql).await?, source.slot()).await
}

/// Reads the state of a slot and its server from settings and catalogs.
pub async fn inspect(options: &ConnectOptions, source: &Source) -> Result<Inspection, Error> {
    let mut session = Session::open(options, Purpose::Sql).await?;
    let sql = format!(
        "SELECT pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery(),
            pg_catalog.current_setting('wal_level'),
            pg_catalog.current_setting('max_replication_slots')::int8
                - (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),
            pg_catalog.has_function_privilege('pg_catalog.pg_copy_logical_replication_slot(name, name, boolean)', 'EXECUTE')
                AND pg_catalog.has_function_privilege(
                    'pg_catalog.pg_logical_slot_get_binary_changes(name, pg_lsn, int4, text[])', 'EXECUTE'),
            pg_catalog.current_setting('synchronized_standby_slots', true), state ->> 'failover', state ->> 'active_pid',
            EXTRACT(EPOCH FROM pg_catalog.clock_timestamp())
         FROM (SELECT) one LEFT JOIN LATERAL (
             SELECT pg_catalog.to_jsonb(s) AS state FROM pg_catalog.pg_replication_slots s WHERE slot_name = {}) slot ON true",
        literal(source.slot())
    );

    let row = session.query(&sql, Operation::Query).await?.into_iter().next().unwrap_or_default();
    let here = outbox_net::wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    let Ok(
        [Some(version), Some(standby), Some(wal_level), Some(free), Some(copies), synchronized, failover, pid, clock],
    ) = <[_; 9]>::try_from(row)
    else {
        return Err(Error::protocol("the settings of the server"));
    };

    Ok(Inspection {
        version,
        is_standby: standby == "t",
        wal_level,
        free_slots: free.parse().unwrap_or_default(),
        may_copy_slots: copies == "t",
        synchronized_standby_slots: synchronized,
        has_failover: failover.map(|failover| failover == "true"),
        slot_holder: pid.and_then(|pid| pid.parse().ok()),
        clock_ahead: clock.and_then(|clock| clock.parse::<f64>().ok()).map_or(0.0, |clock| clock - here),
    })
}

/// Reads a sample of a table's rows, for which the role needs SELECT.
pub async fn sample(options: &ConnectOptions, schema: &str, table: &str, column: &str) -> Result<RowSample, Error> {
    let mut session = Session::open(options, Purpose::Sql).await?;
    let rows = format!("(SELECT * FROM {}.{} LIMIT {SAMPLED_ROWS}) r", identifier(schema), identifier(table));
    let longest = format!("SELECT pg_catalog.max(pg_catalog.octet_length(r::pg_catalog.text)) FROM {rows}");
    let longest = session.query(&longest, Operation::Query).await?.into_iter().flatten().flatten().next();
    let column = identifier(column);
    let values = format!(
        "SELECT DISTINCT r.{column}::pg_catalog.text FROM {rows} WHERE r.{column} IS NOT NULL LIMIT {SAMPLED_VALUES}"
    );
    let values = session.query(&values, Operation::Query).await?.into_iter().flatten().flatten().collect();
    Ok(RowSample { values, longest: longest.and_then(|length| length.parse().ok()) })
}
