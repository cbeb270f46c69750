//! A column's value as text.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::json_writer::push_string;
use super::{instant, java};
use crate::layout::{array_elements, epoch_day, micros_of_day};
use crate::{ColumnType, ColumnValue};

/// As Connect's SimpleHeaderConverter writes it, and the StringConverter a key.
pub(super) fn text(value: &ColumnValue, ty: ColumnType) -> Option<Cow<'_, str>> {
    Some(match value {
        ColumnValue::Null => return None,
        ColumnValue::Text(text) => kept_as_text(text, ty),
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
    match text(value, ty) {
        None => out.push_str("null"),
        // Jackson writes "NaN" and "Infinity" as strings.
        Some(text) if is_number(ty) && text.ends_with(|c: char| c.is_ascii_digit()) => out.push_str(&text),
        Some(text) if ty == ColumnType::Boolean => out.push_str(&text),
        Some(text) => push_string(out, &text),
    }
}

fn is_number(ty: ColumnType) -> bool {
    use ColumnType as T;
    matches!(
        ty,
        T::Smallint
            | T::Integer
            | T::Bigint
            | T::Real
            | T::Double
            | T::Date
            | T::TimeMillis
            | T::TimeMicros
            | T::TimestampMillis
            | T::TimestampMicros
    )
}

fn instant_text(at: time::OffsetDateTime, ty: ColumnType) -> String {
    match ty {
        ColumnType::TimestampMillis => (instant::micros(at) / 1_000).to_string(),
        ColumnType::TimestampMicros => instant::micros(at).to_string(),
        _ => instant::zoned(at),
    }
}

/// A row's values are of their types, so that what cannot be read here is not there.
fn kept_as_text(text: &str, ty: ColumnType) -> Cow<'_, str> {
    let written = match ty {
        ColumnType::Real => text.parse().ok().map(java::float_to_string),
        ColumnType::Double => text.parse().ok().map(java::double_to_string),
        ColumnType::Decimal(_) => Some(java::decimal_to_string(text)),
        ColumnType::Numeric => Some(variable_scale(text)),
        ColumnType::Date => epoch_day(text).map(|day| day.to_string()),
        ColumnType::TimeMillis => micros_of_day(text).map(|micros| (micros / 1_000).to_string()),
        ColumnType::TimeMicros => micros_of_day(text).map(|micros| micros.to_string()),
        ColumnType::Array(element) => array_elements(text).map(|elements| array(&elements, *element)),
        _ => None,
    };
    written.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// `["a","b\"c",null]`, as Connect's `Values` writes a list.
fn array(elements: &[Option<String>], ty: ColumnType) -> String {
    let element = |element: &Option<String>| match element {
        None => "null".to_owned(),
        Some(text) if ty == ColumnType::Boolean => if text == "t" { "true" } else { "false" }.to_owned(),
        Some(text) if ty == ColumnType::Text || ty == ColumnType::Uuid => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Some(text) => kept_as_text(text, ty).into_owned(),
    };
    format!("[{}]", elements.iter().map(element).collect::<Vec<_>>().join(","))
}

/// `io.debezium.data.VariableScaleDecimal`, a struct of the scale and the unscaled number, without zeros at the end.
fn variable_scale(plain: &str) -> String {
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let fraction = fraction.trim_end_matches('0');
    let value = BASE64_STANDARD.encode(java::big_integer_bytes(&format!("{whole}{fraction}")));
    format!("{{\"scale\":{},\"value\":\"{value}\"}}", fraction.len())
}
