use outbox_core::layout::EventField;
use outbox_core::{Identifier, RowLife, TableLayout};

use crate::Error;
use crate::session::{Row, Session};
use crate::sql_text::{companion, companion_name, literal};

/// The trigger that deletes the inserted row.
const VANISH: &str = "outbox_vanish";
/// The trigger that stores the id of an inserted row, and skips a row whose id is known.
const REMEMBER: &str = "outbox_remember";

/// The difference between a table's triggers and those of its rows' life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Triggers {
    /// They are the ones that this version of the library makes.
    AsWanted,
    /// They are those, but do not fire.
    Disabled,
    /// There are others, or their functions differ from those of this version, or belong to another role.
    Others,
}

/// Compares names, times, functions and owners: a trigger that was replaced, or that an older version of this library
/// made, differs.
pub(crate) async fn triggers_of(client: &Session<'_>, layout: &TableLayout) -> Result<Triggers, Error> {
    let table = layout.qualified_name();
    let sql = format!(
        "SELECT tgname::text, tgenabled IN ('O', 'A'), tgtype::int, proname::text, prosrc, prosecdef,
                coalesce(proconfig, '{{}}'), proowner = relowner AND pronamespace = relnamespace
         FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_class ON pg_class.oid = tgrelid
         WHERE tgrelid = to_regclass($1) AND NOT tgisinternal AND tgname IN ('{REMEMBER}', '{VANISH}') ORDER BY tgname"
    );
    let rows = client.query(&sql, &[&table]).await;
    let rows = rows.map_err(|e| Error::database(format!("read the triggers of {table}"), e))?;

    let wanted = wanted(layout);
    let is_wanted = |(row, wanted): (&Row, &Wanted)| {
        (row.get::<_, &str>(0), row.get::<_, i32>(2)) == (wanted.name, wanted.when)
            && (row.get::<_, &str>(3), row.get::<_, &str>(4)) == (&*wanted.function, &*wanted.body)
            && row.get::<_, bool>(5)
            && row.get::<_, Vec<String>>(6) == wanted.settings
            && row.get::<_, bool>(7)
    };
    Ok(if rows.len() != wanted.len() || !rows.iter().zip(&wanted).all(is_wanted) {
        Triggers::Others
    } else if rows.iter().all(|row| row.get(1)) {
        Triggers::AsWanted
    } else {
        Triggers::Disabled
    })
}

/// A trigger as the catalogs have it.
struct Wanted {
    name: &'static str,
    /// `tgtype`: 1 for each row, 2 before, 4 INSERT.
    when: i32,
    function: String,
    body: String,
    settings: Vec<String>,
}

/// Returns the triggers that the layout's kind of table needs, as the catalog would show them.
fn wanted(layout: &TableLayout) -> Vec<Wanted> {
    let path = || SEARCH_PATH.replacen(" = ", "=", 1);
    let remember = || Wanted {
        name: REMEMBER,
        when: 1 | 2 | 4,
        function: companion_name(layout, "_remember"),
        body: remember_body(layout),
        settings: vec![path()],
    };

    let vanish = || Wanted {
        name: VANISH,
        when: 1 | 4,
        function: companion_name(layout, "_vanish"),
        body: vanish_body(layout),
        settings: vec![path(), "enable_seqscan=off".into()],
    };

    match layout.row_life() {
        RowLife::DeleteOnInsert => vec![vanish()],
        RowLife::DeleteOnInsertKeepIds => vec![remember(), vanish()],
        _ => Vec::new(),
    }
}

const SEARCH_PATH: &str = "search_path = pg_catalog, pg_temp";

/// Returns the statements that make the triggers of a table those of its row life. The table's owner runs it, and the
/// application needs no privilege but INSERT.
pub(crate) fn switch_sql(layout: &TableLayout) -> String {
    let table = layout.qualified_name();
    let mut sql = format!(
        "DROP TRIGGER IF EXISTS {VANISH} ON {table};\n\
         DROP TRIGGER IF EXISTS {REMEMBER} ON {table};"
    );

    match layout.row_life() {
        RowLife::DeleteOnInsert | RowLife::DeleteOnInsertKeepIds => sql.push_str(&vanish_sql(layout)),
        RowLife::Keep => {
            let body = format!(
                "BEGIN IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass({name}) AND reloptions @> ARRAY[\
                     'autovacuum_vacuum_scale_factor=0', 'autovacuum_vacuum_threshold=10000']) \
                 THEN ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold); \
                 END IF; END",
                name = literal(&table),
            );
            // Other settings are the user's.
            sql.push_str(&format!("\nDO {};", literal(&body)));
        }
        _ => {}
    }

    if layout.row_life() == RowLife::DeleteOnInsertKeepIds {
        sql.push_str(&remember_sql(layout));
    }
    sql
}

/// Deletes the row by its `ctid`, which reads no index: under SERIALIZABLE, independent transactions that share the
/// index's pages would fail each other. A partitioned table also needs the id, because a `ctid` is not unique there.
fn vanish_body(layout: &TableLayout) -> String {
    let (table, id) = (layout.qualified_name(), id(layout));
    format!("BEGIN DELETE FROM {table} WHERE ctid = NEW.ctid AND {id} = NEW.{id}; RETURN NULL; END")
}

fn vanish_sql(layout: &TableLayout) -> String {
    let (table, function) = (layout.qualified_name(), companion(layout, "_vanish"));
    // Without the planner's setting a plan made for the empty table would read all its dead rows at each insert.
    format!(
        "\nCREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n    \
             SET {SEARCH_PATH} SET enable_seqscan = off\n    \
             AS {body};\n\
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;\n\
         CREATE TRIGGER {VANISH} AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();\n\
         ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);",
        body = literal(&vanish_body(layout)),
    )
}

fn remember_body(layout: &TableLayout) -> String {
    format!(
        "BEGIN INSERT INTO {} (id) VALUES (NEW.{}) ON CONFLICT DO NOTHING; \
         IF FOUND THEN RETURN NEW; END IF; RETURN NULL; END",
        companion(layout, "_ids"),
        id(layout)
    )
}

fn remember_sql(layout: &TableLayout) -> String {
    let (table, ids, function) = (layout.qualified_name(), companion(layout, "_ids"), companion(layout, "_remember"));
    format!(
        "\nCREATE TABLE IF NOT EXISTS {ids} (id uuid PRIMARY KEY);\n\
         CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n    \
             SET {SEARCH_PATH} AS {body};\n\
         REVOKE ALL ON FUNCTION {function}() FROM PUBLIC;\n\
         CREATE TRIGGER {REMEMBER} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}();",
        body = literal(&remember_body(layout)),
    )
}

/// Returns the column that holds the event's id.
pub(crate) fn id(layout: &TableLayout) -> String {
    let column = layout.columns().iter().find(|column| column.field() == Some(EventField::Id));
    column.map(|column| column.name()).map_or_else(|| "id".to_owned(), Identifier::to_string)
}
