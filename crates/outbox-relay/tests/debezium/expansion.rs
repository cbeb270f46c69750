//! `table.expand.json.payload`. The connector tolerates errors here, so that it drops the rows at which it would fail,
//! and continues: they are those that the pipeline cannot encode.

use outbox_core::ConnectorConfig;
use outbox_core::bytes::Bytes;
use outbox_core::layout::ColumnType;
use outbox_core::record::Record;

use crate::configuration::{PLACEMENT, With as _, layout};
use crate::documents::documents;
use crate::fixture::{COLUMNS, DebeziumEnv, event};

const DOCUMENTS: [&str; 74] = [
    r#"{"order_id": 1, "q": "x", "b": true, "f": false}"#,
    r#"{"a": 1, "n": null, "e": [], "o": {}}"#,
    r#"{"i": 2147483647, "l": 2147483648, "m": -2147483648, "k": -2147483649, "z": 9223372036854775807}"#,
    r#"{"i": 9223372036854775808}"#,
    r#"{"i": -9223372036854775808}"#,
    r#"{"i": -0, "d": -0.0, "z": 0.0, "e": 0e0}"#,
    r#"{"d": 0.1, "e": 1e21, "f": 1e-7, "g": 5e-324, "h": 1.7976931348623157e308, "i": 2.2250738585072014E-308}"#,
    r#"{"d": 1e3, "e": 1e7, "f": 1.0E6, "g": 12345678.9, "h": 0.001, "i": 0.0001, "j": 9999999.999}"#,
    r#"{"d": 1e400, "e": -1e400, "f": 1e-400, "g": 123456789.123456789123456789}"#,
    r#"{"d": 1.0, "e": 100.50, "f": 1e0, "g": 1E+2, "h": 123e-2}"#,
    r#"{"i": 12345678901234567890}"#,
    r#"{"s": "", "t": "é 😀 \ud83d\ude00 \u0001 \/ / \" \\ \b\f\n\r\t"}"#,
    r#"{"o": {"k": {"x": 1}, "e": {}}, "p": {"k": null}}"#,
    r#"{"a.b": 1, "c-d": {"é": 2}, " ": 3}"#,
    r#"{"": 1}"#,
    r#"{"o": {"": 1}}"#,
    r#"{"": null}"#,
    r#"{"a": 1, "a": 2}"#,
    r#"{"a": 1, "b": 2, "a": "x"}"#,
    r#"{"a": [1, 2, 3], "b": ["x", "y"], "c": [true, false], "d": [1.5, 2.5]}"#,
    r#"{"a": [1, "a"]}"#,
    r#"{"a": [1, 2.5]}"#,
    r#"{"a": [1, 2147483648]}"#,
    r#"{"a": [2147483648, 2147483649]}"#,
    r#"{"a": [null]}"#,
    r#"{"a": [null, null]}"#,
    r#"{"a": [null, 1, null, 2]}"#,
    r#"{"a": [[1], [2, 3]]}"#,
    r#"{"a": [[], [1]]}"#,
    r#"{"a": [[1], []]}"#,
    r#"{"a": [[1], ["x"]]}"#,
    r#"{"a": [[[1, 2]], [[3]]]}"#,
    r#"{"a": [[]]}"#,
    r#"{"a": [[null]]}"#,
    r#"{"a": [{"x": 1}, {"x": 2}]}"#,
    r#"{"a": [{"x": 1}, {"x": "s"}]}"#,
    r#"{"a": [{"x": 1}, {"x": 2147483648}]}"#,
    r#"{"a": [{"x": 1}, null]}"#,
    r#"{"a": [null, {"x": 1}]}"#,
    r#"{"a": [{"x": 1}, null, {"y": 1}]}"#,
    r#"{"a": [{}, {}]}"#,
    r#"{"a": [{}, {"x": 1}]}"#,
    r#"{"a": [{"x": null}, {"x": 1}]}"#,
    r#"{"a": [{"x": 1}, {"x": null}]}"#,
    r#"{"a": [{"x": {"y": 1}}, {"x": {"y": 2}}]}"#,
    r#"{"a": [{"x": [{"y": 1}]}, {"x": [{"y": 2}]}]}"#,
    r#"{"a": [[{"x": 1}], [{"x": 2}]]}"#,
    r#"{"a": [[{"x": 1}], [{"y": 2}]]}"#,
    r#"{"a": [true, null, false]}"#,
    r#"{"a": [1, [2]]}"#,
    r#"{"a": [{"x": 1}, [1]]}"#,
    r#"{"a": [1e400, 1.5]}"#,
    r#"{"a": [12345678901234567890]}"#,
    r#"{"a": [12345678901234567890, 1.5]}"#,
    r#"[]"#,
    r#"[1, 2]"#,
    r#"[{"a": 1}]"#,
    r#"[null]"#,
    r#"[1, "x"]"#,
    r#"[[]]"#,
    r#"[{}]"#,
    r#"{}"#,
    r#" {"a": 1}"#,
    r#""text""#,
    "42",
    "null",
    "true",
    r#"{"deep": {"deep": {"deep": {"deep": {"deep": [[[[{"x": [{"y": {"z": []}}]}]]]]}}}}}"#,
    r#"{"payload": {"payload": 1}}"#,
    r#"{"u": "\u0000"}"#,
    r#"{"u": "\ud800"}"#,
    r#"{"u": ["\udc00\ud83d\ude00", "\ud83dx", "\\\" \ud800\u00e9"]}"#,
    r#"{"a": [{"x": 1}, {"x": 1, "y": [true]}, {"x": null, "y": null}]}"#,
    r#"{"a": [{"x": {"y": 1}}, {}]}"#,
];

