//! The indicators of the publication and the table. [`indicators`] lists them, except [`oldest_unconfirmed`], which the
//! monitor calls: it needs the positions of the slot and those of earlier checks.

use std::time::Duration;

use outbox_core::uuid::Uuid;
use outbox_core::{Pipeline, RowLife};

use super::samples::Known;
use super::{Indicator, IndicatorStatus, Measure, Thresholds};
use crate::Error;
use crate::maintenance::{first_id, time_of};
use crate::migration::row_life::id;
use crate::partition_range;
use crate::session::Session;

/// Returns the age of the oldest row that may be unconfirmed, which is newer than the confirmed position. If rows are
/// not visible, it returns the age of the unconfirmed WAL, with or without a row in it.
pub(super) async fn oldest_unconfirmed(
    client: &Session<'_>,
    pipeline: &Pipeline,
    thresholds: &Thresholds,
    known: Known,
    now: u64,
) -> Result<Indicator, Error> {
    let name = "oldest_unconfirmed";
    let remedy = "the slot is not confirmed any further: see the log of the connector or the relay, and whether Kafka takes records";
    let confirmed_at = match known {
        Known::ConfirmedAt(at) => at,
        // The age is at least this.
        Known::UnconfirmedSince(at) => {
            let age = Duration::from_millis(now.saturating_sub(at));
            return Ok(thresholds.of_age(name, age).remedy(remedy));
        }
        Known::Nothing => return Ok(thresholds.of_unknown_age(name).remedy("check again: this is the first check")),
    };

    let (layout, table) = (pipeline.layout(), pipeline.layout().qualified_name());
    let failed = |e| Error::database(format!("look at the rows of {table}"), e);
    let id = id(layout);
    // Other ids than those of version 7 hold no time.
    let sql = r#"SELECT coalesce(has_table_privilege(to_regclass($1)::oid, 'SELECT'), false) AND EXISTS (
                     SELECT FROM pg_attribute
                     WHERE attrelid = to_regclass($1) AND '"' || replace(attname, '"', '""') || '"' = $2
                         AND atttypid = 'uuid'::regtype)"#;
    let is_seen = layout.row_life().keeps_rows() && client.query_one(sql, &[&table, &id]).await.map_err(failed)?.get(0);
    let since = if is_seen {
        let sql = format!(
            "SELECT {id} FROM {table} WHERE {id} >= $1 AND get_byte(uuid_send({id}), 6) >> 4 = 7 ORDER BY {id} LIMIT 1"
        );
        let row = client.query_opt(&sql, &[&first_id(confirmed_at)]).await.map_err(failed)?;
        row.map_or(now, |row| time_of(row.get::<_, Uuid>(0)))
    } else {
        confirmed_at
    };

    let indicator = thresholds.of_age(name, Duration::from_millis(now.saturating_sub(since)));
    Ok(indicator.remedy(remedy))
}

/// Adds the indicators of the publication and the table that the kind of table calls for.
pub(super) async fn indicators(
    client: &Session<'_>,
    pipeline: &Pipeline,
    thresholds: &Thresholds,
    now: u64,
    indicators: &mut Vec<Indicator>,
) -> Result<(), Error> {
    // Messages are sent whatever the publication contains.
    if !pipeline.layout().row_life().has_table() {
        return Ok(());
    }

    indicators.extend(publication(client, pipeline).await?);
    indicators.extend(replica_identity(client, pipeline).await?);
    if pipeline.layout().row_life() == RowLife::Partitioned {
        let [_, to] = partition_range::range(client, pipeline).await?;
        let ahead = Duration::from_millis(to.saturating_sub(now));
        indicators.push(
            thresholds
                .of_horizon("partition_horizon", ahead)
                .remedy("run Maintenance: without a partition every INSERT fails"),
        );
    }
    Ok(())
}

