use outbox_core::{Column, EventField, Identifier, Nullability, Pipeline, RowLife, TableLayout};

use super::row_life::id;
use super::{Migration, Migrations};
use crate::history;
use crate::literal::literal;

impl Migrations {
    /// Creates the outbox table of a pipeline, and the publication that the connector reads.
    ///
    /// A table or a publication that exists is left as it is: [`Readiness`](crate::Readiness) reports whether it fits. Only
    /// the triggers that let rows vanish are made, or removed, as the layout's [`RowLife`](outbox_core::RowLife) says.
    ///
    /// Without a table ([`RowLife::Message`]) there is the publication only. It is not recorded, and no schema is created.
    #[must_use]
    pub fn outbox(pipeline: &Pipeline) -> Self {
        let layout = pipeline.layout();
        if !layout.row_life().has_table() {
            let publication = pipeline.publication();
            let step = Migration::new(1, "publication", create_empty_publication(publication));
            let migrations = Self::new("outbox", layout.schema().clone(), vec![step]);
            return Self { publication: Some(publication.clone()), ..migrations };
        }
        let steps = vec![
            Migration::new(1, "outbox table", create_table(layout)),
            Migration::new(2, "publication", create_publication(pipeline)),
            Migration::new(3, "slots and replays", history::tables_sql(layout)),
        ];
        Self { rows_of: Some(layout.clone()), ..Self::new("outbox", layout.schema().clone(), steps) }
    }
}

fn create_table(layout: &TableLayout) -> String {
    let columns: Vec<_> = layout.columns().iter().map(column).collect();
    let partitions = match layout.row_life() {
        RowLife::KeepInPartitions => format!(" PARTITION BY RANGE ({})", id(layout)),
        _ => String::new(),
    };
    let (table, columns) = (layout.qualified_name(), columns.join(",\n    "));
    format!("CREATE TABLE IF NOT EXISTS {table} (\n    {columns}\n){partitions}")
}

fn column(column: &Column) -> String {
    let null = match column.nullability() {
        Nullability::NotNull => " NOT NULL",
        Nullability::Nullable => "",
    };
    let rest = match (column.field(), column.nullability()) {
        (Some(EventField::Id), _) => " PRIMARY KEY",
        (Some(EventField::CreatedAt), _) if column.ty() == outbox_core::ColumnType::Timestamptz => {
            " DEFAULT clock_timestamp()"
        }
        (Some(EventField::CreatedAt), _) => " DEFAULT timezone('utc', clock_timestamp())",
        (Some(EventField::SchemaVersion), _) => " DEFAULT 1",
        (Some(EventField::Headers), Nullability::NotNull) => " DEFAULT '{}'",
        (
            Some(
                EventField::ContentType | EventField::Traceparent | EventField::CorrelationId | EventField::CausationId,
            ),
            Nullability::NotNull,
        ) => " DEFAULT ''",
        _ => "",
    };
    let constant = column.constant_text().map(|text| format!(" DEFAULT {}", literal(text))).unwrap_or_default();
    format!("{} {}{null}{rest}{constant}", column.name(), column.ty().sql())
}

/// Returns the statement for the publication that pgoutput demands by name. Messages are sent whatever it contains.
fn create_empty_publication(publication: &Identifier) -> String {
    let body = format!(
        "BEGIN IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = {}) THEN
            CREATE PUBLICATION {publication} WITH (publish = 'insert');
        END IF; END",
        literal(publication.as_str()),
    );
    format!("DO {}", literal(&body))
}

/// Returns the SQL of the publication. An INSERT is all that the connector reads, and a partitioned table counts as
/// one.
fn create_publication(pipeline: &Pipeline) -> String {
    let body = format!(
        "BEGIN IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = {}) THEN
            CREATE PUBLICATION {} FOR TABLE {} WITH (publish = 'insert', publish_via_partition_root = true);
        END IF; END",
        literal(pipeline.publication().as_str()),
        pipeline.publication(),
        pipeline.layout().qualified_name(),
    );
    format!("DO {}", literal(&body))
}
