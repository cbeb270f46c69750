//! Records that are no events, and events with parts missing or malformed.

use outbox_core::bytes::Bytes;
use outbox_core::layout::{ColumnType, EventField};
use outbox_core::record::{Decoded, DecodedPayload, NotAnEvent, Record, event_identity};
use outbox_core::time::macros::datetime;
use outbox_core::{ConnectorConfig, Loss, Payload, Pipeline, TableLayout};

use crate::fixtures::{JSON, decoded, foreign, layout, not_null, recommended, record, router};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const TOPIC: &str = "outbox.events.order";

#[track_caller]
fn undecodable(pipeline: &Pipeline, record: Record, part: &str, reason: &str) {
    let error = pipeline.decode(record).expect_err(reason);
    assert!(error.is_undecodable() && !error.is_configuration(), "{error}");
    assert_eq!(error.field(), Some(part), "{error}");
    assert!(error.broken_rule().unwrap().contains(reason), "{error}");
}

fn json(layout: &TableLayout, schemas: bool) -> ConnectorConfig {
    ConnectorConfig::recommended(layout)
        .with("value.converter", JSON)
        .with("value.converter.schemas.enable", schemas.to_string())
}

#[test]
fn records_of_the_connector_itself_are_no_events() {
    let usual = Pipeline::recommended();
    let renamed = recommended().with("topic.prefix", "shop").with("topic.heartbeat.prefix", "beats");
    let named = renamed.clone().with("topic.heartbeat.name", "beats");
    let [renamed, named] = [renamed, named].map(|config| Pipeline::new(config, TableLayout::recommended()).unwrap());

    for (pipeline, topic, value, kind) in [
        (&usual, "__debezium-heartbeat.outbox", Some("{}"), NotAnEvent::Heartbeat),
        (&usual, "outbox.transaction", Some("Struct{}"), NotAnEvent::TransactionMetadata),
        (&usual, "outbox.message", Some("{}"), NotAnEvent::LogicalMessage),
        (&usual, TOPIC, None, NotAnEvent::Tombstone),
        (&usual, TOPIC, Some("{}"), NotAnEvent::NoEventId),
        (&usual, "__debezium-heartbeat.other", Some("{}"), NotAnEvent::NoEventId),
        (&usual, "outbox.messages", Some("{}"), NotAnEvent::NoEventId),
        (&renamed, "beats.shop", Some("{}"), NotAnEvent::Heartbeat),
        (&named, "beats", Some("{}"), NotAnEvent::Heartbeat),
        (&named, "beats.shop", Some("{}"), NotAnEvent::NoEventId),
        (&renamed, "shop.transaction", Some("{}"), NotAnEvent::TransactionMetadata),
        (&renamed, "shop.message", None, NotAnEvent::LogicalMessage),
    ] {
        let record = record(topic, value, &[("event_type", Some("x"))]);
        assert_eq!(pipeline.decode(record.clone()).unwrap(), Decoded::NotAnEvent(kind, record), "{topic}");
    }
}

#[test]
fn an_id_header_that_is_no_uuid_is_undecodable() {
    for id in [None, Some(""), Some("42"), Some("01890a5d-ac96-774b-bcce-b302099a805")] {
        undecodable(&Pipeline::recommended(), record(TOPIC, Some("{}"), &[("id", id)]), "header id", "not a UUID");
    }
    let mut record = record(TOPIC, Some("{}"), &[]);
    record.headers.push(("id".into(), Some(Bytes::from_static(b"\xff"))));
    undecodable(&Pipeline::recommended(), record, "header id", "not a UUID");
}

