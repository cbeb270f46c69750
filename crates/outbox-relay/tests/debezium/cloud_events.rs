//! The layout whose records are CloudEvents.

use outbox_core::TableLayout;

use crate::fixture::{DebeziumEnv, id};

/// The table that outbox-pg creates.
#[test]
fn the_table_of_cloud_events() {
    let layout = TableLayout::cloud_events("/shop/it's").unwrap();
    let sql = r#""id" uuid NOT NULL PRIMARY KEY,
        "source" text NOT NULL DEFAULT '/shop/it''s',
        "spec_version" text NOT NULL DEFAULT '1.0',
        "event_type" text NOT NULL,
        "aggregate_type" text NOT NULL,
        "aggregate_id" text NOT NULL,
        "payload" json NOT NULL,
        "created_at" timestamptz NOT NULL DEFAULT clock_timestamp(),
        "schema_version" integer NOT NULL DEFAULT 1,
        "content_type" text NOT NULL DEFAULT '',
        "traceparent" text NOT NULL DEFAULT '',
        "correlation_id" text NOT NULL DEFAULT '',
        "causation_id" text NOT NULL DEFAULT '',
        "headers" json NOT NULL DEFAULT '{}',
        "tracestate" text NOT NULL DEFAULT ''"#;
    let mut fixture = DebeziumEnv::new(layout.clone(), sql);
    assert_eq!(fixture.layout_with_defaults(), layout);

    fixture.reader("cloud_events", |config| config);
    let row = |index: usize, columns: &str, values: &str| {
        format!(
            "(id, aggregate_type, aggregate_id, event_type, payload{columns}) \
             VALUES ('{}', 'order', 'k', 'OrderCreated', '{{\"a\" : 1}}'{values})",
            id(index)
        )
    };

    fixture.compare(&[
        row(0, "", ""),
        row(1, ", created_at, content_type", ", '2026-01-02 03:04:05.678901+00', 'application/json'"),
        row(2, ", source, traceparent", ", 'urn:elsewhere', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'"),
    ]);
}
