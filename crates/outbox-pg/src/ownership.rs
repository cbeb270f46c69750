//! The roles that may act as the owner of an outbox table. Its triggers run with the owner's privileges, and the tables
//! next to it are written by the owner, so a role that creates one of them first, or a trigger on one, could run
//! statements as the owner.

use outbox_core::TableLayout;
use tokio_postgres::types::ToSql;

use crate::Error;
use crate::readiness::Problem;
use crate::session::Session;
use crate::sql_text::{companion, companion_name, literal};

/// Roles that can act as the table's owner anyway: the owner, that of the schema, and superusers.
const TRUSTED: &str = "SELECT oid FROM pg_roles WHERE rolsuper
     UNION SELECT nspowner FROM pg_namespace WHERE oid = to_regnamespace($1)
     UNION SELECT relowner FROM pg_class WHERE oid = to_regclass($2)";

/// Finds tables, functions and triggers that belong to another role.
pub(crate) async fn problems(client: &Session<'_>, layout: &TableLayout) -> Result<Vec<Problem>, Error> {
    let names = Names::of(layout);
    let params: [&(dyn ToSql + Sync); 4] = [&names.schema, &names.table, &names.tables, &names.functions];
    found(client, layout, &foreign(), &params).await
}

/// Checks that no object belongs to another role.
///
/// # Errors
/// [`Error::is_not_ready`], with the [`problems`].
pub(crate) async fn expect_trusted(client: &Session<'_>, layout: &TableLayout) -> Result<(), Error> {
    match problems(client, layout).await? {
        problems if problems.is_empty() => Ok(()),
        problems => Err(Error::not_ready(problems)),
    }
}

/// Checks, in addition, that no detached partition was replaced by another object of the same name.
///
/// # Errors
/// As [`expect_trusted`].
pub(crate) async fn expect_trusted_by_maintenance(client: &Session<'_>, layout: &TableLayout) -> Result<(), Error> {
    expect_trusted(client, layout).await?;

    let names = Names::of(layout);
    let params: [&(dyn ToSql + Sync); 2] = [&names.schema, &names.table];
    match found(client, layout, &replaced(layout), &params).await? {
        problems if problems.is_empty() => Ok(()),
        problems => Err(Error::not_ready(problems)),
    }
}

/// Finds, in addition, objects that migrations write to, and whose owner the present role is no member of.
pub(crate) async fn problems_of_migration(client: &Session<'_>, layout: &TableLayout) -> Result<Vec<Problem>, Error> {
    let names = Names::of(layout);
    let params: [&(dyn ToSql + Sync); 5] =
        [&names.schema, &names.table, &names.tables, &names.functions, &names.record];
    found(client, layout, &foreign_to_migration(), &params).await
}

/// Returns the statements of PL/pgSQL that raise an exception for each problem that [`problems_of_migration`] finds;
/// `item` is a record.
pub(crate) fn refuse(layout: &TableLayout) -> String {
    let names = Names::of(layout);
    let array = |names: &[String]| names.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ");
    format!(
        "FOR item IN EXECUTE {sql}
             USING {schema}::text, {table}::text, ARRAY[{tables}]::text[], ARRAY[{functions}]::text[], {record}::text
         LOOP
             RAISE EXCEPTION '% belongs to %, who is not the owner of the outbox table, or of whom this role is no member: \
                 drop it, or give it to the owner of the table, and run this as the owner', item.object, item.owner;
         END LOOP;",
        sql = literal(&foreign_to_migration()),
        schema = literal(&names.schema),
        table = literal(&names.table),
        tables = array(&names.tables),
        functions = array(&names.functions),
        record = literal(&names.record),
    )
}

/// The parameters of the queries: `$1` to `$5`.
struct Names {
    schema: String,
    table: String,
    tables: Vec<String>,
    functions: Vec<String>,
    record: String,
}

impl Names {
    fn of(layout: &TableLayout) -> Self {
        let names = |suffixes: &[&str]| suffixes.iter().map(|suffix| companion_name(layout, suffix)).collect();
        let schema = layout.schema().to_string();
        Self {
            table: layout.qualified_name(),
            tables: names(&["_lease", "_detached", "_ids", "_slots", "_replays"]),
            functions: names(&["_vanish", "_remember"]),
            record: format!("{schema}.schema_migration"),
            schema,
        }
    }
}

fn foreign() -> String {
    format!(
        "WITH trusted AS ({TRUSTED} UNION SELECT oid FROM pg_roles WHERE rolname = current_user AND to_regclass($2) IS NULL),
             companion AS (SELECT oid, relowner FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname = ANY ($3))
         SELECT format('the table %s', oid::regclass) AS object, pg_get_userbyid(relowner)::text AS owner
         FROM companion WHERE relowner NOT IN (SELECT oid FROM trusted)
         UNION ALL
         SELECT format('the function %s', oid::regprocedure), pg_get_userbyid(proowner)::text
         FROM pg_proc WHERE pronamespace = to_regnamespace($1) AND proname = ANY ($4) AND pronargs = 0
             AND proowner NOT IN (SELECT oid FROM trusted)
         UNION ALL
         SELECT format('the trigger %I on %s', tgname, tgrelid::regclass), pg_get_userbyid(proowner)::text
         FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
         WHERE NOT tgisinternal AND (tgrelid = to_regclass($2) OR tgrelid IN (SELECT oid FROM companion)
                 OR tgrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass($2)))
             AND proowner NOT IN (SELECT oid FROM trusted)"
    )
}

/// Returns the query for relations that took a detached partition's name. A view could run functions when its rows are
/// read, and a table of another role has the triggers of that role.
fn replaced(layout: &TableLayout) -> String {
    format!(
        "SELECT format('%s, recorded as a detached partition,', oid::regclass), pg_get_userbyid(relowner)::text
         FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname IN (SELECT partition FROM {detached})
             AND (relkind <> 'r'
                 OR NOT pg_has_role(relowner, (SELECT relowner FROM pg_class WHERE oid = to_regclass($2)), 'MEMBER'))",
        detached = companion(layout, "_detached"),
    )
}

fn foreign_to_migration() -> String {
    foreign()
        + "
         UNION ALL
         SELECT format('the table %s', oid::regclass), pg_get_userbyid(relowner)::text
         FROM pg_class WHERE oid IN (to_regclass($2), to_regclass($5)) AND NOT pg_has_role(relowner, 'MEMBER')
             AND relowner NOT IN (SELECT oid FROM pg_roles WHERE rolsuper
                 UNION SELECT nspowner FROM pg_namespace WHERE oid = to_regnamespace($1))"
}

async fn found(
    client: &Session<'_>,
    layout: &TableLayout,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Problem>, Error> {
    let doing = || format!("read the owners of what belongs to {}", layout.qualified_name());
    let rows = client.query(sql, params).await.map_err(|e| Error::database(doing(), e))?;
    Ok(rows.iter().map(|row| Problem::ForeignOwner { object: row.get(0), owner: row.get(1) }).collect())
}
