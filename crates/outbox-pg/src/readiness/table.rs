use outbox_core::{Column, ColumnType, Nullability, TableLayout};
use tokio_postgres::Client;

use super::Problem;
use crate::Error;

/// How the table differs from its layout.
pub(super) async fn problems(client: &Client, layout: &TableLayout) -> Result<Vec<Problem>, Error> {
    let table = layout.qualified_name();
    let sql = "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull
               FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
    let rows =
        client.query(sql, &[&table]).await.map_err(|e| Error::database(format!("read the columns of {table}"), e))?;
    if rows.is_empty() {
        return Ok(vec![Problem::TableMissing { table }]);
    }
    let found: Vec<Found> = rows
        .iter()
        .map(|row| Found {
            name: row.get(0),
            ty: row.get(1),
            null: if row.get(2) { Nullability::NotNull } else { Nullability::Nullable },
        })
        .collect();
    let problem = |column: &Column, reason: String| Problem::Column {
        table: table.clone(),
        column: column.name().clone(),
        reason,
    };
    Ok(layout
        .columns()
        .iter()
        .filter_map(|column| match found.iter().find(|found| found.name == column.name().as_str()) {
            None => Some(problem(column, format!("it is missing: add it as {}", column.ty().sql()))),
            Some(found) => found.difference(column).map(|reason| problem(column, reason)),
        })
        .collect())
}

struct Found {
    name: String,
    ty: String,
    null: Nullability,
}

impl Found {
    fn difference(&self, column: &Column) -> Option<String> {
        let wanted = type_names(column.ty());
        if !wanted.contains(&self.ty) {
            return Some(format!("it is {}, and the layout says {}", self.ty, column.ty().sql()));
        }
        match (column.nullability(), self.null) {
            (Nullability::NotNull, Nullability::Nullable) => {
                Some("it is nullable, and the layout says NOT NULL: run ALTER TABLE … SET NOT NULL".into())
            }
            (Nullability::Nullable, Nullability::NotNull) => {
                Some("it is NOT NULL, and the layout says nullable".into())
            }
            _ => None,
        }
    }
}

/// The names that `format_type` has for a type.
fn type_names(ty: ColumnType) -> Vec<String> {
    match ty {
        ColumnType::Varchar(n) => vec![format!("character varying({n})")],
        ColumnType::TimestampMillis => vec!["timestamp(3) without time zone".into()],
        ColumnType::TimestampMicros => {
            vec!["timestamp(6) without time zone".into(), "timestamp without time zone".into()]
        }
        ColumnType::Timestamptz => vec!["timestamp with time zone".into(), "timestamp(6) with time zone".into()],
        other => vec![other.sql()],
    }
}
