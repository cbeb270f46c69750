//! A column's value as text.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::instant;
use super::json_writer::push_string;
use crate::{ColumnType, ColumnValue};

/// As Connect's SimpleHeaderConverter writes it, and the StringConverter a key.
pub(super) fn text(value: &ColumnValue, ty: ColumnType) -> Option<Cow<'_, str>> {
    Some(match value {
        ColumnValue::Null => return None,
        ColumnValue::Text(text) => Cow::Borrowed(text),
        ColumnValue::Bytes(bytes) => BASE64_STANDARD.encode(bytes).into(),
        ColumnValue::Uuid(uuid) => uuid.to_string().into(),
        ColumnValue::Integer(number) => number.to_string().into(),
        ColumnValue::Boolean(value) => if *value { "true" } else { "false" }.into(),
        ColumnValue::Instant(at) => instant_text(*at, ty).into(),
    })
}

/// As [`text`], in bytes.
pub(super) fn text_bytes(value: &ColumnValue, ty: ColumnType) -> Option<Cow<'_, [u8]>> {
    text(value, ty).map(|text| match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// As the JsonConverter writes it.
pub(super) fn push_column(out: &mut String, value: &ColumnValue, ty: ColumnType) {
    let is_bare = matches!(value, ColumnValue::Integer(_) | ColumnValue::Boolean(_))
        || matches!(value, ColumnValue::Instant(_) if ty != ColumnType::Timestamptz);
    match text(value, ty) {
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
