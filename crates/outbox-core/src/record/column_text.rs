//! A column's value as text.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

use super::temporal::{Moment, Temporal, zoned_time};
use super::{hstore, instant, interval, java};
use crate::connector::{BinaryForm, DecimalForm, ValueForms};
use crate::layout::{
    Interval, array_elements, bits, bytea, epoch_day, epoch_micros, hstore_pairs, micros_of_day, money,
    zoned_micros_of_day,
};
use crate::{ColumnType, ColumnValue};

/// Returns the column as Connect's SimpleHeaderConverter writes it, and the StringConverter a key.
pub(super) fn text(value: &ColumnValue, ty: ColumnType, forms: ValueForms) -> Option<Cow<'_, str>> {
    Some(match value {
        ColumnValue::Null => return None,
        ColumnValue::Text(text) => kept_as_text(text, ty, forms),
        ColumnValue::Bytes(bytes) => binary(bytes, forms.binary).into(),
        ColumnValue::Uuid(uuid) => uuid.to_string().into(),
        ColumnValue::Integer(number) => number.to_string().into(),
        ColumnValue::Boolean(value) => if *value { "true" } else { "false" }.into(),
        ColumnValue::Instant(at) => match Temporal::of(ty, forms.time) {
            Some(temporal) => temporal.text(Moment::Instant(instant::micros(*at))).into(),
            None => instant::zoned(*at).into(),
        },
    })
}

/// Returns the same as [`text`], in bytes.
pub(super) fn text_bytes(value: &ColumnValue, ty: ColumnType, forms: ValueForms) -> Option<Cow<'_, [u8]>> {
    text(value, ty, forms).map(|text| match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// Writes a value that the row keeps as text. A row holds only values of its columns' types, so every text can be
/// parsed here.
fn kept_as_text(text: &str, ty: ColumnType, forms: ValueForms) -> Cow<'_, str> {
    let temporal = || Temporal::of(ty, forms.time);
    let written = match ty {
        ColumnType::Real => text.parse().ok().map(java::float_to_string),
        ColumnType::Double => text.parse().ok().map(java::double_to_string),
        ColumnType::Decimal(_) | ColumnType::Numeric => decimal(text, ty, forms.decimal),
        ColumnType::Date => temporal().zip(epoch_day(text)).map(|(temporal, day)| temporal.text(Moment::Day(day))),
        ColumnType::TimeMillis | ColumnType::TimeMicros => {
            temporal().zip(micros_of_day(text)).map(|(temporal, micros)| temporal.text(Moment::Time(micros)))
        }
        ColumnType::Interval => Interval::parse(text).map(|value| interval::text(value, forms.interval)),
        ColumnType::Timetz => zoned_micros_of_day(text).map(zoned_time),
        ColumnType::Money => money(text).map(|plain| decimal(&plain, ty, forms.decimal).unwrap_or(plain)),
        ColumnType::Bit => Some(if text == "1" { "true" } else { "false" }.to_owned()),
        ColumnType::Bits => bits(text).map(|bytes| BASE64_STANDARD.encode(bytes)),
        // Elements of arrays.
        ColumnType::Bytea => bytea(text).map(|bytes| binary(&bytes, forms.binary)),
        ColumnType::TimestampMillis | ColumnType::TimestampMicros => {
            temporal().zip(epoch_micros(text)).map(|(temporal, micros)| temporal.text(Moment::Instant(micros)))
        }
        ColumnType::Timestamptz => epoch_micros(text).and_then(instant::from_micros).map(instant::zoned),
        ColumnType::Hstore => hstore_pairs(text).map(hstore::json),
        ColumnType::Array(element) => array_elements(text).map(|elements| array(&elements, *element, forms)),
        _ => None,
    };
    written.map_or(Cow::Borrowed(text), Cow::Owned)
}

fn binary(bytes: &[u8], form: BinaryForm) -> String {
    match form {
        // This is the form in which Connect writes bytes in headers.
        BinaryForm::Bytes | BinaryForm::Base64 => BASE64_STANDARD.encode(bytes),
        BinaryForm::Base64UrlSafe => BASE64_URL_SAFE.encode(bytes),
        BinaryForm::Hex => bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
            _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}

/// Reads the text that [`binary`] returns.
pub(super) fn from_binary(text: &str, form: BinaryForm) -> Option<Vec<u8>> {
    match form {
        BinaryForm::Bytes | BinaryForm::Base64 => BASE64_STANDARD.decode(text).ok(),
        BinaryForm::Base64UrlSafe => BASE64_URL_SAFE.decode(text).ok(),
        BinaryForm::Hex => {
            let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
            let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            pairs.iter().map(byte).collect()
        }
    }
}

fn decimal(plain: &str, ty: ColumnType, form: DecimalForm) -> Option<String> {
    match form {
        DecimalForm::Precise | DecimalForm::Number if ty == ColumnType::Numeric => Some(variable_scale(plain)),
        DecimalForm::Precise | DecimalForm::Number => Some(java::decimal_to_string(plain)),
        DecimalForm::Text => None,
        DecimalForm::Double => plain.parse().ok().map(java::double_to_string),
    }
}

/// Writes `["a","b\"c",null]`, as Connect's `Values` writes a list.
fn array(elements: &[Option<String>], ty: ColumnType, forms: ValueForms) -> String {
    use ColumnType as T;
    let is_text = matches!(ty, T::Text | T::Uuid | T::Json | T::Jsonb | T::Bytea | T::Timestamptz | T::Timetz)
        || (ty.is_decimal() && forms.decimal == DecimalForm::Text)
        || Temporal::of(ty, forms.time).is_some_and(|temporal| temporal == Temporal::Iso);
    let element = |element: &Option<String>| match element {
        None => "null".to_owned(),
        Some(text) if ty == ColumnType::Boolean => if text == "t" { "true" } else { "false" }.to_owned(),
        Some(text) if is_text => {
            let text = kept_as_text(text, ty, forms);
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Some(text) => kept_as_text(text, ty, forms).into_owned(),
    };
    format!("[{}]", elements.iter().map(element).collect::<Vec<_>>().join(","))
}

/// Writes `io.debezium.data.VariableScaleDecimal`, a struct of the scale and the unscaled number, without zeros at the
/// end.
fn variable_scale(plain: &str) -> String {
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let fraction = fraction.trim_end_matches('0');
    let value = BASE64_STANDARD.encode(java::big_integer_bytes(&format!("{whole}{fraction}")));
    format!("{{\"scale\":{},\"value\":\"{value}\"}}", fraction.len())
}
