//! Records beyond those of the golden files, each as a real Debezium wrote it.

use outbox_core::layout::{Column, ColumnType, ColumnValue, EventField, Nullability, Row};
use outbox_core::record::Record;
use outbox_core::time::macros::datetime;
use outbox_core::{ConnectorConfig, Loss, OutboxEvent, Pipeline, TableLayout};

use crate::fixtures::{JSON, decoded, identifier, layout, nullable, order, recommended, router};

fn pipeline(config: ConnectorConfig, layout: TableLayout) -> Pipeline {
    Pipeline::accepting(&[Loss::JsonExpansion, Loss::UncarriedParts], config, layout).unwrap()
}

fn value(record: &Record) -> &str {
    std::str::from_utf8(record.value.as_ref().unwrap()).unwrap()
}

/// Returns a row with a payload that others may have written.
fn row(pipeline: &Pipeline, payload: &str) -> Row {
    let row = pipeline.row(&order().json("{}").build().unwrap()).unwrap();
    let is_payload = |index: usize| pipeline.layout().columns()[index].field() == Some(EventField::Payload);
    let values = row.values().iter().enumerate().map(|(index, value)| match is_payload(index) {
        true => ColumnValue::Text(payload.into()),
        false => value.clone(),
    });
    Row::new(pipeline.layout(), values.collect()).unwrap()
}

fn values_of(more: &[ColumnValue]) -> Vec<ColumnValue> {
    let text = |text: &str| ColumnValue::Text(text.into());
    let mut values = vec![ColumnValue::Uuid(outbox_core::uuid::Uuid::nil()), text("order"), text("1"), text("x")];
    values.extend_from_slice(more);
    values
}

#[test]
fn a_schema_tells_the_column_s_default() {
    let placement = "schema_version:envelope,created_at:envelope,content_type:envelope,headers:envelope";
    let config =
        recommended().with("value.converter", JSON).with(router("table.fields.additional.placement"), placement);

    let pipeline = pipeline(config, TableLayout::recommended());
    let record = pipeline.encode(&row(&pipeline, "1")).unwrap();
    for field in [
        r#"{"type":"string","optional":true,"name":"io.debezium.data.Json","version":1,"field":"payload"}"#,
        r#"{"type":"int32","optional":false,"default":1,"field":"schema_version"}"#,
        r#"{"type":"int64","optional":false,"name":"io.debezium.time.MicroTimestamp","version":1,"default":0,"field":"created_at"}"#,
        r#"{"type":"string","optional":false,"default":"","field":"content_type"}"#,
        r#"{"type":"string","optional":false,"name":"io.debezium.data.Json","version":1,"default":"{}","field":"headers"}"#,
    ] {
        assert!(value(&record).contains(field), "{}", value(&record));
    }
    assert_eq!(decoded(&pipeline, record).schema_version, Some(1));
}

