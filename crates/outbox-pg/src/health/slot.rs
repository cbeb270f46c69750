//! The indicators of the server and of the slot. Each is a function; [`indicators`] lists them.

use outbox_core::{Pipeline, RowLife};

use super::{Indicator, IndicatorStatus, Measure, Thresholds};
use crate::Error;
use crate::session::Session;

/// Positions in the WAL.
pub(super) struct Slot {
    pub(super) confirmed: u64,
    pub(super) written: u64,
}

/// The last setting is NULL before PostgreSQL 18.
const SETTINGS: &str = "SELECT current_setting('wal_level'), current_setting('max_slot_wal_keep_size'),
                               current_setting('idle_replication_slot_timeout', true)";

const SLOT: &str = "WITH wal AS (
        SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS written)
    SELECT active, coalesce(wal_status, 'unknown'), (written - restart_lsn)::int8, safe_wal_size,
           confirmed_flush_lsn::text, (confirmed_flush_lsn - '0/0')::int8, (written - '0/0')::int8
    FROM pg_replication_slots, wal WHERE slot_name = $1 AND database = current_database()";

/// The bytes of WAL until the slot is lost that are a warning, and critical.
const UNTIL_LOST: [u64; 2] = [256 << 20, 64 << 20];

/// Adds the indicators of the settings and the slot; returns the slot's positions, if it has any.
pub(super) async fn indicators(
    client: &Session<'_>,
    pipeline: &Pipeline,
    thresholds: &Thresholds,
    indicators: &mut Vec<Indicator>,
) -> Result<Option<Slot>, Error> {
    let (name, life) = (pipeline.slot(), pipeline.layout().row_life());
    let failed = |e| Error::database(format!("look at the replication slot {name}"), e);

    let row = client.query_one(SETTINGS, &[]).await.map_err(failed)?;
    indicators.push(wal_level(row.get(0)));
    indicators.push(keep_size(row.get(1), life));
    indicators.extend(row.get::<_, Option<String>>(2).map(|timeout| idle_timeout(timeout, life)));

    let row = client.query_opt(SLOT, &[&name.as_str()]).await.map_err(failed)?;
    indicators.push(present(row.is_some(), life));
    let Some(row) = row else { return Ok(None) };
    let bytes = |column: usize| row.get::<_, Option<i64>>(column).map(|bytes| u64::try_from(bytes).unwrap_or_default());

    indicators.push(active(row.get(0)));
    indicators.push(wal_status(row.get(1), life));
    indicators.extend(bytes(2).map(|held_back| wal_held_back(held_back, thresholds)));
    indicators.extend(bytes(3).map(wal_until_lost));

    let Some(text) = row.get::<_, Option<String>>(4) else { return Ok(None) };
    indicators.push(Indicator::new("confirmed_position", Measure::Text(text), IndicatorStatus::Good));
    Ok(Some(Slot { confirmed: bytes(5).unwrap_or_default(), written: bytes(6).unwrap_or_default() }))
}

fn wal_level(setting: String) -> Indicator {
    let status = IndicatorStatus::good_if(setting == "logical", IndicatorStatus::Critical);
    Indicator::new("wal_level", Measure::Text(setting), status)
        .threshold(Measure::Text("logical".into()))
        .remedy("set wal_level = logical, and restart PostgreSQL")
}

/// Reports the limit of the WAL that a slot holds back. Without a limit a stopped reader fills the disk; with one, the
/// slot may be lost, and with it events that no table keeps.
fn keep_size(setting: String, life: RowLife) -> Indicator {
    let is_unlimited = setting == "-1";
    let indicator = |status| Indicator::new("max_slot_wal_keep_size", Measure::Text(setting), status);
    if !life.keeps_rows() {
        let remedy =
            "no table keeps the events, so a slot that passes this limit loses them: set it to -1, and watch the disk";
        return indicator(IndicatorStatus::good_if(is_unlimited, IndicatorStatus::Warning))
            .threshold(Measure::Text("-1".into()))
            .remedy(remedy);
    }

    let indicator = indicator(IndicatorStatus::Good).threshold(Measure::Text("any".into()));
    if is_unlimited {
        return indicator.advice(
            "a stopped reader lets the WAL fill the disk: consider a limit. What a lost slot leaves out is kept in the \
             table, and Republish::missed publishes it",
        );
    }
    indicator
}

/// Reports the time after which PostgreSQL 18 and later invalidate a slot without a reader.
fn idle_timeout(setting: String, life: RowLife) -> Indicator {
    let is_off = setting == "0";
    let status = match life.keeps_rows() {
        true => IndicatorStatus::Good,
        false => IndicatorStatus::good_if(is_off, IndicatorStatus::Warning),
    };
    let indicator = Indicator::new("idle_replication_slot_timeout", Measure::Text(setting), status)
        .threshold(Measure::Text("0".into()))
        .remedy(
            "no table keeps the events, so an outage of the reader that is longer than this loses them: set it to 0, \
             and reload",
        );

    if is_off || !life.keeps_rows() {
        return indicator;
    }

    indicator.advice(
        "an outage of the reader that is longer than this loses the slot: Republish::missed then publishes the events \
         from the table. Set it to 0 if that should not happen",
    )
}

fn present(is_present: bool, life: RowLife) -> Indicator {
    let status = IndicatorStatus::good_if(is_present, IndicatorStatus::Critical);
    Indicator::new("slot_present", Measure::Bool(is_present), status).threshold(Measure::Bool(true)).remedy(match life
        .keeps_rows()
    {
        true => "call create_slot: what commits before is published by Republish::missed only",
        false => "call create_slot: no table keeps the events, so those that commit before are lost",
    })
}

fn active(is_active: bool) -> Indicator {
    let status = IndicatorStatus::good_if(is_active, IndicatorStatus::Warning);
    Indicator::new("slot_active", Measure::Bool(is_active), status)
        .threshold(Measure::Bool(true))
        .remedy("start the connector or the relay: nobody reads the slot")
}

fn wal_status(found: String, life: RowLife) -> Indicator {
    let is_kept = matches!(found.as_str(), "reserved" | "extended");
    let status = IndicatorStatus::good_if(is_kept, IndicatorStatus::Critical);
    Indicator::new("slot_wal_status", Measure::Text(found), status).threshold(Measure::Text("extended".into())).remedy(
        match life.keeps_rows() {
            true => {
                "WAL that the slot has to read is removed, or will be at the next checkpoint: raise \
                 max_slot_wal_keep_size. If the slot is lost, create it with SlotOptions::recreate, and publish the \
                 events between with Republish::missed"
            }
            false => {
                "WAL that the slot has to read is removed, or will be at the next checkpoint: raise \
                 max_slot_wal_keep_size. If the slot is lost, create it with SlotOptions::recreate: no table keeps the \
                 events between"
            }
        },
    )
}

fn wal_held_back(bytes: u64, thresholds: &Thresholds) -> Indicator {
    thresholds.of_wal("wal_held_back", bytes).remedy(
        "the slot's reader is too slow or stuck, or a transaction is open for long: see its log, and pg_stat_activity",
    )
}

fn wal_until_lost(bytes: u64) -> Indicator {
    let [warning, critical] = UNTIL_LOST;
    let status = if bytes < critical {
        IndicatorStatus::Critical
    } else {
        IndicatorStatus::good_if(bytes >= warning, IndicatorStatus::Warning)
    };
    Indicator::new("wal_until_lost", Measure::Bytes(bytes), status)
        .threshold(Measure::Bytes(warning))
        .remedy("raise max_slot_wal_keep_size, and reload: the slot is about to be lost")
}
