//! A column's value as text.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::instant;
use super::json_writer::push_string;
use crate::{ColumnType, ColumnValue};

/// As Connect's SimpleHeaderConverter writes it, and the StringConverter a key.
pub(super) fn header(value: &ColumnValue, ty: ColumnType) -> Option<Bytes> {
    match value {
        ColumnValue::Null => None,
        ColumnValue::Text(text) => Some(Bytes::from(text.clone())),
        ColumnValue::Bytes(bytes) => Some(Bytes::from(BASE64_STANDARD.encode(bytes))),
        ColumnValue::Uuid(uuid) => Some(Bytes::from(uuid.to_string())),
        ColumnValue::Integer(number) => Some(Bytes::from(number.to_string())),
        ColumnValue::Boolean(value) => Some(Bytes::from(value.to_string())),
        ColumnValue::Instant(at) => Some(Bytes::from(instant_text(*at, ty))),
    }
}

/// As the JsonConverter writes it.
pub(super) fn push_column(out: &mut String, value: &ColumnValue, ty: ColumnType) {
    let text = header(value, ty).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let is_bare = matches!(value, ColumnValue::Integer(_) | ColumnValue::Boolean(_))
        || matches!(value, ColumnValue::Instant(_) if ty != ColumnType::Timestamptz);
    match text {
        None => out.push_str("null"),
        Some(text) if is_bare => out.push_str(&text),
        Some(text) => push_string(out, &text),
    }
}

fn instant_text(at: time::OffsetDateTime, ty: ColumnType) -> String {
    match ty {
        ColumnType::TimestampMillis => (instant::micros(at) / 1_000).to_string(),
        ColumnType::TimestampMicros => instant::micros(at).to_string(),
        _ => instant::zoned(at),
    }
}
