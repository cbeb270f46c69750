use std::str;

use outbox_core::bytes::Bytes;
use outbox_core::layout::{ColumnType, ColumnValue};
use outbox_core::uuid::Uuid;

use super::error::BadValue;
use super::instant;

/// Reads a value in PostgreSQL's text form.
pub(super) fn parse(ty: ColumnType, text: &[u8]) -> Result<ColumnValue, BadValue> {
    match ty {
        ColumnType::Uuid => Uuid::try_parse_ascii(text).map(ColumnValue::Uuid).map_err(|_| BadValue::Form),
        ColumnType::Bytea => bytea(text).map(ColumnValue::Bytes),
        ColumnType::Integer => utf8(text)?.parse().map(ColumnValue::Integer).map_err(|_| BadValue::Form),
        ColumnType::Boolean => match text {
            b"t" => Ok(ColumnValue::Boolean(true)),
            b"f" => Ok(ColumnValue::Boolean(false)),
            _ => Err(BadValue::Form),
        },
        ColumnType::TimestampMillis | ColumnType::TimestampMicros | ColumnType::Timestamptz => {
            instant::parse(text).map(ColumnValue::Instant)
        }
        // Text, varchar, json and jsonb, and what may come later: its text.
        _ => utf8(text).map(|text| ColumnValue::Text(text.to_owned())),
    }
}

fn utf8(text: &[u8]) -> Result<&str, BadValue> {
    str::from_utf8(text).map_err(|_| BadValue::Form)
}

/// Reads both forms of `bytea_output`. They cannot be taken for each other: `escape` writes a backslash as two.
fn bytea(text: &[u8]) -> Result<Bytes, BadValue> {
    match text.strip_prefix(b"\\x") {
        Some(digits) => hex(digits),
        None => escaped(text),
    }
}

fn hex(digits: &[u8]) -> Result<Bytes, BadValue> {
    let (pairs, []) = digits.as_chunks::<2>() else { return Err(BadValue::Form) };
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    bytes.map(Bytes::from).ok_or(BadValue::Form)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn escaped(mut text: &[u8]) -> Result<Bytes, BadValue> {
    let mut bytes = Vec::with_capacity(text.len());
    loop {
        text = match text {
            [] => return Ok(bytes.into()),
            [b'\\', b'\\', rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            [b'\\', ..] => return Err(BadValue::Form),
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_that_are_not_of_their_type() {
        for (ty, text) in [
            (ColumnType::Uuid, "x"),
            (ColumnType::Integer, "2147483648"),
            (ColumnType::Boolean, "true"),
            (ColumnType::Bytea, "\\x0"),
            (ColumnType::Bytea, "\\x0g"),
            (ColumnType::Bytea, "\\400"),
            (ColumnType::Bytea, "\\1"),
        ] {
            assert_eq!(parse(ty, text.as_bytes()), Err(BadValue::Form), "{text}");
        }
        assert_eq!(parse(ColumnType::Text, b"\xff"), Err(BadValue::Form));
    }

    proptest! {
        #[test]
        fn both_forms_of_bytea(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let escape: Vec<u8> = bytes.iter().flat_map(|byte| match byte {
                b'\\' => b"\\\\".to_vec(),
                0x20..=0x7e => vec![*byte],
                _ => format!("\\{byte:03o}").into_bytes(),
            }).collect();
            let expected = ColumnValue::Bytes(bytes.into());
            prop_assert_eq!(parse(ColumnType::Bytea, format!("\\x{hex}").as_bytes()), Ok(expected.clone()));
            prop_assert_eq!(parse(ColumnType::Bytea, &escape), Ok(expected));
        }
    }
}