#[test]
fn a_column_s_default_stands_for_null() {
    let of =
        |name, ty, default| Column::foreign(identifier(name), ty, Nullability::Nullable).default_expression(default);
    let columns = vec![
        of("n", ColumnType::Integer, "'-7'::integer"),
        of("t", ColumnType::Text, "'x'::text"),
        of("none", ColumnType::Text, "NULL::text"),
    ];
    let layout = layout(ColumnType::Json, columns).default_expression("payload", "'[ ]'::json").unwrap();
    assert!(layout.clone().default_expression("nothing", "1").unwrap_err().is_configuration());

    let config = ConnectorConfig::recommended(&layout);
    let envelope = config
        .clone()
        .with("value.converter", JSON)
        .with("value.converter.schemas.enable", "false")
        .with(router("table.fields.additional.placement"), "n:envelope,t:envelope,none:envelope,n:partition");
    let row = Row::new(&layout, values_of(&[const { ColumnValue::Null }; 4])).unwrap();
    assert_eq!(value(&pipeline(config, layout.clone()).encode(&row).unwrap()), "[ ]");

    let record = pipeline(envelope, layout).encode(&row).unwrap();
    assert_eq!(value(&record), r#"{"payload":"[ ]","n":-7,"t":"x","none":null}"#);
    assert_eq!(record.partition, None, "the router asks for a partition without its default");
}

#[test]
fn timestamps_before_1970() {
    let layout = layout(ColumnType::Json, vec![nullable(EventField::CreatedAt, "at", ColumnType::TimestampMicros)]);
    let pipeline = pipeline(ConnectorConfig::recommended(&layout), layout);
    let encoded = |at| {
        let row = Row::new(pipeline.layout(), values_of(&[ColumnValue::Null, ColumnValue::Instant(at)])).unwrap();
        pipeline.encode(&row).map(|record| record.timestamp)
    };
    assert_eq!(encoded(datetime!(1970-01-01 00:00:00.001999 UTC)).unwrap(), Some(1));
    assert_eq!(encoded(datetime!(1969-12-31 23:59:59.999001 UTC)).unwrap(), Some(0));
    assert_eq!(encoded(datetime!(1969-12-31 23:59:59.999 UTC)).unwrap(), None, "-1 is Connect's word for none");
    let error = encoded(datetime!(1969-12-31 23:59:59.998 UTC)).unwrap_err();
    assert!(error.is_unencodable() && error.field() == Some("at"), "{error}");
}

fn expanding(schemas: &str, placement: Option<&str>) -> Pipeline {
    let layout = layout(ColumnType::Json, vec![]);
    let config = ConnectorConfig::recommended(&layout)
        .with("value.converter", JSON)
        .with("value.converter.schemas.enable", schemas)
        .with(router("table.expand.json.payload"), "true");
    let config = match placement {
        Some(placement) => config.with(router("table.fields.additional.placement"), placement),
        None => config,
    };
    pipeline(config, layout)
}

#[track_caller]
fn lossless(pipeline: &Pipeline, payload: &str) -> Record {
    let row = row(pipeline, payload);
    assert!(pipeline.encode(&row).unwrap_err().is_unencodable());
    let (record, reason) = pipeline.encode_lossless(&row).unwrap();
    assert_eq!(reason.unwrap().field(), Some("payload"));
    record.into_owned()
}

#[test]
fn a_payload_that_cannot_be_expanded_is_written_as_it_was_stored() {
    for payload in [r#"{"i": 12345678901234567890}"#, "[1,2]", r#"[{"a":1},{"a":"x"}]"#, r#"{"\ud800": 1}"#] {
        let plain = expanding("false", None);
        let record = lossless(&plain, payload);
        assert_eq!(value(&record), payload);
        assert_eq!(decoded(&plain, record).payload.as_text(), Some(payload));

        let schemas = expanding("true", None);
        let record = lossless(&schemas, payload);
        assert!(
            value(&record).starts_with(r#"{"schema":{"type":"string","optional":true,"name":"io.debezium.data.Json""#)
        );
        assert_eq!(decoded(&schemas, record).payload.as_text(), Some(payload));

        let envelope = expanding("false", Some("event_type:envelope"));
        let record = lossless(&envelope, payload);
        assert_eq!(value(&record), format!(r#"{{"payload":{payload},"event_type":"{}"}}"#, "OrderCreated"));
        assert_eq!(decoded(&envelope, record).payload.as_text(), Some(payload));
    }
    let empty = expanding("false", Some("event_type:envelope"));
    assert!(value(&lossless(&empty, "[]")).starts_with("{\"payload\":[],"));
}

#[test]
fn a_payload_that_can_be_encoded_is_encoded_as_debezium_does() {
    let pipeline = expanding("false", None);
    let row = row(&pipeline, r#"{"u": "\ud800", "d": 1e400, "n": null}"#);
    let (record, reason) = pipeline.encode_lossless(&row).unwrap();
    assert!(reason.is_none(), "{reason:?}");
    let record = record.into_owned();
    assert!(record.borrowed().into_owned() == record);
    assert_eq!(value(&record), r#"{"u":"\uD800","d":"Infinity"}"#);
    assert!(record == pipeline.encode(&row).unwrap());

    let event = OutboxEvent::builder("order", "1", "x").build().unwrap();
    let recommended = Pipeline::recommended();
    let row = recommended.row(&event).unwrap();
    assert!(matches!(recommended.encode_lossless(&row), Ok((_, None))));
}
