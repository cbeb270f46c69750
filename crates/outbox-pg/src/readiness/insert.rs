use outbox_core::{Pipeline, TableLayout};

use super::Problem;
use crate::Error;
use crate::migration::row_life::id;
use crate::session::Session;

/// Returns the problems that make each INSERT fail or let an event be stored twice, for any role.
pub(super) async fn problems(client: &Session<'_>, layout: &TableLayout) -> Result<Vec<Problem>, Error> {
    let table = layout.qualified_name();
    let failed = |e| Error::database(format!("read the columns and indexes of {table}"), e);
    let mut problems = Vec::new();

    let filled: Vec<_> =
        layout.columns().iter().filter(|column| column.is_filled()).map(|column| column.name().as_str()).collect();
    // A BEFORE INSERT trigger of another role may fill the omitted columns.
    let sql = "SELECT quote_ident(attname) FROM pg_attribute
               WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attnotnull AND NOT atthasdef
                   AND attidentity = '' AND attname <> ALL ($2) AND NOT EXISTS (
                       SELECT FROM pg_trigger WHERE tgrelid = attrelid AND NOT tgisinternal AND tgtype & 7 = 7
                           AND tgname <> 'outbox_remember')
               ORDER BY attnum";
    for row in client.query(sql, &[&table, &filled]).await.map_err(failed)? {
        problems.push(Problem::UnfilledColumn { table: table.clone(), column: row.get(0) });
    }

    let row = client.query_one(&has_unique_id(layout), &[]).await.map_err(failed)?;
    if !row.get::<_, bool>(0) {
        problems.push(Problem::NoUniqueId { table: table.clone(), column: id(layout) });
    }
    Ok(problems)
}

/// Returns the problems that prevent INSERTs of this session: its role's privileges and policies, or a server that
/// takes no writes.
pub(super) async fn session_problems(client: &Session<'_>, pipeline: &Pipeline) -> Result<Vec<Problem>, Error> {
    let layout = pipeline.layout();
    let table = layout.qualified_name();
    let filled: Vec<_> =
        layout.columns().iter().filter(|column| column.is_filled()).map(|column| column.name().as_str()).collect();
    let sql = "SELECT current_user::text, current_setting('transaction_read_only') = 'on',
                      (SELECT bool_and(has_column_privilege(attrelid, attnum, 'INSERT'))
                       FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = ANY ($2)),
                      row_security_active(to_regclass($1)::oid) AND NOT EXISTS (
                          SELECT FROM pg_policy WHERE polrelid = to_regclass($1) AND polpermissive AND polcmd IN ('*', 'a')
                              AND (0 = ANY (polroles) OR EXISTS (
                                  SELECT FROM unnest(polroles) AS role WHERE role <> 0 AND pg_has_role(role, 'USAGE'))))";

    let row = client.query_one(sql, &[&table, &filled]).await;
    let row = row.map_err(|e| Error::database(format!("read the privileges on {table}"), e))?;
    let (role, is_read_only): (String, bool) = (row.get(0), row.get(1));
    let (may, has_no_policy): (Option<bool>, Option<bool>) = (row.get(2), row.get(3));

    let mut problems = Vec::new();
    if is_read_only {
        problems.push(Problem::ReadOnly);
    }
    if !layout.row_life().has_table() {
        return Ok(problems);
    }
    if may == Some(false) {
        problems.push(Problem::NoInsertPrivilege { table: table.clone(), role: role.clone() });
    }
    if has_no_policy == Some(true) {
        problems.push(Problem::NoInsertPolicy { table, role });
    }
    Ok(problems)
}

/// Returns the query whether the event's id is unique, so that one that is enqueued again can be known.
pub(crate) fn has_unique_id(layout: &TableLayout) -> String {
    outbox_core::sql::InsertSql::into_table(layout).has_unique_id().to_owned()
}