#[test]
fn an_id_of_another_type_is_an_event_of_its_topic() {
    let named = TableLayout::recommended();
    let columns = named.columns().iter().map(|column| match column.field() {
        Some(EventField::Id) => not_null(EventField::Id, "id", ColumnType::Bigint),
        _ => column.clone(),
    });
    let layout = TableLayout::existing(named.schema().clone(), named.table().clone(), columns.collect()).unwrap();
    let pipeline = Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap();
    let event = decoded(&pipeline, record(TOPIC, Some("{}"), &[("id", Some("42"))]));
    assert_eq!((Some(event.id), event.id_text.as_deref()), (event_identity(TOPIC, b"42"), Some("42")));

    let elsewhere = decoded(&pipeline, record("outbox.events.invoice", Some("{}"), &[("id", Some("42"))]));
    assert_ne!(event.id, elsewhere.id);
    let uuid = decoded(&pipeline, record(TOPIC, Some("{}"), &[("id", Some(ID))]));
    assert_eq!((uuid.id.to_string().as_str(), uuid.id_text), (ID, None));
    for id in [Some(""), None] {
        undecodable(&pipeline, record(TOPIC, Some("{}"), &[("id", id)]), "header id", "empty");
    }

    let refused = pipeline.row(&crate::fixtures::order().build().unwrap()).unwrap_err();
    assert!(refused.to_string().contains("reads only"), "{refused}");
}

#[test]
fn bytes_and_instants_are_read_in_every_form() {
    let columns = vec![not_null(EventField::CreatedAt, "created_at", ColumnType::TimestampMicros)];
    let layout = layout(ColumnType::Bytea, columns);
    let plain = ConnectorConfig::recommended(&layout)
        .with("value.converter", crate::fixtures::STRING)
        .without(&router("table.field.event.timestamp"))
        .with(router("table.fields.additional.placement"), "created_at:header");

    let instants = [
        datetime!(1970-01-01 03:04:05.678 UTC),
        datetime!(2026-01-02 0:00 UTC),
        datetime!(2026-01-02 03:04:05.678 UTC),
    ];

    for (time, binary) in [
        ("adaptive", "base64"),
        ("connect", "base64-url-safe"),
        ("isostring", "hex"),
        ("microseconds", "hex"),
        ("nanoseconds", "hex"),
    ] {
        let config = plain.clone().with("time.precision.mode", time).with("binary.handling.mode", binary);
        let pipeline = Pipeline::accepting(&[Loss::UncarriedParts], config, layout.clone()).unwrap();
        for at in instants {
            let payload = Payload::bytes(vec![0xfb, 0xff, 0]);
            let event = crate::fixtures::order().payload(payload).created_at(at).build().unwrap();
            let found = decoded(&pipeline, pipeline.encode(&pipeline.row(&event).unwrap()).unwrap());
            assert_eq!(found.payload.as_bytes(), [0xfb, 0xff, 0], "{binary}");
            assert_eq!(found.created_at, Some(at), "{time}");
        }
    }
}

#[test]
fn headers_of_the_connector_in_front_are_ignored() {
    let headers = [
        ("__debezium.context.connectorLogicalName", Some("outbox")),
        ("__debezium.context.taskId", Some("0")),
        ("__debezium.context.connectorName", Some("postgresql")),
        ("__debezium.context.runId", None),
        ("id", Some(ID)),
        ("event_type", Some("OrderCreated")),
    ];
    let event = decoded(&Pipeline::recommended(), record(TOPIC, Some("{}"), &headers));
    assert_eq!((event.id.to_string().as_str(), event.event_type.as_deref()), (ID, Some("OrderCreated")));
    assert!(event.extra.is_empty());
}

#[test]
fn an_id_and_a_topic_are_an_event() {
    let event = decoded(&Pipeline::recommended(), record(TOPIC, None, &[("id", Some(ID))]));
    assert_eq!(event.aggregate_type.as_deref(), Some("order"));
    assert!(event.payload == DecodedPayload::Empty && event.payload.as_bytes().is_empty());
    assert!(event.aggregate_id.is_none() && event.event_type.is_none() && event.created_at.is_none());
    let event = decoded(&Pipeline::recommended(), record("another-topic", Some(""), &[("id", Some(ID))]));
    assert!(event.aggregate_type.is_none() && event.payload == DecodedPayload::Empty);
}

