//! Columns with a DEFAULT.

use outbox_core::TableLayout;
use outbox_core::layout::{Column, ColumnType, Nullability};

use crate::configuration::{PLACEMENT, With as _, identifier, layout};
use crate::fixture::{COLUMNS, DebeziumEnv, event, id};

/// The table that outbox-pg creates.
#[test]
fn the_recommended_table() {
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
        "tracestate" text NOT NULL DEFAULT ''"#;
    let mut fixture = DebeziumEnv::new(TableLayout::recommended(), sql);
    assert_eq!(fixture.layout_with_defaults(), TableLayout::recommended());

    let envelope: Vec<_> = TableLayout::recommended()
        .columns()
        .iter()
        .map(|column| column.name().as_str().to_owned())
        .filter(|name| name != "payload")
        .map(|name| format!("{name}:envelope"))
        .collect();
    let envelope = envelope.join(",");

    fixture.reader("recommended", |config| config);
    fixture.reader("envelope", |config| config.json_values("true").json_keys("true").with(PLACEMENT, &*envelope));
    fixture.reader("versioned", |config| {
        config
            .json_values("true")
            .with(PLACEMENT, &*envelope)
            .option("table.field.event.schema.version", "schema_version")
    });
    fixture.reader("classic", |config| config.option("route.by.field", "event_type"));

    let row = |index: usize, columns: &str, values: &str| {
        format!(
            "(id, aggregate_type, aggregate_id, event_type{columns}) VALUES ('{}', 'order', 'k', 'created'{values})",
            id(index)
        )
    };

    fixture.compare(&[
        row(0, "", ""),
        row(
            1,
            ", payload, schema_version, content_type, headers",
            ", '{\"a\": 1}', 7, 'application/json', '{\"x\": \"y\"}'",
        ),
        row(2, ", created_at", ", '2026-01-02 03:04:05.678901'"),
    ]);
}

const TYPES: [(&str, ColumnType, &str); 20] = [
    ("d_uuid", ColumnType::Uuid, "uuid DEFAULT '00000000-0000-0000-0000-00000000000A'"),
    ("d_uuid_call", ColumnType::Uuid, "uuid DEFAULT gen_random_uuid()"),
    ("d_text", ColumnType::Text, "text DEFAULT 'it''s \"😀\"'"),
    ("d_text_call", ColumnType::Text, "text DEFAULT lower('X')"),
    ("d_text_user", ColumnType::Text, "text DEFAULT CURRENT_USER"),
    ("d_text_null", ColumnType::Text, "text DEFAULT NULL"),
    ("d_text_sum", ColumnType::Text, "text DEFAULT 'a' || CURRENT_USER"),
    ("d_varchar", ColumnType::Varchar(20), "varchar(20) DEFAULT ' x '"),
    ("d_json", ColumnType::Json, "json DEFAULT '{\"a\" : 1}'"),
    ("d_jsonb", ColumnType::Jsonb, "jsonb DEFAULT '{\"a\" : 1}'"),
    ("d_jsonb_call", ColumnType::Jsonb, "jsonb DEFAULT jsonb_build_array()"),
    ("d_bytea", ColumnType::Bytea, "bytea DEFAULT '\\x00'"),
    ("d_int", ColumnType::Integer, "integer DEFAULT -7"),
    ("d_int_call", ColumnType::Integer, "integer DEFAULT abs(-7)"),
    ("d_int_sum", ColumnType::Integer, "integer DEFAULT 1 + 1"),
    ("d_bool", ColumnType::Boolean, "boolean DEFAULT true"),
    ("d_ms", ColumnType::TimestampMillis, "timestamp(3) DEFAULT '2026-01-02 03:04:05.678'"),
    ("d_us", ColumnType::TimestampMicros, "timestamp DEFAULT (now() AT TIME ZONE 'utc')"),
    ("d_tz", ColumnType::Timestamptz, "timestamptz DEFAULT '2026-01-02 03:04:05+00'"),
    ("d_tz_now", ColumnType::Timestamptz, "timestamptz DEFAULT now()"),
];

/// A default is part of a column's schema, and stands for NULL.
#[test]
fn defaults_of_every_type() {
    let columns = TYPES.map(|(name, ty, _)| Column::foreign(identifier(name), ty, Nullability::Nullable));
    let layout = layout("defaulted", ColumnType::Json, columns.to_vec());
    let sql = TYPES.map(|(name, _, sql)| format!("{name} {sql}")).join(", ");
    let mut fixture = DebeziumEnv::new(layout, &format!("{COLUMNS}, payload json DEFAULT '{{\"d\": 1}}', {sql}"));
    fixture.read_defaults();

    let envelope = TYPES.map(|(name, ..)| format!("{name}:envelope")).join(",");
    fixture.reader("plain", |config| config.json_values("false").with(PLACEMENT, &*envelope));
    fixture.reader("schemas", |config| config.json_values("true").with(PLACEMENT, &*envelope));
    fixture.reader("string", |config| config.with(PLACEMENT, "d_int:partition"));
    fixture.reader("expanded", |config| {
        config.json_values("true").with(PLACEMENT, "d_int:partition").option("table.expand.json.payload", "true")
    });
    fixture.reader("timed", |config| config.without(PLACEMENT).option("table.field.event.timestamp", "d_ms"));

    let nulls = TYPES.map(|_| "NULL").join(", ");
    let defaults = TYPES.map(|(name, ..)| if name == "d_int" { "1" } else { "DEFAULT" }).join(", ");
    fixture.compare(&[
        event(0, &format!("NULL, {nulls}")),
        event(1, &format!("DEFAULT, {defaults}")),
        event(2, &format!("'{{}}', {nulls}")),
    ]);
}