/// Checks the contents of the publication, and whether it already contained this table at the oldest WAL that the slot
/// has still to read: a reader fails at WAL from before its publication.
async fn publication(client: &Session<'_>, pipeline: &Pipeline) -> Result<Vec<Indicator>, Error> {
    let (publication, layout) = (pipeline.publication(), pipeline.layout());
    let sql = r#"SELECT concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END,
                          CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END),
                      ARRAY(SELECT '"' || replace(schemaname, '"', '""') || '"."' || replace(tablename, '"', '""') || '"'
                            FROM pg_publication_tables t WHERE t.pubname = p.pubname ORDER BY 1),
                      pubviaroot,
                      (SELECT age(p.xmin) BETWEEN 0 AND age(catalog_xmin) OR EXISTS (
                              SELECT FROM pg_publication_rel r
                              WHERE r.prpubid = p.oid AND age(r.xmin) BETWEEN 0 AND age(catalog_xmin))
                          FROM pg_replication_slots WHERE slot_name = $2)
               FROM pg_publication p WHERE pubname = $1"#;
    let row = client.query_opt(sql, &[&publication.as_str(), &pipeline.slot().as_str()]).await;
    let Some(row) = row.map_err(|e| Error::database(format!("look at the publication {publication}"), e))? else {
        return Ok(Vec::new());
    };

    let (operations, tables, via_root): (String, Vec<String>, bool) = (row.get(0), row.get(1), row.get(2));
    let contents = format!("{operations} of {}", tables.join(", "));
    let wanted = format!("insert of {}", layout.qualified_name());
    let status = IndicatorStatus::good_if(contents == wanted, IndicatorStatus::Warning);
    let only = format!(
        "the reader is sent more than inserts into {table}: run ALTER PUBLICATION {publication} SET (publish = 'insert'), and \
         ALTER PUBLICATION {publication} SET TABLE {table}",
        table = layout.qualified_name()
    );

    let indicator = Indicator::new("publication_contents", Measure::Text(contents), status);
    let mut indicators = vec![indicator.threshold(Measure::Text(wanted)).remedy(only)];

    if layout.row_life() == RowLife::Partitioned {
        let status = IndicatorStatus::good_if(via_root, IndicatorStatus::Critical);
        let remedy = format!(
            "run ALTER PUBLICATION {publication} SET (publish_via_partition_root = true): rows are sent as those of partitions"
        );
        indicators.push(
            Indicator::new("publication_via_root", Measure::Bool(via_root), status)
                .threshold(Measure::Bool(true))
                .remedy(remedy),
        );
    }

    // A negative age is that of a transaction two billion ago, which was long before the slot.
    if let Some(is_newer) = row.get::<_, Option<bool>>(3) {
        let status = IndicatorStatus::good_if(!is_newer, IndicatorStatus::Warning);
        // The slot's oldest transaction is a lower bound. With long transactions, the check reports an older
        // publication as well, until the slot moves.
        indicators.push(Indicator::new("publication_older_than_slot", Measure::Bool(!is_newer), status).threshold(Measure::Bool(true)).remedy(
            "the publication may have been made or changed after WAL that the slot has still to read: if a reader says that it \
             does not exist, drop the slot and create it again; else this passes as the slot moves on",
        ));
    }
    Ok(indicators)
}

/// Checks the replica identity. A published DELETE fails without one, and a full one is written to the WAL at each.
async fn replica_identity(client: &Session<'_>, pipeline: &Pipeline) -> Result<Option<Indicator>, Error> {
    let table = pipeline.layout().qualified_name();
    let sql = "SELECT CASE relreplident WHEN 'd' THEN 'default' WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' ELSE 'index' END,
                      relreplident = 'i' OR (relreplident = 'd' AND EXISTS (
                          SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary)),
                      EXISTS (SELECT FROM pg_publication p WHERE (pubdelete OR pubupdate) AND (
                          puballtables OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = pg_class.oid)
                          OR EXISTS (SELECT FROM pg_publication_tables t
                                     WHERE t.pubname = p.pubname AND t.schemaname = nspname AND t.tablename = relname)))
               FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass($1)";
    let row = client.query_opt(sql, &[&table]).await.map_err(|e| Error::database(format!("look at {table}"), e))?;

    Ok(row.map(|row| {
        let (identity, is_key, is_needed): (String, bool, bool) = (row.get(0), row.get(1), row.get(2));
        let status = match (is_key, is_needed) {
            (true, _) => IndicatorStatus::Good,
            (false, true) if identity != "full" => IndicatorStatus::Critical,
            (false, _) => IndicatorStatus::good_if(identity == "nothing", IndicatorStatus::Warning),
        };
        let remedy = format!("run ALTER TABLE {table} REPLICA IDENTITY DEFAULT: without a key a published DELETE fails, and a full one fills the WAL");
        Indicator::new("replica_identity", Measure::Text(identity), status)
            .threshold(Measure::Text("default".into()))
            .remedy(remedy)
    }))
}
