//! Connectors, as far as the tests share them.

use outbox_core::layout::{Column, ColumnType, EventField, Nullability};
use outbox_core::{ConnectorConfig, Identifier, TableLayout};

pub(crate) const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
pub(crate) const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
pub(crate) const BYTE_ARRAY: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
pub(crate) const BINARY_DATA: &str = "io.debezium.converters.BinaryDataConverter";
pub(crate) const PLACEMENT: &str = "transforms.outbox.table.fields.additional.placement";

pub(crate) fn identifier(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

pub(crate) fn not_null(field: EventField, name: &str, ty: ColumnType) -> Column {
    Column::new(field, identifier(name), ty, Nullability::NotNull)
}

pub(crate) fn nullable(field: EventField, name: &str, ty: ColumnType) -> Column {
    Column::new(field, identifier(name), ty, Nullability::Nullable)
}

/// Returns the five parts that every layout has, and more columns behind them.
pub(crate) fn layout(table: &str, payload: ColumnType, more: Vec<Column>) -> TableLayout {
    let mut columns = vec![
        not_null(EventField::Id, "id", ColumnType::Uuid),
        not_null(EventField::AggregateType, "aggregate_type", ColumnType::Text),
        not_null(EventField::AggregateId, "aggregate_id", ColumnType::Text),
        not_null(EventField::EventType, "event_type", ColumnType::Text),
        nullable(EventField::Payload, "payload", payload),
    ];
    columns.extend(more);
    TableLayout::new(identifier("public"), identifier(table), columns).unwrap()
}

/// Returns the full key of an option of the EventRouter.
pub(crate) fn router(option: &str) -> String {
    format!("transforms.outbox.{option}")
}

/// The change that a test makes to the recommended configuration.
pub(crate) trait With: Sized {
    fn json_values(self, schemas: &str) -> Self;
    fn json_keys(self, schemas: &str) -> Self;
    fn option(self, option: &str, value: &str) -> Self;
}

impl With for ConnectorConfig {
    fn json_values(self, schemas: &str) -> Self {
        self.with("value.converter", JSON).with("value.converter.schemas.enable", schemas)
    }

    fn json_keys(self, schemas: &str) -> Self {
        self.with("key.converter", JSON).with("key.converter.schemas.enable", schemas)
    }

    fn option(self, option: &str, value: &str) -> Self {
        self.with(router(option), value)
    }
}