fn inserts(column: &str) -> Vec<String> {
    let of_text = if column == "text" {
        &["{\"a\": 1} garbage", "{", "{\"a\":}", "[1,2", "", " ", "{\"a\":01}", "{\"a\":NaN}", "{'a':1}"][..]
    } else {
        &[]
    };
    let payloads = DOCUMENTS.iter().chain(of_text).map(|text| format!("'{}'", text.replace('\'', "''")));
    let payloads = payloads.chain(["NULL".to_owned(), "'{\"end\": true}'".to_owned()]);
    payloads.enumerate().map(|(index, payload)| event(index, &payload)).collect()
}

fn expanding(config: ConnectorConfig, nulls: &str, arrays: &str) -> ConnectorConfig {
    config
        .option("table.expand.json.payload", "true")
        .option("table.json.payload.null.behavior", nulls)
        .option("table.json.payload.empty.array.behavior", arrays)
}

#[test]
fn documents_of_every_shape() {
    let mut fixture =
        DebeziumEnv::new(layout("expanded", ColumnType::Json, vec![]), &format!("{COLUMNS}, payload json"));
    for (label, nulls, arrays, schemas) in [
        ("dropping", "ignore", "ignore", "false"),
        ("nulls", "optional_bytes", "ignore", "true"),
        ("arrays", "ignore", "optional_string", "true"),
        ("keeping", "optional_bytes", "optional_string", "true"),
    ] {
        fixture.reader(label, |config| expanding(config.json_values(schemas), nulls, arrays));
        fixture.for_connector_only("errors.tolerance", "all");
    }
    fixture.compare(&inserts("json"));
}

