//! A layout with columns of the service's own, a key other than the aggregate id, and a header with a column.

use outbox_core::TableLayout;
use outbox_core::layout::{Column, ColumnType, EventField, Nullability};

use crate::configuration::identifier;
use crate::fixture::{DebeziumEnv, id};

/// The table is as outbox-pg creates it.
#[test]
fn columns_of_the_service_s_own() {
    let own = |name: &str, ty| Column::own(identifier(name), ty, Nullability::NotNull);
    let columns = [
        own("tenant", ColumnType::Bigint).header("x-tenant"),
        own("region", ColumnType::Text).fallback("it's").header("region"),
        Column::from_header(identifier("lang"), "content-language"),
        Column::new(EventField::Key, identifier("record_key"), ColumnType::Text, Nullability::NotNull),
    ];
    let layout =
        columns.into_iter().fold(TableLayout::recommended(), |layout, column| layout.with_column(column).unwrap());

    let sql = r#""id" uuid NOT NULL PRIMARY KEY,
        "aggregate_type" text NOT NULL,
        "aggregate_id" text NOT NULL,
        "event_type" text NOT NULL,
        "payload" json,
        "created_at" timestamp(6) NOT NULL DEFAULT timezone('utc', clock_timestamp()),
        "schema_version" integer NOT NULL DEFAULT 1,
        "content_type" text NOT NULL DEFAULT '',
        "traceparent" text NOT NULL DEFAULT '',
        "correlation_id" text NOT NULL DEFAULT '',
        "causation_id" text NOT NULL DEFAULT '',
        "headers" json NOT NULL DEFAULT '{}',
        "tracestate" text NOT NULL DEFAULT '',
        "tenant" bigint NOT NULL,
        "region" text NOT NULL DEFAULT 'it''s',
        "lang" text NOT NULL DEFAULT '',
        "record_key" text NOT NULL"#;
    let mut fixture = DebeziumEnv::new(layout.clone(), sql);
    assert_eq!(fixture.layout_with_defaults(), layout);

    fixture.reader("own_columns", |config| config);
    let row = |index: usize, columns: &str, values: &str| {
        format!(
            "(id, aggregate_type, aggregate_id, event_type, payload, tenant, record_key{columns}) \
             VALUES ('{}', 'order', 'a', 'OrderCreated', '{{\"a\" : 1}}', 9223372036854775807, 'tenant 7'{values})",
            id(index)
        )
    };
    fixture.compare(&[row(0, "", ""), row(1, ", region, lang, tracestate", ", 'Größe', 'de', 'vendor=a1,other=b'")]);
}
