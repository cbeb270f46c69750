//! Records as a real Debezium wrote them: the model decodes them, and writes the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outbox_core::bytes::Bytes;
use outbox_core::layout::{Column, ColumnType, ColumnValue, EventField, Row};
use outbox_core::record::{DecodedPayload, Record};
use outbox_core::time::macros::datetime;
use outbox_core::uuid::Uuid;
use outbox_core::{ConnectorConfig, Loss, Pipeline, TableLayout};
use serde::Deserialize;

use crate::fixtures::{decoded, foreign, layout, not_null, router};

const CREATED_AT: outbox_core::time::OffsetDateTime = datetime!(2026-01-02 03:04:05.678901 UTC);

#[derive(Deserialize)]
struct Golden {
    variant: String,
    extra: BTreeMap<String, String>,
    column: String,
    state: Vec<String>,
    records: Vec<GoldenRecord>,
}

#[derive(Deserialize)]
struct GoldenRecord {
    topic: String,
    ts: i64,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

impl GoldenRecord {
    fn record(&self) -> Record {
        let mut record = Record::new(&self.topic);
        record.key = self.key.as_deref().map(bytes);
        record.value = self.value.as_deref().map(bytes);
        record.headers = self.headers.iter().map(|(name, value)| (name.clone(), value.as_deref().map(bytes))).collect();
        record.timestamp = Some(self.ts);
        record
    }
}

/// Returns text, or `hex:…` where it was not UTF-8.
fn bytes(text: &str) -> Bytes {
    let Some(hex) = text.strip_prefix("hex:") else { return Bytes::copy_from_slice(text.as_bytes()) };
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn read(file: &str) -> Golden {
    serde_json::from_str(&std::fs::read_to_string(folder().join(file)).unwrap()).unwrap()
}

/// Returns the configuration that wrote the golden records, apart from the changes of each. It is no copy of
/// `ConnectorConfig::recommended`, and a new column does not change it.
pub(crate) fn recommended_connector() -> ConnectorConfig {
    let json = std::fs::read_to_string(folder().join("recommended-connector.json")).unwrap();
    let json = json.replace("<schema>", "outbox").replace(['<', '>'], "").replace("replication role", "debezium");
    ConnectorConfig::from_json(&json).unwrap()
}

impl Golden {
    fn config(&self) -> ConnectorConfig {
        let fixtures = ["heartbeat.interval.ms", "heartbeat.action.query", "message.prefix.exclude.list"]
            .into_iter()
            .chain(["skipped.operations", "extended.headers.enabled"])
            .map(str::to_owned)
            .chain([router("table.field.event.timestamp"), router("table.fields.additional.placement")])
            .fold(recommended_connector(), |config, key| config.without(&key))
            .with("publication.autocreate.mode", "filtered")
            .with(router("table.field.event.type"), "event_type")
            .with(router("route.topic.replacement"), format!("{}.${{routedByValue}}", self.variant));
        self.extra.iter().fold(fixtures, |config, (key, value)| config.with(key, value))
    }

    fn layout(&self) -> TableLayout {
        let payload = match self.column.as_str() {
            "jsonb" => ColumnType::Jsonb,
            "text" => ColumnType::Text,
            "bytea" => ColumnType::Bytea,
            other => panic!("{other}"),
        };
        let mut more = vec![not_null(EventField::CreatedAt, "created_at", ColumnType::Timestamptz)];
        more.extend(foreign_columns());
        layout(payload, more)
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline::accepting(&[Loss::JsonExpansion], self.config(), self.layout()).unwrap()
    }

    fn placement(&self) -> &str {
        self.extra.get(&router("table.fields.additional.placement")).map_or("", String::as_str)
    }
}

fn foreign_columns() -> [Column; 5] {
    [
        foreign("hdr", ColumnType::Text),
        foreign("ver", ColumnType::Integer),
        foreign("at2", ColumnType::TimestampMicros),
        foreign("flag", ColumnType::Boolean),
        foreign("props", ColumnType::Jsonb),
    ]
}

/// Returns the payloads that the column held: PostgreSQL rewrites those of a jsonb column.
fn payloads(column: &str) -> Vec<ColumnValue> {
    let texts_of = |file| {
        let records = read(file).records.into_iter();
        records.map(|record| record.value.map_or(ColumnValue::Null, ColumnValue::Text)).collect()
    };
    match column {
        "jsonb" => texts_of("string-converter.json"),
        "text" => texts_of("string-converter-text-column.json"),
        _ => vec![
            ColumnValue::Bytes(Bytes::from_static(b"\x00\x01\xff")),
            ColumnValue::Bytes(Bytes::from_static(b"{\"a\":1}")),
            ColumnValue::Bytes(Bytes::new()),
            ColumnValue::Null,
        ],
    }
}

fn id(index: usize) -> Uuid {
    Uuid::from_u128(index as u128 + 1)
}

fn row(layout: &TableLayout, index: usize, payload: ColumnValue) -> Row {
    let values = vec![
        ColumnValue::Uuid(id(index)),
        ColumnValue::Text("order".into()),
        ColumnValue::Text(format!("agg-{index}")),
        ColumnValue::Text("OrderCreated".into()),
        payload,
        ColumnValue::Instant(CREATED_AT),
        ColumnValue::Text("tenant-1".into()),
        ColumnValue::Integer(3),
        ColumnValue::Instant(CREATED_AT),
        ColumnValue::Boolean(true),
        ColumnValue::Text("{\"k\": \"v\"}".into()),
    ];
    Row::new(layout, values).unwrap()
}

fn expected_payload(golden: &Golden, index: usize, payload: &ColumnValue) -> DecodedPayload {
    let is_expanded = golden.extra.contains_key(&router("table.expand.json.payload"));
    match payload {
        ColumnValue::Text(_) if is_expanded => {
            DecodedPayload::Text(golden.records[index].value.clone().unwrap().into())
        }
        ColumnValue::Text(text) => DecodedPayload::Text(text.clone().into()),
        ColumnValue::Bytes(bytes) => DecodedPayload::Bytes(bytes.clone()),
        _ => DecodedPayload::Empty,
    }
}

const FILES: [(&str, usize); 9] = [
    ("binary-data-converter.json", 4),
    ("byte-array-converter.json", 4),
    ("json-converter-envelope.json", 15),
    ("json-converter-expand.json", 2),
    ("json-converter-schemas.json", 15),
    ("json-converter.json", 15),
    ("string-converter-headers.json", 15),
    ("string-converter-text-column.json", 15),
    ("string-converter.json", 15),
];

#[test]
fn every_file_of_records_is_tested() {
    let mut files: Vec<_> =
        std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.retain(|name| name.ends_with(".json") && name != "recommended-connector.json");
    files.sort();
    assert_eq!(files, FILES.map(|(file, _)| file));
    for (file, count) in FILES {
        assert_eq!(read(file).records.len(), count, "{file}");
    }
}

#[test]
fn every_record_decodes_to_what_its_row_says() {
    for (file, _) in FILES {
        let golden = read(file);
        let (pipeline, payloads) = (golden.pipeline(), payloads(&golden.column));
        for (index, record) in golden.records.iter().enumerate() {
            let at = format!("{file}, record {index}");
            let event = decoded(&pipeline, record.record());
            assert_eq!(event.id, id(index), "{at}");
            assert_eq!(event.aggregate_type.as_deref(), Some("order"), "{at}");
            assert_eq!(event.aggregate_id.as_deref(), Some(format!("agg-{index}").as_str()), "{at}");
            let is_placed = |column: &str| golden.placement().contains(column);
            assert_eq!(event.event_type.as_deref(), is_placed("event_type").then_some("OrderCreated"), "{at}");
            assert_eq!(event.created_at, is_placed("created_at").then_some(CREATED_AT), "{at}");

            let payload = expected_payload(&golden, index, &payloads[index]);
            assert!(event.payload == payload, "{at}: {:?}", event.payload.as_text());

            let extra = [
                ("tenant", "tenant-1"),
                ("ver", "3"),
                ("at2", "1767323045678901"),
                ("flag", "true"),
                ("props", "{\"k\": \"v\"}"),
            ];
            let extra = extra.into_iter().filter(|_| is_placed("hdr")).map(|(name, text)| (name.into(), text.into()));
            assert_eq!(event.extra, extra.collect(), "{at}");
            assert!(event.schema_version.is_none() && event.content_type.is_none() && event.headers.is_empty());
            assert!(event.traceparent.is_none() && event.correlation_id.is_none() && event.causation_id.is_none());
        }
    }
}

#[test]
fn every_row_is_encoded_to_its_record() {
    for (file, _) in FILES {
        let golden = read(file);
        let pipeline = golden.pipeline();
        for (index, payload) in payloads(&golden.column).into_iter().enumerate().take(golden.records.len()) {
            let mut wanted = golden.records[index].record();
            // No column is the event's timestamp in these runs: it is the connector's clock.
            wanted.timestamp = None;
            let row = row(pipeline.layout(), index, payload);
            let made = pipeline.encode(&row).unwrap();
            assert!(made == wanted, "{file}, record {index}: {:?} for {:?}", made.value, wanted.value);
        }
    }
}

#[test]
fn the_row_at_which_the_task_failed_cannot_be_encoded() {
    let golden = read("json-converter-expand.json");
    assert_eq!(golden.state, ["FAILED"]);
    let pipeline = golden.pipeline();
    let index = golden.records.len();
    let payload = payloads(&golden.column).swap_remove(index);
    let error = pipeline.encode(&row(pipeline.layout(), index, payload)).unwrap_err();
    assert!(error.is_unencodable(), "{error}");
    assert_eq!(error.field(), Some("payload"));
}
