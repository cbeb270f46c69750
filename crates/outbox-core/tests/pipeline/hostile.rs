//! Records that no pipeline wrote: they are refused or read, and nothing panics.

use outbox_core::bytes::Bytes;
use outbox_core::layout::ColumnType;
use outbox_core::record::{Decoded, Record, RecordParts};
use outbox_core::{ConnectorConfig, Loss, OutboxEvent, Pipeline, TableLayout};
use proptest::prelude::*;

use crate::fixtures::{BINARY_DATA, BYTE_ARRAY, JSON, STRING, router};
use crate::texts;

const ENVELOPE: &str = "headers:envelope,created_at:envelope,schema_version:envelope,event_type:header,headers:header,\
                        created_at:header:at";

/// Returns a pipeline for every way of reading a record.
fn pipelines() -> Vec<Pipeline> {
    let all = [
        (STRING, ColumnType::Json, "", false),
        (BYTE_ARRAY, ColumnType::Bytea, "", false),
        (BINARY_DATA, ColumnType::Bytea, "", false),
        (JSON, ColumnType::Json, "", false),
        (JSON, ColumnType::Jsonb, "", true),
        (JSON, ColumnType::Bytea, "", false),
        (JSON, ColumnType::Text, ENVELOPE, true),
        (JSON, ColumnType::Bytea, ENVELOPE, false),
    ];
    let with = |schemas: &str| {
        all.map(|(converter, payload, placement, is_expanding)| {
            let layout = TableLayout::recommended().payload_type(payload).unwrap();
            let mut config = ConnectorConfig::recommended(&layout)
                .with("value.converter", converter)
                .with("heartbeat.interval.ms", "0")
                .with("value.converter.schemas.enable", schemas)
                .with("key.converter", if is_expanding { STRING } else { JSON })
                .with("key.converter.schemas.enable", schemas)
                .with(router("table.expand.json.payload"), is_expanding.to_string());
            if !placement.is_empty() {
                config = config.with(router("table.fields.additional.placement"), placement);
            }
            Pipeline::accepting(&[Loss::JsonExpansion], config, layout).unwrap()
        })
    };
    with("true").into_iter().chain(with("false")).collect()
}

fn hostile_text() -> impl Strategy<Value = String> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "d800",
        "\"payload\"",
        "\"schema\"",
        "null",
        "1e999999",
        "-",
        "\"headers\"",
        "\"created_at\"",
        "99999999999999999999",
        "true",
        " ",
        "{\"schema\":null,\"payload\":",
        "\u{feff}",
    ];
    prop_oneof![
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12).prop_map(|pieces| pieces.concat()),
        texts::json(),
        texts::json().prop_map(|json| format!("{{\"schema\":{{}},\"payload\":{json}}}")),
        texts::json().prop_map(|json| format!("{{\"payload\":{json},\"headers\":{json},\"created_at\":{json}}}")),
    ]
}

fn hostile_bytes() -> impl Strategy<Value = Option<Bytes>> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..32),
        hostile_text().prop_map(String::into_bytes),
        (hostile_text(), any::<u8>()).prop_map(|(text, byte)| [text.as_bytes(), &[byte]].concat()),
    ];
    prop::option::weighted(0.9, bytes.prop_map(Bytes::from))
}

