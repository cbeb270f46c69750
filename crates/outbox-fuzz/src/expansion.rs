//! The router's expansion of JSON payloads: the output is JSON.

use outbox_core::layout::{ColumnValue, EventField, Row};
use outbox_core::{OutboxEvent, Pipeline};

use crate::pipelines;

pub(crate) const WORDS: &[&[u8]] = &[
    b"{\"a\":", b"[", b"]", b"}", b",", b"null", b"[]", b"{}", b"\"", b"\\u", b"\\ud83d", b"1e400", b"-0", b"true",
    b"1.5",
];

/// Expands the text after the first byte, which chooses the pipeline.
pub(crate) fn run(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let pipeline = pipelines::chosen(pipelines::expanding(), *choice);
    let row = row(pipeline, text);
    match pipeline.encode(&row) {
        Ok(record) => {
            let value = record.value.unwrap_or_default();
            let read = serde_json::from_slice::<serde::de::IgnoredAny>(&value);
            assert!(read.is_ok(), "{read:?}: {}", String::from_utf8_lossy(&value));
        }
        Err(error) => assert!(error.is_unencodable(), "{error}"),
    }
}

/// Returns the row of an event that has the text as its payload, which the table's type would accept.
fn row(pipeline: &Pipeline, payload: &str) -> Row {
    let event = OutboxEvent::builder("order", "1", "OrderCreated").json("{}").build();
    let row = event.and_then(|event| pipeline.row(&event));
    let Ok(row) = row else { panic!("the event of the target has no row") };
    let columns = pipeline.layout().columns().iter().zip(row.values());
    let values = columns.map(|(column, value)| match column.field() {
        Some(EventField::Payload) => ColumnValue::from(payload),
        _ => value.clone(),
    });
    let Ok(row) = Row::new(pipeline.layout(), values.collect()) else { panic!("the payload is no text of a row") };
    row
}
