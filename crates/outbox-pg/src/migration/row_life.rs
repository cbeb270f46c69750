use outbox_core::{EventField, Identifier, RowLife, TableLayout};
use tokio_postgres::GenericClient;

use crate::Error;
use crate::companion::companion;
use crate::literal::literal;

/// Deletes what was inserted.
const VANISH: &str = "outbox_vanish";
/// Keeps the id of what is inserted, and leaves out what is known.
const REMEMBER: &str = "outbox_remember";

/// Whether a table has the triggers of its rows' life, and no other of these.
pub(crate) async fn are_triggers_of(client: &impl GenericClient, layout: &TableLayout) -> Result<bool, Error> {
    let wanted: &[&str] = match layout.row_life() {
        RowLife::Vanish => &[VANISH],
        RowLife::VanishKeepingIds => &[REMEMBER, VANISH],
        _ => &[],
    };
    let table = layout.qualified_name();
    let sql = format!(
        "SELECT tgname::text FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT tgisinternal
             AND tgname IN ('{REMEMBER}', '{VANISH}') ORDER BY tgname"
    );
    let rows = client.query(&sql, &[&table]).await;
    let rows = rows.map_err(|e| Error::database(format!("read the triggers of {table}"), e))?;
    Ok(rows.iter().map(|row| row.get::<_, &str>(0)).eq(wanted.iter().copied()))
}

/// What makes the triggers of a table those of its life. The table's owner runs it, and the application needs no right
/// but INSERT.
pub(crate) fn switch_sql(layout: &TableLayout) -> String {
    let table = layout.qualified_name();
    let mut sql = format!(
        "DROP TRIGGER IF EXISTS {VANISH} ON {table};\n\
         DROP TRIGGER IF EXISTS {REMEMBER} ON {table};"
    );
    match layout.row_life() {
        RowLife::Vanish | RowLife::VanishKeepingIds => sql.push_str(&vanish_sql(layout)),
        RowLife::Keep => {
            let reset = "RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)";
            sql.push_str(&format!("\nALTER TABLE {table} {reset};"));
        }
        _ => {}
    }
    if layout.row_life() == RowLife::VanishKeepingIds {
        sql.push_str(&remember_sql(layout));
    }
    sql
}

/// By the row's place, which reads no index: under SERIALIZABLE, independent transactions that share the index's pages
/// would fail each other. The id is for a table that has partitions, where a place is not unique.
fn vanish_sql(layout: &TableLayout) -> String {
    let (table, function, id) = (layout.qualified_name(), companion(layout, "_vanish"), id(layout));
    let body = format!("BEGIN DELETE FROM {table} WHERE ctid = NEW.ctid AND {id} = NEW.{id}; RETURN NULL; END");
    // Without the planner's setting a plan made for the empty table would read all its dead rows at each insert.
    format!(
        "\nCREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n    \
             SET search_path = pg_catalog, pg_temp SET enable_seqscan = off\n    \
             AS {body};\n\
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;\n\
         CREATE TRIGGER {VANISH} AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();\n\
         ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);",
        body = literal(&body),
    )
}

fn remember_sql(layout: &TableLayout) -> String {
    let (table, ids, function) = (layout.qualified_name(), companion(layout, "_ids"), companion(layout, "_remember"));
    let body = format!(
        "BEGIN INSERT INTO {ids} (id) VALUES (NEW.{}) ON CONFLICT DO NOTHING; \
         IF FOUND THEN RETURN NEW; END IF; RETURN NULL; END",
        id(layout)
    );
    format!(
        "\nCREATE TABLE IF NOT EXISTS {ids} (id uuid PRIMARY KEY);\n\
         CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n    \
             SET search_path = pg_catalog, pg_temp AS {body};\n\
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;\n\
         CREATE TRIGGER {REMEMBER} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();",
        body = literal(&body),
    )
}

/// The column that holds the event's id.
pub(crate) fn id(layout: &TableLayout) -> String {
    let column = layout.columns().iter().find(|column| column.field() == Some(EventField::Id));
    column.map(|column| column.name()).map_or_else(|| "id".to_owned(), Identifier::to_string)
}
