use outbox_core::{Pipeline, RowLife};
use tokio_postgres::Client;

use super::{Indicator, IndicatorStatus, Measure, Thresholds};
use crate::Error;

/// Positions in the WAL.
pub(super) struct Slot {
    pub(super) confirmed: u64,
    pub(super) written: u64,
}

pub(super) async fn signs(
    client: &Client,
    pipeline: &Pipeline,
    thresholds: &Thresholds,
    signs: &mut Vec<Indicator>,
) -> Result<Option<Slot>, Error> {
    let name = pipeline.slot();
    let failed = |e| Error::database(format!("look at the replication slot {name}"), e);
    let settings = "SELECT current_setting('wal_level'), current_setting('max_slot_wal_keep_size')";
    let row = client.query_one(settings, &[]).await.map_err(failed)?;
    let (wal_level, keep): (String, String) = (row.get(0), row.get(1));
    let verdict = IndicatorStatus::good_if(wal_level == "logical", IndicatorStatus::Critical);
    signs.push(
        Indicator::new("wal_level", Measure::Text(wal_level), verdict)
            .threshold(Measure::Text("logical".into()))
            .remedy("set wal_level = logical, and restart PostgreSQL"),
    );
    signs.push(keep_size(keep, pipeline.layout().row_life()));

    let sql = "WITH wal AS (
                   SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS written)
               SELECT active, coalesce(wal_status, 'unknown'), (written - restart_lsn)::int8, confirmed_flush_lsn::text,
                      (confirmed_flush_lsn - '0/0')::int8, (written - '0/0')::int8, safe_wal_size
               FROM pg_replication_slots, wal WHERE slot_name = $1 AND database = current_database()";
    let row = client.query_opt(sql, &[&name.as_str()]).await.map_err(failed)?;
    let present = Indicator::new(
        "slot_present",
        Measure::Bool(row.is_some()),
        IndicatorStatus::good_if(row.is_some(), IndicatorStatus::Critical),
    );
    let keeps_rows = pipeline.layout().row_life().keeps_rows();
    let remedy = match keeps_rows {
        true => "call create_slot: what commits before is published by Republish::missed only",
        false => "call create_slot: no table keeps the events, so those that commit before are lost",
    };
    signs.push(present.threshold(Measure::Bool(true)).remedy(remedy));
    let Some(row) = row else { return Ok(None) };

    let is_active: bool = row.get(0);
    let verdict = IndicatorStatus::good_if(is_active, IndicatorStatus::Warning);
    signs.push(
        Indicator::new("slot_active", Measure::Bool(is_active), verdict)
            .threshold(Measure::Bool(true))
            .remedy("start the connector or the relay: nobody reads the slot"),
    );
    let status: String = row.get(1);
    let verdict = match status.as_str() {
        "reserved" | "extended" => IndicatorStatus::Good,
        _ => IndicatorStatus::Critical,
    };
    let remedy = match keeps_rows {
        true => {
            "WAL that the slot has to read is removed, or at the next checkpoint: raise max_slot_wal_keep_size; if it is \
             lost, create it with SlotOptions::recreate, and publish the events between with Republish::missed"
        }
        false => {
            "WAL that the slot has to read is removed, or at the next checkpoint: raise max_slot_wal_keep_size; if it is \
             lost, create it with SlotOptions::recreate: no table keeps the events between"
        }
    };
    signs.push(
        Indicator::new("slot_wal_status", Measure::Text(status), verdict)
            .threshold(Measure::Text("extended".into()))
            .remedy(remedy),
    );
    if let Some(bytes) = row.get::<_, Option<i64>>(2) {
        let sign = thresholds.of_wal("wal_held_back", u64::try_from(bytes).unwrap_or_default());
        signs.push(sign.remedy("the slot's reader is too slow or stuck, or a transaction is open for long: see its log, and pg_stat_activity"));
    }
    if let Some(bytes) = row.get::<_, Option<i64>>(6) {
        let left = u64::try_from(bytes).unwrap_or_default();
        let [warning, critical] = [256 << 20, 64 << 20];
        let verdict = if left < critical {
            IndicatorStatus::Critical
        } else {
            IndicatorStatus::good_if(left >= warning, IndicatorStatus::Warning)
        };
        signs.push(
            Indicator::new("wal_until_lost", Measure::Bytes(left), verdict)
                .threshold(Measure::Bytes(warning))
                .remedy("raise max_slot_wal_keep_size, and reload: the slot is about to be lost"),
        );
    }
    let Some(text) = row.get::<_, Option<String>>(3) else { return Ok(None) };
    signs.push(Indicator::new("confirmed_position", Measure::Text(text), IndicatorStatus::Good));
    let position =
        |index: usize| u64::try_from(row.get::<_, Option<i64>>(index).unwrap_or_default()).unwrap_or_default();
    Ok(Some(Slot { confirmed: position(4), written: position(5) }))
}

/// Reports the limit of the WAL that a slot holds back. Without a limit a stopped reader fills the disk; with one, the
/// slot may be lost, and with it events that no table keeps.
fn keep_size(setting: String, life: RowLife) -> Indicator {
    let is_unlimited = setting == "-1";
    let sign = |verdict| Indicator::new("max_slot_wal_keep_size", Measure::Text(setting), verdict);
    if !life.keeps_rows() {
        let remedy =
            "no table keeps the events, so a slot that passes this limit loses them: set it to -1, and watch the disk";
        return sign(IndicatorStatus::good_if(is_unlimited, IndicatorStatus::Warning))
            .threshold(Measure::Text("-1".into()))
            .remedy(remedy);
    }
    let sign = sign(IndicatorStatus::Good).threshold(Measure::Text("any".into()));
    if is_unlimited {
        return sign.advice(
            "a stopped reader lets the WAL fill the disk: consider a limit. What a lost slot leaves out is kept in the \
             table, and Republish::missed publishes it",
        );
    }
    sign
}
