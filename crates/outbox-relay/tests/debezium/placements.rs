//! Columns in headers, in an envelope and as the partition.

use outbox_core::TableLayout;
use outbox_core::layout::{Column, ColumnType, Nullability};
use outbox_core::record::Record;

use crate::configuration::{PLACEMENT, With as _, identifier, layout};
use crate::fixture::{COLUMNS, DebeziumEnv, event, id};

const TYPES: [(&str, ColumnType, &str); 11] = [
    ("c_uuid", ColumnType::Uuid, "uuid"),
    ("c_text", ColumnType::Text, "text"),
    ("c_varchar", ColumnType::Varchar(20), "varchar(20)"),
    ("c_json", ColumnType::Json, "json"),
    ("c_jsonb", ColumnType::Jsonb, "jsonb"),
    ("c_bytea", ColumnType::Bytea, "bytea"),
    ("c_int", ColumnType::Integer, "integer"),
    ("c_bool", ColumnType::Boolean, "boolean"),
    ("c_ms", ColumnType::TimestampMillis, "timestamp(3)"),
    ("c_us", ColumnType::TimestampMicros, "timestamp(6)"),
    ("c_tz", ColumnType::Timestamptz, "timestamptz"),
];

const VALUES: [&str; 6] = [
    "'00000000-0000-0000-0000-00000000000A', 'é \"😀\" \\', 'v', ' {\"b\":1,\"a\":\"\\u00e9\"}', '{\"b\":1,\"a\":\"\\u00e9\"}', \
     '\\x00ff10', -1, true, '2026-01-02 03:04:05.678', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.6789+02'",
    "'ffffffff-ffff-ffff-ffff-ffffffffffff', '', '', 'null', 'null', '', 2147483647, false, '1970-01-01', '1970-01-01', \
     '1970-01-01 00:00:00+00'",
    "'00000000-0000-0000-0000-000000000000', E'a\\nb\\t', '1', '1', '1', '\\x', 0, false, '1969-12-31 23:59:59.999', \
     '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00'",
    "'00000000-0000-0000-0000-000000000001', '[1,2]', 'true', '[]', '[]', '\\x0a', 1, true, '0001-01-01', '0001-01-01', \
     '0001-01-01 00:00:00+00'",
    "'00000000-0000-0000-0000-000000000001', 'null', '2', '\"\"', '\"\"', '\\x22', 2, true, '9999-12-31 23:59:59.999', \
     '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00'",
    "'00000000-0000-0000-0000-000000000001', 'x', 'x', '{}', '{}', '\\x22', 2, true, '0044-03-15 BC', \
     '0044-03-15 12:00:00.5 BC', '0044-03-15 12:00:00.5+00 BC'",
];

/// Returns every type twice: never NULL, and nullable under the name `n_…`.
fn table(name: &str) -> (TableLayout, String) {
    let mut columns = vec![Column::foreign(identifier("p"), ColumnType::Integer, Nullability::Nullable)];
    let mut sql = format!("{COLUMNS}, payload json, p integer");
    for (name, ty, type_name) in TYPES {
        columns.push(Column::foreign(identifier(name), ty, Nullability::NotNull));
        sql += &format!(", {name} {type_name} NOT NULL");
    }
    for (name, ty, type_name) in TYPES {
        columns.push(Column::foreign(identifier(&format!("n_{name}")), ty, Nullability::Nullable));
        sql += &format!(", n_{name} {type_name}");
    }
    (layout(name, ColumnType::Json, columns), sql)
}

fn rows() -> Vec<String> {
    let nulls = ["NULL"; 11].join(", ");
    let payloads = ["'{\"a\": 1}'", "NULL", "'[1]'", "'\"x\"'", "'{}'", "'1'"];
    let rows = VALUES.iter().zip(payloads).enumerate();
    let rows = rows.flat_map(|(index, (values, payload))| {
        [
            event(index * 2, &format!("{payload}, {}, {values}, {values}", index % 3)),
            event(index * 2 + 1, &format!("{payload}, NULL, {values}, {nulls}")),
        ]
    });
    rows.collect()
}

fn placed(place: &str) -> String {
    let names = TYPES.iter().map(|(name, ..)| format!("{name}:{place}"));
    names
        .chain([
            format!(" aggregate_type : {place} : kind "),
            format!("event_type:{place}"),
            format!("id:{place}:again"),
        ])
        .collect::<Vec<_>>()
        .join(",")
}

