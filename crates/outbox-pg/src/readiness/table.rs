use outbox_core::layout::{Column, ColumnType, Nullability};
use outbox_core::{Pipeline, RowLife, TableLayout};

use super::Problem;
use crate::Error;
use crate::maintenance::{TableForm, table_form};
use crate::migration::row_life::{self, Triggers};
use crate::partition_range;
use crate::session::{Row, Session};

/// Returns whether the table's form and triggers are those of its rows' life.
pub(super) async fn life_problem(client: &Session<'_>, pipeline: &Pipeline) -> Result<Option<Problem>, Error> {
    let layout = pipeline.layout();
    let (table, life) = (layout.qualified_name(), layout.row_life());
    let Some(form) = table_form(client, layout).await? else { return Ok(None) };
    match row_life::triggers_of(client, layout).await? {
        Triggers::AsWanted => {}
        Triggers::Disabled => return Ok(Some(Problem::TriggerDisabled { table })),
        Triggers::Others => return Ok(Some(Problem::OtherRowLife { table, life })),
    }
    if life != RowLife::Partitioned {
        return Ok(None);
    }
    if form == TableForm::Plain {
        return Ok(Some(Problem::NotPartitioned { table }));
    }

    let sql = "SELECT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = to_regclass($1) AND partdefid <> 0)";
    let row = client.query_one(sql, &[&table]).await.map_err(|e| Error::database(format!("look at {table}"), e))?;
    if row.get(0) {
        return Ok(Some(Problem::DefaultPartition { table }));
    }

    let [_, to] = partition_range::range(client, pipeline).await?;
    Ok((to == 0).then_some(Problem::NoPartition { table }))
}

/// Returns how the table differs from its layout.
pub(super) async fn problems(client: &Session<'_>, layout: &TableLayout) -> Result<Vec<Problem>, Error> {
    let table = layout.qualified_name();
    let found = columns_of(client, layout).await?;
    if found.is_empty() {
        return Ok(vec![Problem::TableMissing { table }]);
    }

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

/// A column as the catalogs have it.
pub(crate) struct FoundColumn {
    pub(crate) name: String,
    ty: String,
    pub(crate) nullability: Nullability,
}

/// Returns the columns of a table; none if it is missing.
pub(crate) async fn columns_of(client: &Session<'_>, layout: &TableLayout) -> Result<Vec<FoundColumn>, Error> {
    let table = layout.qualified_name();
    let sql = "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull
               FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
    let rows = client.query(sql, &[&table]).await;
    let rows = rows.map_err(|e| Error::database(format!("read the columns of {table}"), e))?;
    let found = |row: &Row| FoundColumn {
        name: row.get(0),
        ty: row.get(1),
        nullability: if row.get(2) { Nullability::NotNull } else { Nullability::Nullable },
    };
    Ok(rows.iter().map(found).collect())
}

impl FoundColumn {
    /// Returns whether its type is the layout's.
    pub(crate) fn is_of(&self, ty: ColumnType) -> bool {
        type_names(ty).contains(&self.ty)
    }

    fn difference(&self, column: &Column) -> Option<String> {
        if !self.is_of(column.ty()) {
            return Some(format!(
                "it is {}, and the layout says {type_}: run ALTER TABLE … TYPE {type_}, or say so in the layout",
                self.ty,
                type_ = column.ty().sql()
            ));
        }
        match (column.nullability(), self.nullability) {
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

/// Returns the names that `format_type` has for a type.
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
