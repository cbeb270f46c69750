//! Who may act as the owner of an outbox table. Its triggers run with the owner's privileges, and the tables next to it
//! are written by the owner, so a role that creates one of them first, or a trigger on one, could run statements as the
//! owner.

use outbox_core::TableLayout;
use tokio_postgres::GenericClient;

use crate::Error;
use crate::companion::companion_name;
use crate::readiness::Problem;

/// Roles that can act as the table's owner anyway: the owner, that of the schema, and superusers.
const TRUSTED: &str = "SELECT oid FROM pg_roles WHERE rolsuper
     UNION SELECT nspowner FROM pg_namespace WHERE oid = to_regnamespace($1)
     UNION SELECT relowner FROM pg_class WHERE oid = to_regclass($2)";

/// Finds tables, functions and triggers that belong to somebody else.
pub(crate) async fn problems(client: &impl GenericClient, layout: &TableLayout) -> Result<Vec<Problem>, Error> {
    let sql = format!(
        "WITH trusted AS ({TRUSTED} UNION SELECT oid FROM pg_roles WHERE rolname = current_user AND to_regclass($2) IS NULL),
             companion AS (SELECT oid, relowner FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname = ANY ($3))
         SELECT format('the table %s', oid::regclass), pg_get_userbyid(relowner)::text
         FROM companion WHERE relowner NOT IN (SELECT oid FROM trusted)
         UNION ALL
         SELECT format('the function %s', oid::regprocedure), pg_get_userbyid(proowner)::text
         FROM pg_proc WHERE pronamespace = to_regnamespace($1) AND proname = ANY ($4) AND pronargs = 0
             AND proowner NOT IN (SELECT oid FROM trusted)
         UNION ALL
         SELECT format('the trigger %I on %s', tgname, tgrelid::regclass), pg_get_userbyid(proowner)::text
         FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
         WHERE NOT tgisinternal AND (tgrelid = to_regclass($2) OR tgrelid IN (SELECT oid FROM companion))
             AND proowner NOT IN (SELECT oid FROM trusted)"
    );
    let names = |suffixes: &[&str]| suffixes.iter().map(|suffix| companion_name(layout, suffix)).collect::<Vec<_>>();
    let tables = names(&["_lease", "_detached", "_ids", "_slots", "_replays"]);
    let functions = names(&["_vanish", "_remember"]);
    let (schema, table) = (layout.schema().to_string(), layout.qualified_name());
    let rows = client.query(&sql, &[&schema, &table, &tables, &functions]).await;
    let rows = rows.map_err(|e| Error::database(format!("read the owners of what belongs to {table}"), e))?;
    Ok(rows.iter().map(|row| Problem::ForeignOwner { object: row.get(0), owner: row.get(1) }).collect())
}

/// Finds what migrations write to, and belongs to a role that the present one is no member of.
pub(crate) async fn problems_of_migration(
    client: &impl GenericClient,
    layout: &TableLayout,
) -> Result<Vec<Problem>, Error> {
    let mut problems = problems(client, layout).await?;
    let (schema, table) = (layout.schema().to_string(), layout.qualified_name());
    let record = format!("{schema}.schema_migration");
    let sql = "SELECT format('the table %s', oid::regclass), pg_get_userbyid(relowner)::text
         FROM pg_class WHERE oid IN (to_regclass($2), to_regclass($3)) AND NOT pg_has_role(relowner, 'MEMBER')
             AND relowner NOT IN (SELECT oid FROM pg_roles WHERE rolsuper
                 UNION SELECT nspowner FROM pg_namespace WHERE oid = to_regnamespace($1))";
    let rows = client.query(sql, &[&schema, &table, &record]).await;
    let rows = rows.map_err(|e| Error::database(format!("read the owner of {table}"), e))?;
    problems.extend(rows.iter().map(|row| Problem::ForeignOwner { object: row.get(0), owner: row.get(1) }));
    Ok(problems)
}