#[test]
fn empty_and_null_headers_are_absent_parts() {
    let names = ["event_type", "content_type", "correlation_id", "causation_id", "traceparent", "headers"];
    for value in [None, Some("")] {
        let mut headers = vec![("id", Some(ID)), ("schema_version", value)];
        headers.extend(names.map(|name| (name, value)));
        let event = decoded(&Pipeline::recommended(), record(TOPIC, Some("{}"), &headers));
        assert!(event.event_type.is_none() && event.content_type.is_none() && event.schema_version.is_none());
        assert!(event.correlation_id.is_none() && event.causation_id.is_none());
        assert!(event.traceparent.is_none() && event.headers.is_empty());
    }
}

#[test]
fn a_malformed_traceparent_counts_as_none() {
    for text in ["x", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"] {
        let record = record(TOPIC, Some("{}"), &[("id", Some(ID)), ("traceparent", Some(text))]);
        assert_eq!(decoded(&Pipeline::recommended(), record).traceparent, None);
    }
}

#[test]
fn malformed_parts_are_named() {
    let usual = Pipeline::recommended();
    for (name, text, reason) in [
        ("headers", "{", "JSON object of texts"),
        ("headers", "{\"a\":1}", "JSON object of texts"),
        ("headers", "[]", "JSON object of texts"),
        ("schema_version", "one", "whole number"),
        ("schema_version", "-1", "whole number"),
    ] {
        undecodable(&usual, record(TOPIC, Some("{}"), &[("id", Some(ID)), (name, Some(text))]), name, reason);
    }

    let whole = record(TOPIC, Some("{}"), &[("id", Some(ID))]);
    let broken = || Some(Bytes::from_static(b"\xff"));
    let (mut key, mut value, mut header) = (whole.clone(), whole.clone(), whole);
    key.key = broken();
    undecodable(&usual, key, "key", "UTF-8");
    value.value = broken();
    undecodable(&usual, value, "value", "UTF-8");
    header.headers.push(("event_type".into(), broken()));
    undecodable(&usual, header, "event_type", "UTF-8");
}

#[test]
fn instants_are_read_by_the_type_of_their_column() {
    for (ty, text, at) in [
        (ColumnType::TimestampMillis, "1767323045678", datetime!(2026-01-02 03:04:05.678 UTC)),
        (ColumnType::TimestampMicros, "1767323045678901", datetime!(2026-01-02 03:04:05.678901 UTC)),
        (ColumnType::Timestamptz, "2026-01-02T03:04:05.678901Z", datetime!(2026-01-02 03:04:05.678901 UTC)),
    ] {
        let layout = layout(ColumnType::Json, vec![not_null(EventField::CreatedAt, "at", ty)]);
        let config =
            ConnectorConfig::recommended(&layout).with(router("table.fields.additional.placement"), "at:header");
        let pipeline = Pipeline::new(config, layout).unwrap();
        let with = |text| record(TOPIC, Some("{}"), &[("id", Some(ID)), ("at", Some(text))]);
        assert_eq!(decoded(&pipeline, with(text)).created_at, Some(at));
        for bad in ["soon", "infinity", "99999999999999999999"] {
            undecodable(&pipeline, with(bad), "at", "not an instant");
        }
    }
}

