//! The SQL of the steps that were shipped. A step is never changed after a release: a later change is a step of its
//! own. Tests compare the files that are exported with those of each release.

use outbox_core::layout::{Column, EventField, Nullability};
use outbox_core::{Identifier, Pipeline, RowLife, TableLayout};

use super::columns::definition;
use super::row_life::id;
use super::step::{Migration, fill};
use crate::history;
use crate::sql_text::{companion, literal};

/// The newest shipped step of an outbox. A database with a later one is that of a newer program, and is left alone.
pub(super) const LATEST: i32 = 4;

/// The first step, whatever the columns are.
const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS {table} (
    {columns}
)";

/// The first step of a table in partitions, which a plain table cannot become.
const CREATE_PARTITIONED: &str = "CREATE TABLE IF NOT EXISTS {table} (
    {columns}
) PARTITION BY RANGE ({id})";

/// The columns of the recommended table in the first release. It stays as it is: a column that
/// `TableLayout::recommended` gets is a step, such as [`ADD_TRACESTATE`].
const RECOMMENDED: &str = r#""id" uuid NOT NULL PRIMARY KEY,
    "aggregate_type" text NOT NULL,
    "aggregate_id" text NOT NULL,
    "event_type" text NOT NULL,
    "payload" {payload},
    "created_at" timestamp(6) NOT NULL DEFAULT timezone('utc', clock_timestamp()),
    "schema_version" integer NOT NULL DEFAULT 1,
    "content_type" text NOT NULL DEFAULT '',
    "traceparent" text NOT NULL DEFAULT '',
    "correlation_id" text NOT NULL DEFAULT '',
    "causation_id" text NOT NULL DEFAULT '',
    "headers" json NOT NULL DEFAULT '{}'"#;

/// The connector reads only INSERTs, and a partitioned table is published as one table.
const CREATE_PUBLICATION: &str = "BEGIN IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = {name}) THEN
            CREATE PUBLICATION {publication} FOR TABLE {table} WITH (publish = 'insert', publish_via_partition_root = true);
        END IF; END";

/// A column that the recommended table and that of CloudEvents got after their first release. Programs from before it
/// leave it out of their INSERTs.
const ADD_TRACESTATE: &str = r#"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS "tracestate" text NOT NULL DEFAULT ''"#;

/// Returns the steps of an outbox.
pub(super) fn outbox(pipeline: &Pipeline) -> Vec<Migration> {
    let layout = pipeline.layout();
    let (table, slots, replays) = (layout.qualified_name(), companion(layout, "_slots"), companion(layout, "_replays"));
    let create = if layout.row_life() == RowLife::Partitioned { CREATE_PARTITIONED } else { CREATE_TABLE };
    let values = [("{table}", &*table), ("{columns}", &columns(layout)), ("{id}", &id(layout))];
    let mut steps = vec![
        Migration::from_template(1, "outbox table", create, &values),
        Migration::new(2, "publication", create_publication(pipeline)).known_by(CREATE_PUBLICATION),
        Migration::from_template(
            3,
            "slots and replays",
            history::TABLES,
            &[("{slots}", &slots), ("{replays}", &replays)],
        ),
    ];

    if is_recommended(layout) || is_cloud_events(layout) {
        steps.push(Migration::from_template(4, "tracestate", ADD_TRACESTATE, &[("{table}", &table)]));
    }
    steps
}

/// Returns the statement for the publication that pgoutput demands by name. Messages are sent whatever it contains.
///
/// Nothing records it, so no lock of a record keeps out another instance that creates it at the same time.
pub(super) fn create_empty_publication(publication: &Identifier) -> String {
    let body = format!(
        "BEGIN IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = {}) THEN
            CREATE PUBLICATION {publication} WITH (publish = 'insert');
        END IF; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END",
        literal(publication.as_str()),
    );
    format!("DO {}", literal(&body))
}

/// Returns the statement that creates the publication, unless it is there.
pub(super) fn create_publication(pipeline: &Pipeline) -> String {
    let name = literal(pipeline.publication().as_str());
    let (publication, table) = (pipeline.publication().to_string(), pipeline.layout().qualified_name());
    let values = [("{name}", &*name), ("{publication}", &publication), ("{table}", &table)];
    format!("DO {}", literal(&fill(CREATE_PUBLICATION, &values)))
}

fn columns(layout: &TableLayout) -> String {
    let definitions = |columns: &[Column]| columns.iter().map(definition).collect::<Vec<_>>();
    if is_cloud_events(layout) {
        // Every column that a later step adds is left out.
        let of_first_release: Vec<_> =
            layout.columns().iter().filter(|column| column.field() != Some(EventField::Tracestate)).cloned().collect();
        return definitions(&of_first_release).join(",\n    ");
    }
    if !is_recommended(layout) {
        return definitions(layout.columns()).join(",\n    ");
    }

    let payload = layout.columns().iter().find(|column| column.field() == Some(EventField::Payload));
    let payload = payload.map(|column| column.ty().sql()).unwrap_or_default();
    let more = layout.columns().get(recommended().len()..).unwrap_or_default();
    [vec![fill(RECOMMENDED, &[("{payload}", &payload)])], definitions(more)].concat().join(",\n    ")
}

fn recommended() -> Vec<Column> {
    TableLayout::recommended().columns().to_vec()
}

/// Returns whether the table is the recommended one, with another type of payload perhaps, and with more columns.
fn is_recommended(layout: &TableLayout) -> bool {
    let recommended = recommended();
    let is_same = |(wanted, found): (&Column, &Column)| {
        let is_payload = wanted.field() == Some(EventField::Payload) && found.nullability() == Nullability::Nullable;
        (wanted.name(), wanted.field()) == (found.name(), found.field())
            && (is_payload || (wanted.ty(), wanted.nullability()) == (found.ty(), found.nullability()))
    };
    layout.columns().len() >= recommended.len() && recommended.iter().zip(layout.columns()).all(is_same)
}

/// Returns whether the table is that of CloudEvents, with more columns perhaps.
fn is_cloud_events(layout: &TableLayout) -> bool {
    let Ok(wanted) = TableLayout::cloud_events("/") else { return false };
    let is_same = |(wanted, found): (&Column, &Column)| {
        (wanted.name(), wanted.field(), wanted.ty(), wanted.nullability())
            == (found.name(), found.field(), found.ty(), found.nullability())
    };
    layout.columns().len() >= wanted.columns().len() && wanted.columns().iter().zip(layout.columns()).all(is_same)
}
