//! The differences between the columns of a table and its layout, and the ALTERs that bring them together.

use outbox_core::TableLayout;
use outbox_core::layout::{Column, ColumnType, ColumnValue, EventField, Nullability};

use crate::Error;
use crate::readiness::{FoundColumn, columns_of};
use crate::session::Session;
use crate::sql_text::literal;

/// The ALTERs for a table that differs from its layout.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// Those that neither rewrite the table nor fail because of its rows: columns that are added.
    pub(super) additions: Vec<String>,
    /// Those that read or rewrite all rows under a lock that keeps out writers, or fail because of rows.
    pub(super) by_hand: Vec<String>,
}

/// Compares a table with its layout. A table that is missing has no differences.
pub(super) async fn drift(client: &Session<'_>, layout: &TableLayout) -> Result<Drift, Error> {
    let (table, found) = (layout.qualified_name(), columns_of(client, layout).await?);
    let mut drift = Drift::default();

    if found.is_empty() {
        return Ok(drift);
    }

    for column in layout.columns() {
        let Some(found) = found.iter().find(|found| found.name == column.name().as_str()) else {
            let add = format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {}", definition(column));
            let has_value = column.nullability() == Nullability::Nullable || !default_of(column).is_empty();
            if has_value {
                drift.additions.push(add)
            } else {
                drift.by_hand.push(add)
            }
            continue;
        };
        drift.by_hand.extend(alters(column, found).into_iter().map(|alter| format!("ALTER TABLE {table} {alter}")));
    }
    Ok(drift)
}

fn alters(column: &Column, found: &FoundColumn) -> Vec<String> {
    let (name, ty) = (column.name(), column.ty().sql());
    let mut alters = Vec::new();
    if !found.is_of(column.ty()) {
        alters.push(format!("ALTER COLUMN {name} TYPE {ty} USING {name}::{ty}"));
    }
    match (column.nullability(), found.nullability) {
        (Nullability::NotNull, Nullability::Nullable) => alters.push(format!("ALTER COLUMN {name} SET NOT NULL")),
        (Nullability::Nullable, Nullability::NotNull) => alters.push(format!("ALTER COLUMN {name} DROP NOT NULL")),
        _ => {}
    }
    alters
}

/// Returns a column as CREATE TABLE and ADD COLUMN define it.
pub(super) fn definition(column: &Column) -> String {
    let null = match column.nullability() {
        Nullability::NotNull => " NOT NULL",
        Nullability::Nullable => "",
    };
    let key = if column.field() == Some(EventField::Id) { " PRIMARY KEY" } else { "" };
    format!("{} {}{null}{key}{}", column.name(), column.ty().sql(), default_of(column))
}

/// Returns the DEFAULT of a column. `TableLayout::recommended` and `cloud_events` have the same, in the words of the
/// catalogue. A column that is NOT NULL and has none can only be added by hand.
fn default_of(column: &Column) -> String {
    use EventField as F;
    let is_required = column.nullability() == Nullability::NotNull;
    let default = match column.field() {
        Some(F::CreatedAt) if column.ty() == ColumnType::Timestamptz => "clock_timestamp()".to_owned(),
        Some(F::CreatedAt) => "timezone('utc', clock_timestamp())".to_owned(),
        Some(F::SchemaVersion) => "1".to_owned(),
        Some(F::Headers) if is_required => "'{}'".to_owned(),
        Some(F::ContentType | F::Traceparent | F::CorrelationId | F::CausationId | F::Tracestate) if is_required => {
            "''".to_owned()
        }
        Some(_) => return String::new(),
        None if column.event_header().is_some() => "''".to_owned(),
        None => match (column.constant_text(), column.fallback_value()) {
            (Some(text), _) => literal(text),
            (None, Some(ColumnValue::Text(text))) => literal(text),
            (None, Some(ColumnValue::Integer(number))) => number.to_string(),
            (None, Some(ColumnValue::Boolean(value))) => value.to_string(),
            (None, Some(ColumnValue::Uuid(uuid))) => literal(&uuid.to_string()),
            _ => return String::new(),
        },
    };

    format!(" DEFAULT {default}")
}