#[test]
fn columns_of_every_type_are_placed() {
    let (layout, sql) = table("placed");
    let mut fixture = DebeziumEnv::new(layout, &sql);
    let headers = placed("header");
    let nullable: Vec<_> = TYPES.iter().map(|(name, ..)| format!("n_{name}:ENVELOPE:{name}_or_not")).collect();
    let envelope = format!("{},{}", placed("envelope"), nullable.join(","));

    fixture.reader("headers", |config| {
        config
            .with(PLACEMENT, format!("{headers},p:partition,missing:header"))
            .option("table.field.additional.missing", "ignore")
    });

    fixture.reader("envelope", |config| config.json_values("false").with(PLACEMENT, &*envelope));
    fixture.reader("schemas", |config| config.json_values("true").json_keys("true").with(PLACEMENT, &*envelope));
    fixture.reader("both", |config| {
        config.json_values("true").with(PLACEMENT, format!("{headers},{envelope},p:partition:x"))
    });
    fixture.reader("tombstone", |config| {
        config
            .json_values("true")
            .with(PLACEMENT, "c_text:envelope,c_int:header")
            .option("route.tombstone.on.empty.payload", "true")
    });
    fixture.compare(&rows());
}

/// The version is the envelope's. The connector keeps the first schema of each version.
#[test]
fn an_envelope_has_a_version() {
    let (layout, sql) = table("versioned");
    let mut fixture = DebeziumEnv::new(layout, &sql);
    let version = |config: outbox_core::ConnectorConfig| config.option("table.field.event.schema.version", "c_int");
    fixture.reader("schemas", |config| version(config.json_values("true")).with(PLACEMENT, "c_bool:envelope"));
    fixture.reader("plain", |config| version(config.json_values("false")).with(PLACEMENT, "c_bool:envelope"));
    fixture.reader("no_envelope", |config| version(config.json_values("true")).with(PLACEMENT, "c_bool:header"));
    fixture.compare(&rows());
}

/// The connector keeps the first name that it gave to an envelope's schema, for every topic; the pipeline names each
/// after its own.
#[test]
fn the_schemas_of_two_topics_have_the_first_ones_name() {
    let (table, sql) = (layout("two_topics", ColumnType::Json, vec![]), format!("{COLUMNS}, payload json"));
    let mut fixture = DebeziumEnv::new(table, &sql);
    fixture.reader("two_topics", |config| config.json_values("true").with(PLACEMENT, "event_type:envelope"));
    let row = |index, kind| format!("VALUES ('{}', '{kind}', 'k', 'x', '{{}}')", id(index));
    let outcomes = fixture.outcomes(&[row(0, "first"), row(1, "second")]);
    let [first, second] = &outcomes[..] else { panic!("two rows") };
    let value = |record: &Record| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
    let (debezium, pipeline) = (value(second.debezium.as_ref().unwrap()), value(second.pipeline.as_ref().unwrap()));
    assert_eq!(value(first.debezium.as_ref().unwrap()), value(first.pipeline.as_ref().unwrap()));
    assert_ne!(debezium, pipeline);
    assert_eq!(debezium, pipeline.replace(".second.Value", ".first.Value"));
}

/// The connector keeps the first schema of each version of an envelope, and fails at a payload that does not fit it.
#[test]
fn an_expanded_payload_of_another_shape_and_the_same_version_fails_the_task() {
    let (layout, sql) = table("reshaped");
    let mut fixture = DebeziumEnv::new(layout, &sql);
    fixture.reader("reshaped", |config| {
        config
            .json_values("true")
            .with(PLACEMENT, "c_bool:envelope")
            .option("table.field.event.schema.version", "c_int")
            .option("table.expand.json.payload", "true")
    });
    fixture.for_connector_only("errors.tolerance", "all");

    let row = |index, payload| event(index, &format!("'{payload}', 0, {}, {}", VALUES[0], VALUES[0]));
    let outcomes = fixture.outcomes(&[row(0, r#"{"a": 1}"#), row(1, r#"{"b": 1}"#), row(2, r#"{"a": 2}"#)]);
    let is_there: Vec<_> = outcomes.iter().map(|outcome| outcome.debezium.is_some()).collect();
    assert_eq!(is_there, [true, false, true]);
    assert!(outcomes.iter().all(|outcome| outcome.pipeline.is_ok()));
}