#[test]
fn random_documents() {
    let mut fixture = DebeziumEnv::new(layout("random", ColumnType::Json, vec![]), &format!("{COLUMNS}, payload json"));
    for (label, nulls, arrays) in [("dropping", "ignore", "ignore"), ("keeping", "optional_bytes", "optional_string")] {
        fixture.reader(label, |config| expanding(config.json_values("true"), nulls, arrays));
        fixture.for_connector_only("errors.tolerance", "all");
    }
    let documents = documents(400).into_iter().chain([r#"{"end": true}"#.to_owned()]).enumerate();
    let inserts: Vec<_> =
        documents.map(|(index, document)| event(index, &format!("'{}'", document.replace('\'', "''")))).collect();
    fixture.compare(&inserts);
}

#[test]
fn documents_in_an_envelope() {
    let mut fixture =
        DebeziumEnv::new(layout("expanded", ColumnType::Text, vec![]), &format!("{COLUMNS}, payload text"));

    for (label, nulls, arrays) in [("dropping", "ignore", "ignore"), ("keeping", "optional_bytes", "optional_string")] {
        fixture.reader(label, |config| {
            expanding(config.json_values("true"), nulls, arrays).with(PLACEMENT, "event_type:envelope:type")
        });
        fixture.for_connector_only("errors.tolerance", "all");
    }
    fixture.reader("tombstone", |config| {
        expanding(config.json_values("false"), "ignore", "ignore").option("route.tombstone.on.empty.payload", "true")
    });
    fixture.for_connector_only("errors.tolerance", "all");
    fixture.compare(&inserts("text"));
}

/// Unlike objects in an array get one schema, merged in the order of Java's hash codes: another one in each run of the
/// connector. The pipeline takes the document's order.
#[test]
fn arrays_of_unlike_objects() {
    let mut fixture = DebeziumEnv::new(layout("unlike", ColumnType::Json, vec![]), &format!("{COLUMNS}, payload json"));
    fixture.reader("unlike", |config| expanding(config.json_values("false"), "ignore", "optional_string"));
    fixture.for_connector_only("errors.tolerance", "all");

    let both_orders = [
        (
            r#"{"a":[{"x":1},{"y":"s"}]}"#,
            [r#"{"a":[{"x":1,"y":null},{"x":null,"y":"s"}]}"#, r#"{"a":[{"y":null,"x":1},{"y":"s","x":null}]}"#],
        ),
        (
            r#"{"a":[{"x":{"y":1}},{"x":{"z":2}}]}"#,
            [r#"{"a":[{"x":{"y":1}},{"x":{"y":null}}]}"#, r#"{"a":[{"x":{"z":null}},{"x":{"z":2}}]}"#],
        ),
        (r#"{"a":[{"x":[{"y":1}]},{"x":[]}]}"#, [r#"{"a":[{"x":[{"y":1}]},{"x":[]}]}"#, "(the task fails)"]),
        (r#"{"a":[{"x":[]},{"x":[1]}]}"#, ["(the task fails)", r#"{"a":[{"x":[]},{"x":[1]}]}"#]),
    ];
    let inserts =
        both_orders.iter().map(|(document, _)| format!("'{document}'")).chain(["'{\"end\": true}'".to_owned()]);
    let inserts: Vec<_> = inserts.enumerate().map(|(index, payload)| event(index, &payload)).collect();
    let outcomes = fixture.outcomes(&inserts);

    for ((document, [first, other]), outcome) in both_orders.iter().zip(&outcomes) {
        let value = |record: Option<&Record>| match record {
            Some(record) => String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap(),
            None => "(the task fails)".to_owned(),
        };
        assert_eq!(value(outcome.pipeline.as_ref().ok()), *first, "{document}");
        assert!([*first, *other].contains(&&*value(outcome.debezium.as_ref())), "{document}: {:?}", outcome.debezium);
    }
}

/// Java before 19 writes some doubles with more digits than it needs; read, they are the same.
#[test]
fn doubles() {
    let mut fixture =
        DebeziumEnv::new(layout("doubles", ColumnType::Json, vec![]), &format!("{COLUMNS}, payload json"));
    fixture.reader("doubles", |config| expanding(config.json_values("false"), "ignore", "ignore"));

    // Knuth's MMIX generator: any spread of bits will do.
    let bits = std::iter::successors(Some(1_u64), |bits| {
        Some(bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    });
    let numbers: Vec<f64> = bits.map(f64::from_bits).filter(|number| number.is_finite()).take(500).collect();
    let inserts: Vec<_> =
        numbers.iter().enumerate().map(|(index, number)| event(index, &format!("'{{\"d\": {number:e}}}'"))).collect();
    let outcomes = fixture.outcomes(&inserts);
    assert_eq!(outcomes.len(), numbers.len());

    let mut longer = 0;
    for outcome in outcomes {
        let (debezium, pipeline) = (outcome.debezium.unwrap().value, outcome.pipeline.unwrap().value);
        let number = |value: &Option<Bytes>| {
            let text = String::from_utf8(value.as_ref().unwrap().to_vec()).unwrap();
            text.strip_prefix("{\"d\":").unwrap().strip_suffix('}').unwrap().parse::<f64>().unwrap()
        };
        assert_eq!(number(&debezium), number(&pipeline), "{debezium:?} {pipeline:?}");
        longer += usize::from(debezium != pipeline);
        assert!(debezium.unwrap().len() >= pipeline.unwrap().len());
    }
    assert!(longer * 20 < numbers.len(), "{longer} of {} doubles have other digits", numbers.len());
}
