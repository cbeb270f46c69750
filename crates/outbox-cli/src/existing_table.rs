//! Tables of other programs, as the catalogs describe them.

use outbox_core::layout::{Column, ColumnType, Nullability};
use outbox_core::{ConnectorConfig, Identifier, TableLayout};
use tokio_postgres::{Client, Row};

use crate::exit::Failure;

/// The columns of a table. Types are reduced to their base types: an enum as `anyenum`, `citext` as `text`, a domain as
/// its own.
const COLUMNS: &str = "SELECT a.attname::text,
        CASE WHEN t.typtype = 'e' THEN 3500::oid WHEN t.typname = 'citext' THEN 25::oid
             WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END,
        CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,
        a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
        pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    ORDER BY a.attnum";

/// Returns the layout of a table by its columns and the connector's configuration.
///
/// Returns none if the table is one of `outbox migrate`, or does not exist.
pub(crate) async fn read(
    client: &Client,
    config: &ConnectorConfig,
    named: Option<(Identifier, Identifier)>,
) -> Result<Option<Result<TableLayout, outbox_core::Error>>, Failure> {
    let Some((schema, table)) = named.or_else(|| included(config)) else { return Ok(None) };
    let unread = |e| Failure::server(format!("the columns of {schema}.{table} cannot be read")).caused_by(&e);
    let rows = client.query(COLUMNS, &[&format!("{schema}.{table}")]).await.map_err(unread)?;
    let columns = rows.iter().map(column).collect::<Result<Vec<_>, _>>().map_err(unread)?;
    let columns: Vec<_> = columns.into_iter().flatten().collect();

    let recommended = TableLayout::recommended();
    let has = |wanted: &Column| columns.iter().any(|column| column.name() == wanted.name());
    if columns.is_empty() || recommended.columns().iter().all(has) {
        return Ok(None);
    }
    Ok(Some(TableLayout::from_router(config, schema, table, columns)))
}

/// Returns the table of `table.include.list`, if that is a name and no other expression.
fn included(config: &ConnectorConfig) -> Option<(Identifier, Identifier)> {
    let list = config.get("table.include.list")?.trim().replace("\\.", ".");
    let is_plain = |text: &str| !text.contains(['*', '+', '?', '(', '[', '|', ',', '\\', '.']);
    let (schema, table) = list.split_once('.').filter(|(schema, table)| is_plain(schema) && is_plain(table))?;
    Some((Identifier::new(schema).ok()?, Identifier::new(table).ok()?))
}

fn column(row: &Row) -> Result<Option<Column>, tokio_postgres::Error> {
    let (name, oid, modifier): (String, u32, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let nullability = if row.try_get(3)? { Nullability::NotNull } else { Nullability::Nullable };
    let Ok(name) = Identifier::new(name) else { return Ok(None) };
    let column = Column::foreign(name, ColumnType::from_oid(oid, modifier), nullability);
    let default: Option<String> = row.try_get(4)?;
    Ok(Some(match default {
        Some(expression) => column.default_expression(&expression),
        None => column,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_is_a_table() {
        let of = |list: &str| {
            let config = ConnectorConfig::recommended(&TableLayout::recommended()).with("table.include.list", list);
            included(&config).map(|(schema, table)| format!("{schema}.{table}"))
        };
        assert_eq!(of("public.outboxevent").unwrap(), of("public\\.outboxevent").unwrap());
        for list in ["public.a,public.b", "public.outbox_.*", "(a|b).outbox", "outbox", "a.b.c"] {
            assert_eq!(of(list), None, "{list}");
        }
    }
}
