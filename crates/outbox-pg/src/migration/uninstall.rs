use outbox_core::Pipeline;

use super::components::component;
use crate::sql_text::{companion, companion_name, literal};

/// Returns the SQL that removes a pipeline's slot, publication, table and everything that
/// [`Migrations::outbox`](super::Migrations::outbox) and [`Migrations::maintenance`](super::Migrations::maintenance)
/// made for it. Run it with `psql -v ON_ERROR_STOP=1 -f`, as the table's owner with the attribute REPLICATION or as a
/// superuser, after the connector is deleted: a slot in use is an error. It is one transaction that drops the slot at
/// its end, so after an error everything is as it was. It can be run again.
///
/// Events that no reader has published are lost with the table. Roles, and other tables of the schema, stay. The schema
/// is dropped if nothing else is in it.
#[must_use]
pub fn uninstall_sql(pipeline: &Pipeline) -> String {
    let layout = pipeline.layout();
    let (schema, table) = (layout.schema().to_string(), layout.qualified_name());
    let detached = companion(layout, "_detached");
    let drop_detached = format!(
        "DECLARE item text; BEGIN IF to_regclass({name}) IS NOT NULL THEN \
         FOR item IN SELECT partition FROM {detached} LOOP \
             EXECUTE format('DROP TABLE IF EXISTS %s.%I', {schema}, item); END LOOP; END IF; END",
        name = literal(&detached),
        schema = literal(&schema),
    );

    let forget = format!(
        "BEGIN IF to_regclass({record}) IS NOT NULL THEN \
         DELETE FROM {schema}.schema_migration WHERE component IN ({outbox}, {maintenance}); \
         IF NOT EXISTS (SELECT FROM {schema}.schema_migration) THEN DROP TABLE {schema}.schema_migration; END IF; END IF; \
         IF to_regnamespace({name}) IS NOT NULL AND {plain} <> 'public' \
             AND NOT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass \
                 AND refobjid = to_regnamespace({name})) \
         THEN DROP SCHEMA {schema}; END IF; END",
        record = literal(&format!("{schema}.schema_migration")),
        outbox = literal(&component("outbox", layout)),
        maintenance = literal(&component("outbox-maintenance", layout)),
        name = literal(&schema),
        plain = literal(layout.schema().as_str()),
    );

    let tables =
        ["_ids", "_lease", "_detached", "_slots", "_replays"].map(|suffix| companion(layout, suffix)).join(", ");

    let functions = ["_vanish", "_remember"]
        .map(|suffix| format!("{schema}.{}()", crate::sql_text::quoted(&companion_name(layout, suffix))))
        .join(", ");

    format!(
        "-- Removes the outbox {table} with its slot and publication. Unpublished events are lost.\n\
         BEGIN;\n\
         DROP PUBLICATION IF EXISTS {publication};\n\
         DO {drop_detached};\n\
         DROP TABLE IF EXISTS {table}, {tables};\n\
         DROP FUNCTION IF EXISTS {functions};\n\
         DO {forget};\n\
         -- Last, because no rollback brings a slot back.\n\
         SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
         WHERE slot_name = {slot} AND database = current_database();\n\
         COMMIT;\n",
        slot = literal(pipeline.slot().as_str()),
        publication = pipeline.publication(),
        drop_detached = literal(&drop_detached),
        forget = literal(&forget),
    )
}
