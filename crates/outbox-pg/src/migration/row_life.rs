use outbox_core::{EventField, Identifier, RowLife, TableLayout};

use crate::companion::companion;
use crate::literal::literal;

/// Deletes what a statement has inserted.
pub(crate) const VANISH: &str = "outbox_vanish";
/// Keeps the id of what is inserted, and leaves out what is known.
pub(crate) const REMEMBER: &str = "outbox_remember";

/// The triggers that a life needs, sorted.
pub(crate) fn triggers(life: RowLife) -> &'static [&'static str] {
    match life {
        RowLife::Vanish => &[VANISH],
        RowLife::VanishKeepingIds => &[REMEMBER, VANISH],
        _ => &[],
    }
}

/// Reads the names of the triggers that are there; `$1` is the table.
pub(crate) const TRIGGERS_FOUND: &str = "SELECT tgname::text FROM pg_trigger
     WHERE tgrelid = to_regclass($1) AND NOT tgisinternal AND tgname IN ('outbox_vanish', 'outbox_remember') ORDER BY 1";

/// What makes the triggers of a table those of its life. The table's owner runs it, and the application needs no right
/// but INSERT.
pub(crate) fn switch_sql(layout: &TableLayout) -> String {
    let table = layout.qualified_name();
    let mut sql = format!(
        "DROP TRIGGER IF EXISTS {VANISH} ON {table};\n\
         DROP TRIGGER IF EXISTS {REMEMBER} ON {table};"
    );
    if layout.row_life().vanishes() {
        sql.push_str(&vanish_sql(layout));
    }
    if layout.row_life() == RowLife::VanishKeepingIds {
        sql.push_str(&remember_sql(layout));
    }
    sql
}

/// One trigger a statement, not one a row: a batch of 1,000 costs a half more than without, not twice and a half.
fn vanish_sql(layout: &TableLayout) -> String {
    let (table, function, id) = (layout.qualified_name(), companion(layout, "_vanish"), id(layout));
    let body = format!(
        "BEGIN DELETE FROM {table} AS stored USING inserted WHERE stored.{id} = inserted.{id}; RETURN NULL; END"
    );
    // Without the planner's settings a plan made for the empty table would read all its dead rows at each insert.
    format!(
        "\nCREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n    \
             SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off\n    \
             AS {body};\n\
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;\n\
         CREATE TRIGGER {VANISH} AFTER INSERT ON {table} REFERENCING NEW TABLE AS inserted\n    \
             FOR EACH STATEMENT EXECUTE FUNCTION {function}();\n\
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
