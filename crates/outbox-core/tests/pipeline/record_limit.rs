//! An event that enqueue accepts becomes a record that Kafka's producer takes, and that a typed consumer reads.

use std::collections::BTreeMap;

use outbox_core::layout::{ColumnType, Row};
use outbox_core::record::Record;
use outbox_core::{ConnectorConfig, EventBuilder, Loss, OutboxEvent, Payload, Pipeline, TableLayout};
use proptest::prelude::*;
use serde_json::Value;

use crate::fixtures::{BINARY_DATA, JSON, STRING, decoded, order, recommended, router};
use crate::texts;

/// Computes `AbstractRecords.estimateSizeInBytesUpperBound` of Kafka's producer, without the bytes that lengths take.
fn size(record: &Record) -> usize {
    let length = |part: &Option<outbox_core::bytes::Bytes>| part.as_ref().map_or(0, |bytes| bytes.len());
    let headers = record.headers.iter().map(|(name, value)| name.len() + length(value)).sum::<usize>();
    61 + 21 + length(&record.key) + length(&record.value) + headers
}

fn json_of(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

#[track_caller]
fn refused(pipeline: &Pipeline, event: EventBuilder, field: &str, value: &str) {
    let error = pipeline.row(&event.build().unwrap()).expect_err(value);
    assert!(error.is_invalid_event(), "{error}");
    assert_eq!((error.field(), error.value()), (Some(field), Some(value)), "{error}");
    assert!(error.broken_rule().unwrap().contains("producer.override.max.request.size"), "{error}");
}

#[test]
fn the_whole_record_has_a_limit() {
    let usual = Pipeline::recommended();
    assert_eq!(usual.record_limit(), Pipeline::DEFAULT_RECORD_LIMIT);
    let largest = order().json(json_of(1_046_000)).build().unwrap();
    let record = usual.encode(&usual.row(&largest).unwrap()).unwrap();
    assert!(size(&record) <= 1_048_576 && size(&record) > 1_046_000);
    refused(&usual, order().json(json_of(1_048_576)), "payload", "(1048576 bytes)");

    // Each part alone would fit.
    let with_headers = |count: usize| {
        let event = order().json(json_of(1_000_000));
        (0..count).fold(event, |event, n| event.header(format!("h{n}"), "x".repeat(8_192)))
    };
    usual.row(&with_headers(5).build().unwrap()).unwrap();
    refused(&usual, with_headers(6), "payload", "(1000000 bytes)");
    let escaped = (0..64).fold(order(), |event, n| event.header(format!("h{n}"), "\u{1}".repeat(8_192)));
    refused(&usual, escaped, "headers", "(3146295 bytes)");
}

#[test]
fn the_limit_is_the_producers() {
    let layout = TableLayout::recommended;
    let config = |limit: &str| recommended().with("producer.override.max.request.size", limit);
    let large = Pipeline::new(config(" 3000000 "), layout()).unwrap();
    assert_eq!(large.record_limit(), 3_000_000);
    large.row(&order().json(json_of(2_900_000)).build().unwrap()).unwrap();
    let small = large.with_record_limit(2_000);
    refused(&small, order().json(json_of(2_000)), "payload", "(2000 bytes)");
    let placeholder = Pipeline::new(config("${env:SIZE}"), layout()).unwrap();
    assert_eq!(placeholder.record_limit(), Pipeline::DEFAULT_RECORD_LIMIT);
    let error = Pipeline::new(config("1MB"), layout()).unwrap_err();
    assert!(error.is_configuration() && error.field() == Some("producer.override.max.request.size"), "{error}");
}

#[test]
fn what_jsonb_prints_is_counted() {
    let layout = TableLayout::recommended().payload_type(ColumnType::Jsonb).unwrap();
    let jsonb = Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap();
    let array = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
    // A space behind each comma: 3 bytes where 2 were.
    jsonb.row(&order().json(array("1", 340_000)).build().unwrap()).unwrap();
    refused(&jsonb, order().json(array("1", 500_000)), "payload", "(1000001 bytes)");
    // 301 digits where 5 bytes were.
    jsonb.row(&order().json(array("1e300", 3_000)).build().unwrap()).unwrap();
    refused(&jsonb, order().json(array("1e300", 4_000)), "payload", "(24001 bytes)");
    Pipeline::recommended().row(&order().json(array("1e300", 4_000)).build().unwrap()).unwrap();
}

#[test]
fn what_the_json_converter_adds_is_counted() {
    let pipeline = |payload, schemas: bool| {
        let layout = TableLayout::recommended().payload_type(payload).unwrap();
        let config = ConnectorConfig::recommended(&layout)
            .with("value.converter", JSON)
            .with("value.converter.schemas.enable", schemas.to_string());
        Pipeline::new(config, layout).unwrap()
    };
    let quotes = format!("[{}]", vec!["\"\""; 220_000].join(","));
    Pipeline::recommended().row(&order().json(&quotes).build().unwrap()).unwrap();
    refused(&pipeline(ColumnType::Json, false), order().json(&quotes), "payload", "(660001 bytes)");

    let outside = format!("\"{}\"", "😀".repeat(100_000));
    refused(&pipeline(ColumnType::Json, true), order().json(&outside), "payload", "(400002 bytes)");

    let bytes = || order().payload(Payload::bytes(vec![0; 800_000]));
    refused(&pipeline(ColumnType::Bytea, false), bytes(), "payload", "(800000 bytes)");
    let layout = TableLayout::recommended().payload_type(ColumnType::Bytea).unwrap();
    let plain = Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap();
    plain.row(&bytes().build().unwrap()).unwrap();
}

#[test]
fn an_expansion_that_grows_or_fails_is_refused() {
    let expanding = |layout: TableLayout| {
        let config = ConnectorConfig::recommended(&layout)
            .with("value.converter", JSON)
            .with(router("table.expand.json.payload"), "true");
        Pipeline::accepting(&[Loss::JsonExpansion], config, layout).unwrap()
    };
    let pipeline = expanding(TableLayout::recommended());
    let unlike: Vec<_> = (0..300).map(|n| format!("{{\"key{n}\":1}}")).collect();
    let unlike = format!("{{\"a\":[{}]}}", unlike.join(","));
    assert!(unlike.len() < 5_000);
    refused(&pipeline, order().json(&unlike), "payload", &format!("({} bytes)", unlike.len()));
    let bomb: Vec<_> = (0..20_000).map(|n| format!("{{\"key{n}\":1}}")).collect();
    let event = order().json(format!("{{\"a\":[{}]}}", bomb.join(","))).build().unwrap();
    assert!(pipeline.row(&event).unwrap_err().is_invalid_event());

    let fatal = order().json(r#"{"secret":12345678901234567890}"#).build().unwrap();
    let error = pipeline.row(&fatal).unwrap_err();
    assert!(error.is_invalid_event() && error.broken_rule().unwrap().contains("expansion"), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    // jsonb makes an integer of it that has more than 64 bits.
    let jsonb = expanding(TableLayout::recommended().payload_type(ColumnType::Jsonb).unwrap());
    let exponent = order().json(r#"{"a":1e30}"#).build().unwrap();
    assert!(jsonb.row(&exponent).unwrap_err().is_invalid_event());
    pipeline.row(&exponent).unwrap();
}

fn pipelines() -> Vec<Pipeline> {
    let all = [
        (STRING, ColumnType::Json, false),
        (STRING, ColumnType::Jsonb, false),
        (STRING, ColumnType::Text, false),
        (BINARY_DATA, ColumnType::Bytea, false),
        (JSON, ColumnType::Json, false),
        (JSON, ColumnType::Jsonb, false),
        (JSON, ColumnType::Json, true),
        (JSON, ColumnType::Jsonb, true),
        (JSON, ColumnType::Bytea, false),
    ];
    let of = |(converter, payload, expands): (&str, ColumnType, bool), schemas: &str| {
        let layout = TableLayout::recommended().payload_type(payload).unwrap();
        let config = ConnectorConfig::recommended(&layout)
            .with("value.converter", converter)
            .with("value.converter.schemas.enable", schemas)
            .with("heartbeat.interval.ms", "0")
            .with("key.converter", if schemas == "true" { JSON } else { STRING })
            .with(router("table.expand.json.payload"), expands.to_string());
        Pipeline::accepting(&[Loss::JsonExpansion], config, layout).unwrap()
    };
    all.iter().flat_map(|one| [of(*one, "true"), of(*one, "false")]).collect()
}

/// Documents that grow on their way: numbers, escapes, members of unlike objects.
fn growing() -> impl Strategy<Value = String> {
    let unlike = (1..40_usize).prop_map(|count| {
        let objects: Vec<_> = (0..count).map(|n| format!("{{\"k{n}\":{n}}}")).collect();
        format!("{{\"a\":[{}]}}", objects.join(","))
    });
    let numbers = (prop::sample::select(vec!["1e300", "-1e-300", "1", "1e995", "0e1000"]), 1..60_usize)
        .prop_map(|(number, count)| format!("[{}]", vec![number; count].join(",")));
    let escapes = (prop::sample::select(vec!["\"", "\\", "😀", "é", "\u{1}", "x"]), 1..900_usize)
        .prop_map(|(text, count)| texts::quoted(&text.repeat(count)));
    prop_oneof![unlike, numbers, escapes, texts::json(), texts::plain_document()]
}

fn event() -> impl Strategy<Value = (Payload, BTreeMap<String, String>)> {
    let payload = prop_oneof![
        5 => growing().prop_filter_map("enqueue refuses it", |json| Payload::json(json).ok()),
        1 => prop::collection::vec(any::<u8>(), 1..900).prop_map(Payload::bytes),
        1 => Just(Payload::Empty),
    ];
    (payload, prop::collection::btree_map(texts::name(), texts::text(), 0..3))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The limit is small, so that most of what grows is near it.
    #[test]
    fn what_enqueue_takes_is_a_record_within_the_limit_that_a_typed_consumer_reads(
        (payload, headers) in event(),
        limit in 2_500..7_000_usize,
    ) {
        let event = OutboxEvent::builder("order", "é\"42", "OrderCreated").payload(payload.clone());
        let event = headers.iter().fold(event, |event, (name, value)| event.header(name, value)).build();
        let Ok(event) = event else { return Ok(()) };

        for pipeline in pipelines() {
            let pipeline = pipeline.with_record_limit(limit);
            let row = match pipeline.row(&event) {
                Ok(row) => row,
                Err(error) => {
                    prop_assert!(error.is_invalid_event() && error.broken_rule().is_some(), "{error}");
                    continue;
                }
            };
            prop_assert!(Row::new(pipeline.layout(), row.values().to_vec()).is_ok());
            let record = pipeline.encode(&row);
            prop_assert!(record.is_ok(), "{record:?}");
            let record = record.unwrap();
            prop_assert!(size(&record) <= limit, "{} of {limit}", size(&record));

            let decoded = decoded(&pipeline, record);
            match &payload {
                Payload::Json(text) => {
                    prop_assert!(serde_json::from_str::<Value>(text.as_str()).is_ok());
                    prop_assert!(decoded.payload.json::<Value>().is_ok());
                }
                Payload::Bytes(bytes) => prop_assert_eq!(decoded.payload.as_bytes(), &bytes[..]),
                _ => prop_assert!(decoded.payload.as_bytes().is_empty()),
            }
            prop_assert_eq!(decoded.headers.iter().count(), headers.len());
        }
    }
}
