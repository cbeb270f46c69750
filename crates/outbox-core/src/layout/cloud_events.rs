//! The layout whose records are CloudEvents. Its optional parts are those of the recommended layout, in `mod.rs`.

use super::{Column, ColumnType, EventField as F, Identifier, Nullability, RowLife, TableLayout};
use crate::Error;

impl TableLayout {
    /// Creates a table whose records are CloudEvents 1.0 in Kafka's binary mode, as the recommended configuration
    /// places its columns: `ce_id`, `ce_source`, `ce_specversion`, `ce_type`, `ce_subject` (the aggregate id),
    /// `ce_time`, `content-type`, and the extensions `ce_aggregatetype` and `ce_schemaversion`. An attribute is never
    /// empty there, so that optional parts of an event stay in the headers `traceparent`, `tracestate`,
    /// `correlation_id`, `causation_id` and `headers`.
    ///
    /// `source` is the URI reference of the producer, such as `/shop/orders`; with it an event's id is unique.
    ///
    /// Unlike in [`recommended`](Self::recommended), `created_at` is a `timestamptz`, which travels as `ce_time`: the
    /// record's timestamp is when the event was read from the WAL. An event without a payload is refused.
    ///
    /// # Errors
    /// `source` is empty, longer than 255 bytes, or has a character that no URI has.
    pub fn cloud_events(source: impl Into<String>) -> Result<Self, Error> {
        use ColumnType::{Integer, Json, Text, Timestamptz, Uuid};
        let source = source.into();

        if source.is_empty() || source.len() > 255 || !source.chars().all(is_of_uri) {
            let rule = "a CloudEvent's source is a URI reference (RFC 3986) of 1 to 255 characters";
            return Err(Error::rule("source", &source, rule));
        }

        let of = |field: F, ty| Column::new(field, Identifier::known(field.name()), ty, Nullability::NotNull);
        // As the catalogue reports the defaults that `default_of` of outbox-pg writes, in `migration/columns.rs`. A
        // column that is added after a release is a step in `migration/shipped.rs` there, as `tracestate` is.
        let empty = "''::text";

        Ok(Self {
            schema: Identifier::known("outbox"),
            table: Identifier::known("outbox_message"),
            columns: vec![
                of(F::Id, Uuid).header("ce_id"),
                Column::constant(Identifier::known("source"), source).header("ce_source"),
                Column::constant(Identifier::known("spec_version"), "1.0").header("ce_specversion"),
                of(F::EventType, Text).header("ce_type"),
                of(F::AggregateType, Text).header("ce_aggregatetype"),
                of(F::AggregateId, Text).header("ce_subject"),
                of(F::Payload, Json),
                of(F::CreatedAt, Timestamptz).header("ce_time").default_expression("clock_timestamp()"),
                of(F::SchemaVersion, Integer).header("ce_schemaversion").default_expression("1"),
                of(F::ContentType, Text).header("content-type").default_expression(empty),
                of(F::Traceparent, Text).default_expression(empty),
                of(F::CorrelationId, Text).default_expression(empty),
                of(F::CausationId, Text).default_expression(empty),
                of(F::Headers, Json).default_expression("'{}'::json"),
                of(F::Tracestate, Text).default_expression(empty),
            ],
            row_life: RowLife::Keep,
        })
    }
}

fn is_of_uri(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}
