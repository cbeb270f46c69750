//! Payloads of text, as they are.

use outbox_core::layout::{Column, ColumnType, EventField, Nullability};
use outbox_core::{ConnectorConfig, TableLayout};

use crate::configuration::{With as _, identifier, layout, not_null, nullable};
use crate::fixture::{COLUMNS, DebeziumEnv, event, id};

/// JSON that a `jsonb` column takes too.
const DOCUMENTS: [&str; 16] = [
    r#"{"order_id": 1, "b": [1, 2.50, -3e4, 0.1], "a": {"z": null, "é": "ü"}}"#,
    r#"{"a":1,"a":2}"#,
    "  [ ]  ",
    "{}",
    "null",
    "true",
    "\"\"",
    "\"text\"",
    "12345678901234567890",
    "1e400",
    "-0.0",
    r#""😀 \ud83d\ude00 \u00e9 é \/ / \" \\ \b\f\n\r\t \u001f""#,
    "\"\u{7f}\u{2028}\u{ffff}\u{200d}\"",
    "[[[[]]]]",
    "[1,\"a\",null,{\"b\":[]}]",
    r#"{"":{"a.b":1}}"#,
];

fn events(payloads: &[String]) -> Vec<String> {
    payloads.iter().enumerate().map(|(index, payload)| event(index, payload)).collect()
}

fn quoted(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("'{}'", text.replace('\'', "''"))).collect()
}

fn readers(fixture: &mut DebeziumEnv) {
    fixture.reader("string", |config| config);
    fixture.reader("tombstone", |config| config.option("route.tombstone.on.empty.payload", "true"));
    fixture.reader("json", |config| config.json_values("false").json_keys("false"));
    fixture.reader("schemas", |config| {
        config.json_values("true").json_keys("true").option("route.tombstone.on.empty.payload", "true")
    });
    fixture.reader("no_tombstone", |config| config.json_values("true"));
}

#[test]
fn json_payloads() {
    let mut fixture =
        DebeziumEnv::new(layout("of_json", ColumnType::Json, vec![]), &format!("{COLUMNS}, payload json"));
    readers(&mut fixture);
    let mut payloads = quoted(&DOCUMENTS);
    payloads.extend(quoted(&[r#""\u0000 \ud800""#, "{\"a\": 1e999999}", "\t{\"a\"  :\r\n1}\n"]));
    payloads.extend(["NULL".to_owned(), "'{}'".to_owned()]);
    fixture.compare(&events(&payloads));
}

#[test]
fn jsonb_payloads() {
    let mut fixture =
        DebeziumEnv::new(layout("of_jsonb", ColumnType::Jsonb, vec![]), &format!("{COLUMNS}, payload jsonb"));
    readers(&mut fixture);
    let mut payloads = quoted(&DOCUMENTS);
    payloads.extend(["NULL".to_owned(), "'{}'".to_owned()]);
    fixture.compare(&events(&payloads));
}

#[test]
fn text_payloads() {
    let mut fixture =
        DebeziumEnv::new(layout("of_text", ColumnType::Text, vec![]), &format!("{COLUMNS}, payload text"));
    readers(&mut fixture);
    let mut payloads = quoted(&DOCUMENTS);
    payloads.extend(quoted(&["", " ", "\t\n", "\u{a0}", "\u{3000}", "\u{1}", "not json", "it's", "\\x00"]));
    payloads.push("repeat('long ', 200000)".to_owned());
    payloads.extend(["NULL".to_owned(), "'end'".to_owned()]);
    fixture.compare(&events(&payloads));
}

/// Compares texts with a length, and a key of another type than text.
fn varchar_payloads_with_keys(ty: ColumnType, sql: &str, keys: [&str; 2]) {
    let key = Column::foreign(identifier("k"), ty, Nullability::NotNull);
    let layout = layout("of_varchar", ColumnType::Varchar(5), vec![key]);
    let mut fixture = DebeziumEnv::new(layout, &format!("{COLUMNS}, payload varchar(5), k {sql} NOT NULL"));
    let keyed = |config: ConnectorConfig| config.option("table.field.event.key", "k");
    fixture.reader("string", keyed);
    fixture.reader("json", |config| keyed(config).json_keys("false"));
    fixture.reader("schemas", |config| keyed(config).json_keys("true").json_values("true"));
    let payloads = ["'ééééé'", "'😀'", "''", "NULL", "'end'"].iter().zip(keys.iter().cycle()).enumerate();
    let rows: Vec<_> = payloads.map(|(index, (payload, key))| event(index, &format!("{payload}, {key}"))).collect();
    fixture.compare(&rows);
}

#[test]
fn keys_of_type_uuid() {
    let keys = ["'00000000-0000-0000-0000-00000000000A'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"];
    varchar_payloads_with_keys(ColumnType::Uuid, "uuid", keys);
}

#[test]
fn keys_of_type_integer() {
    varchar_payloads_with_keys(ColumnType::Integer, "integer", ["-1", "2147483647"]);
}

#[test]
fn keys_of_type_varchar() {
    varchar_payloads_with_keys(ColumnType::Varchar(9), "varchar(9)", ["''", "'é😀 \"'"]);
}

#[test]
fn keys_of_type_jsonb() {
    varchar_payloads_with_keys(ColumnType::Jsonb, "jsonb", ["'{\"a\":1}'", "'null'"]);
}

/// The column that the key is taken from by default is a text; it may be a uuid as well.
#[test]
fn aggregate_ids_of_type_uuid() {
    let columns = vec![
        not_null(EventField::Id, "id", ColumnType::Uuid),
        not_null(EventField::AggregateType, "aggregatetype", ColumnType::Varchar(255)),
        not_null(EventField::AggregateId, "aggregateid", ColumnType::Uuid),
        not_null(EventField::EventType, "type", ColumnType::Varchar(255)),
        nullable(EventField::Payload, "payload", ColumnType::Jsonb),
    ];

    let (schema, table) = (identifier("Sales"), identifier("out\"box.v1"));
    let layout = TableLayout::new(schema, table, columns).unwrap();
    let columns = "id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, aggregateid uuid NOT NULL, \
                   type varchar(255) NOT NULL, payload jsonb";
    let mut fixture = DebeziumEnv::new(layout, columns);
    fixture.reader("string", |config| config);
    fixture.reader("schemas", |config| config.json_values("true").json_keys("true"));

    let row = |index: usize| {
        let id = id(index);
        format!("VALUES ('{id}', 'order', '{id}', 'x', '{{\"a\": 1}}')")
    };
    fixture.compare(&[row(0), row(1)]);
}