#[test]
fn a_value_has_the_form_that_the_configuration_says() {
    let text = layout(ColumnType::Json, vec![]);
    let plain = Pipeline::new(json(&text, false), text.clone()).unwrap();
    let wrapped = Pipeline::new(json(&text, true), text.clone()).unwrap();
    let bytes = layout(ColumnType::Bytea, vec![]);
    let base64 = Pipeline::new(json(&bytes, false), bytes).unwrap();
    let with = |value| record(TOPIC, Some(value), &[("id", Some(ID))]);
    assert_eq!(decoded(&plain, with("\"{}\"")).payload.as_text(), Some("{}"));
    assert_eq!(decoded(&wrapped, with(r#"{"schema":null,"payload":"{}"}"#)).payload.as_text(), Some("{}"));
    assert_eq!(decoded(&base64, with("\"AAH/\"")).payload.as_bytes(), b"\x00\x01\xff");

    undecodable(&plain, with("{}"), "payload", "does not expand payloads");
    undecodable(&plain, with("{"), "value", "not JSON");
    undecodable(&wrapped, with("\"{}\""), "value", "schema");
    undecodable(&wrapped, with("{\"payload\":\"{}\"}"), "value", "schema");
    undecodable(&base64, with("\"?\""), "payload", "base64");
}

#[test]
fn an_envelope_is_an_object_with_a_payload() {
    let layout = layout(ColumnType::Json, vec![foreign("n", ColumnType::Integer)]);
    let placement = "event_type:envelope:type,n:envelope";
    let config = json(&layout, false).with(router("table.fields.additional.placement"), placement);
    let pipeline = Pipeline::new(config, layout).unwrap();
    let with = |value| record(TOPIC, Some(value), &[("id", Some(ID))]);
    let event = decoded(&pipeline, with(r#"{"n": 3, "payload": "{}", "type": "OrderCreated", "more": []}"#));
    assert_eq!((event.event_type.as_deref(), event.payload.as_text()), (Some("OrderCreated"), Some("{}")));
    assert_eq!(event.extra["n"], "3");
    undecodable(&pipeline, with("{}"), "envelope", "no payload");
    undecodable(&pipeline, with("[]"), "envelope", "not a JSON object");
    undecodable(&pipeline, with(r#"{"payload":"{}","type":{}}"#), "type", "not a JSON string");
}

#[test]
fn an_envelope_stays_one_when_its_columns_are_missing() {
    let config = json(&TableLayout::recommended(), false)
        .with(router("table.fields.additional.placement"), "nowhere:envelope")
        .with(router("table.field.additional.missing"), "ignore");
    let pipeline = Pipeline::accepting(&[Loss::UncarriedParts], config, TableLayout::recommended()).unwrap();
    let event = crate::fixtures::order().json("{\"a\":1}").build().unwrap();
    let record = pipeline.encode(&pipeline.row(&event).unwrap()).unwrap();
    assert_eq!(record.value.as_deref(), Some(&br#"{"payload":"{\"a\":1}"}"#[..]));
    assert_eq!(decoded(&pipeline, record).payload.as_text(), Some("{\"a\":1}"));
}

#[test]
fn a_header_beats_the_envelope_beats_the_key_beats_the_topic() {
    let layout = layout(ColumnType::Json, vec![]);
    let config = json(&layout, false).with(router("table.field.event.key"), "aggregate_type");
    let with = |placement| {
        let config = config.clone().with(router("table.fields.additional.placement"), placement);
        Pipeline::new(config, layout.clone()).unwrap()
    };

    let of_type = |pipeline: &Pipeline, key: Option<&'static str>| {
        let envelope = r#"{"payload":"{}","aggregate_type":"envelope"}"#;
        let headers = [("id", Some(ID)), ("aggregate_type", Some("header"))];
        let has_envelope = pipeline.config().to_json().contains("envelope");
        let mut record = record("outbox.events.topic", Some(if has_envelope { envelope } else { "\"{}\"" }), &headers);
        record.key = key.map(|key| Bytes::from_static(key.as_bytes()));
        String::from(decoded(pipeline, record).aggregate_type.unwrap())
    };

    assert_eq!(of_type(&with("aggregate_type:envelope,aggregate_type:header"), Some("key")), "header");
    assert_eq!(of_type(&with("aggregate_type:envelope"), Some("key")), "envelope");
    assert_eq!(of_type(&with("event_type:header"), Some("key")), "key");
    assert_eq!(of_type(&with("event_type:header"), None), "topic");
}
