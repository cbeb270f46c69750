//! The parts that several of these tests need.

use outbox_core::bytes::Bytes;
use outbox_core::layout::{Column, ColumnType, EventField, Nullability};
use outbox_core::record::{Decoded, DecodedEvent, Record};
use outbox_core::{ConnectorConfig, EventBuilder, Identifier, OutboxEvent, Pipeline, TableLayout};
use proptest::test_runner::{Config, TestRunner};

pub(crate) const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
pub(crate) const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
pub(crate) const BYTE_ARRAY: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
pub(crate) const BINARY_DATA: &str = "io.debezium.converters.BinaryDataConverter";

pub(crate) fn identifier(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

pub(crate) fn not_null(field: EventField, name: &str, ty: ColumnType) -> Column {
    Column::new(field, identifier(name), ty, Nullability::NotNull)
}

pub(crate) fn nullable(field: EventField, name: &str, ty: ColumnType) -> Column {
    Column::new(field, identifier(name), ty, Nullability::Nullable)
}

pub(crate) fn foreign(name: &str, ty: ColumnType) -> Column {
    Column::foreign(identifier(name), ty, Nullability::NotNull)
}

/// Returns the five parts that every layout has, and more columns behind them.
pub(crate) fn layout(payload: ColumnType, more: Vec<Column>) -> TableLayout {
    let mut columns = vec![
        not_null(EventField::Id, "id", ColumnType::Uuid),
        not_null(EventField::AggregateType, "aggregate_type", ColumnType::Text),
        not_null(EventField::AggregateId, "aggregate_id", ColumnType::Text),
        not_null(EventField::EventType, "event_type", ColumnType::Text),
        nullable(EventField::Payload, "payload", payload),
    ];
    columns.extend(more);
    TableLayout::new(identifier("outbox"), identifier("outbox_message"), columns).unwrap()
}

/// Returns the full key of an option of the EventRouter.
pub(crate) fn router(option: &str) -> String {
    format!("transforms.outbox.{option}")
}

/// Returns the recommended configuration of the recommended table.
pub(crate) fn recommended() -> ConnectorConfig {
    ConnectorConfig::recommended(&TableLayout::recommended())
}

pub(crate) fn order() -> EventBuilder {
    OutboxEvent::builder("order", "42", "OrderCreated")
}

pub(crate) fn record(topic: &str, value: Option<&str>, headers: &[(&str, Option<&str>)]) -> Record {
    let mut record = Record::new(topic);
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    record.value = value.map(bytes);
    record.headers = headers.iter().map(|(name, text)| ((*name).to_owned(), text.map(bytes))).collect();
    record
}

#[track_caller]
pub(crate) fn decoded(pipeline: &Pipeline, record: Record) -> DecodedEvent {
    match pipeline.decode(record).unwrap() {
        Decoded::Event(event) => *event,
        other => panic!("no event: {other:?}"),
    }
}

pub(crate) fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}