fn hostile_record() -> impl Strategy<Value = Record> {
    let names =
        ["id", "event_type", "headers", "schema_version", "created_at", "at", "traceparent", "content_type", ""];

    let id = Just(Some(Bytes::from_static(b"00000000-0000-0000-0000-000000000001")));
    let headers = prop::collection::vec((prop::sample::select(names.to_vec()), hostile_bytes()), 0..6);
    let topic = prop_oneof![Just("outbox.events.order".to_owned()), texts::text()];
    (topic, hostile_bytes(), hostile_bytes(), prop::option::weighted(0.8, id), headers, any::<Option<i64>>()).prop_map(
        |(topic, key, value, id, headers, timestamp)| {
            let mut record = Record::new(topic);
            (record.key, record.value, record.timestamp) = (key, value, timestamp);
            let id = id.map(|id| ("id", id));
            record.headers = id.into_iter().chain(headers).map(|(name, value)| (name.to_owned(), value)).collect();
            record
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_record_makes_the_decoder_panic(record in hostile_record()) {
        for pipeline in pipelines_once() {
            if let Err(error) = pipeline.decode(record.clone()) {
                prop_assert!(error.is_undecodable(), "{error}");
                prop_assert!(error.field().is_some() && error.broken_rule().is_some());
            }
        }
    }

    #[test]
    fn a_record_that_is_lent_tells_what_one_tells_that_is_given(record in hostile_record()) {
        for pipeline in pipelines_once() {
            same_when_lent(pipeline, &record)?;
        }
    }
}

/// Checks that a record's parts are decoded as the record is, also with its headers in the order of their names.
pub(crate) fn same_when_lent(pipeline: &Pipeline, record: &Record) -> Result<(), TestCaseError> {
    let given = match pipeline.decode(record.clone()) {
        Ok(Decoded::NotAnEvent(kind, back)) => {
            prop_assert_eq!(&back, record);
            Ok(Decoded::NotAnEvent(kind, ()))
        }
        Ok(Decoded::Event(event)) => Ok(Decoded::Event(event)),
        Ok(_) => return Err(TestCaseError::fail("neither")),
        Err(error) => Err(error.to_string()),
    };

    let mut sorted = record.headers.clone();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));

    for headers in [&record.headers, &sorted] {
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let mut parts = RecordParts::new(&record.topic, headers);
        (parts.key, parts.value, parts.timestamp) = (record.key.as_deref(), record.value.clone(), record.timestamp);
        let lent = pipeline.decode_parts(parts).map_err(|error| error.to_string());
        match (&lent, &given) {
            // Of several faults the first is reported.
            (Err(_), Err(_)) => {}
            _ => prop_assert_eq!(&lent, &given),
        }
    }
    Ok(())
}

fn pipelines_once() -> &'static [Pipeline] {
    static PIPELINES: std::sync::OnceLock<Vec<Pipeline>> = std::sync::OnceLock::new();
    PIPELINES.get_or_init(pipelines)
}

#[test]
fn deep_nesting_and_huge_numbers_exhaust_nothing() {
    let deep = 100_000;
    let texts = [
        "[".repeat(deep),
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}1{}", "{\"payload\":".repeat(deep), "}".repeat(deep)),
        format!("{{\"schema\":{}1{},\"payload\":\"x\"}}", "[".repeat(deep), "]".repeat(deep)),
        format!("{{\"schema\":null,\"payload\":{}{}}}", "[".repeat(deep), "]".repeat(deep)),
        format!("{{\"payload\":\"{{}}\",\"headers\":{}{}}}", "[".repeat(deep), "]".repeat(deep)),
        "7".repeat(deep),
        format!("1e{}", "7".repeat(deep)),
        format!("{{\"payload\":1e{0},\"schema_version\":1e{0},\"created_at\":{0}}}", "7".repeat(deep)),
        "\\".repeat(deep),
        format!("\"{}\"", "\\ud83d".repeat(deep)),
    ];
    for pipeline in pipelines_once() {
        for text in &texts {
            let bytes = || Some(Bytes::copy_from_slice(text.as_bytes()));
            let record = |key, value, header| {
                let mut record = Record::new("outbox.events.order");
                (record.key, record.value) = (key, value);
                let id = Bytes::from_static(b"00000000-0000-0000-0000-000000000001");
                record.headers = vec![("id".into(), Some(id)), ("headers".into(), header)];
                record
            };
            for record in [record(bytes(), None, None), record(None, bytes(), None), record(None, None, bytes())] {
                if let Err(error) = pipeline.decode(record) {
                    assert!(error.is_undecodable(), "{error}");
                }
            }
        }
    }
}

#[test]
fn the_deepest_payload_that_an_event_may_have_goes_through_every_pipeline() {
    let deep = outbox_core::event::JsonText::MAX_DEPTH;
    let nested = [
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}1{}", "{\"a\":".repeat(deep), "}".repeat(deep)),
        format!("{}1{}", "{\"a\":[".repeat(deep / 2), "]}".repeat(deep / 2)),
    ];
    for pipeline in pipelines_once() {
        for json in &nested {
            let event = OutboxEvent::builder("order", "1", "x").json(json).build().unwrap();
            // The bytea column refuses text.
            let Ok(row) = pipeline.row(&event) else { continue };
            match pipeline.encode(&row) {
                Ok(record) => assert!(pipeline.decode(record).is_ok()),
                Err(error) => assert!(error.is_unencodable(), "{error}"),
            }
        }
    }
}
