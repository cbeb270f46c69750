use std::borrow::Cow;

use crate::Error;
use crate::connector::{ConnectorConfig, HeaderConverter, Schemas};
use crate::record::float_to_string;

/// A header that an `InsertHeader` adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InsertedHeader {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

impl InsertedHeader {
    pub(super) fn of(config: &ConnectorConfig, name: &str, converter: HeaderConverter) -> Result<Self, Error> {
        let key = |option: &str| format!("transforms.{name}.{option}");
        let required = |option: &str| {
            let key = key(option);
            let value = config.trimmed(&key).filter(|value| !value.is_empty());
            value.ok_or_else(|| Error::config(key, "", "Kafka Connect rejects an InsertHeader without it"))
        };
        let (header, literal) = (required("header")?, required("value.literal")?);
        let unmodelled = |reason| Err(Error::config(key("value.literal"), literal, reason));
        let Some((kind, text)) = parsed(literal) else {
            return unmodelled("Kafka Connect reads it as a list, a map, a time or nothing, which is not modelled");
        };
        if kind == Kind::Date && converter != HeaderConverter::Text {
            return unmodelled("the JsonConverter writes it as a number of days, which is not modelled");
        }

        let json = || if kind == Kind::Text { serde_json::Value::from(&*text).to_string() } else { text.to_string() };
        let value = match converter {
            HeaderConverter::Text => text.to_string(),
            HeaderConverter::Json(Schemas::Disabled) => json(),
            HeaderConverter::Json(Schemas::Enabled) => {
                format!("{{\"schema\":{{\"type\":\"{}\",\"optional\":false}},\"payload\":{}}}", kind.name(), json())
            }
        };
        Ok(Self { name: header.to_owned(), value: value.into_bytes() })
    }
}

/// The types that Connect gives to texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Date,
    Boolean,
    /// A type, by its name.
    Number(&'static str),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Date => "int32",
            Self::Boolean => "boolean",
            Self::Number(name) => name,
        }
    }
}

/// Returns the type that Connect's `Values.parseString` gives to a text, and the text that it writes back.
fn parsed(literal: &str) -> Option<(Kind, Cow<'_, str>)> {
    let is_ambiguous = literal.contains(['"', '\'', '\\', '{', '[']);
    let is_word = |word: &str| literal.eq_ignore_ascii_case(word);
    match literal {
        "true" | "false" => Some((Kind::Boolean, literal.into())),
        _ if is_ambiguous || ["null", "nan", "true", "false"].into_iter().any(is_word) => None,
        _ if !literal.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) => {
            Some((Kind::Text, literal.into()))
        }
        // A time, or its beginning.
        _ if literal.contains(':') => None,
        _ if is_date(literal) => Some((Kind::Date, literal.into())),
        _ => match literal.parse::<f64>() {
            Ok(number) => self::number(literal, number),
            Err(_) => Some((Kind::Text, literal.into())),
        },
    }
}

fn is_date(literal: &str) -> bool {
    let parts: Vec<&str> = literal.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2] && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the smallest type of a number. Fractions are single-precision.
fn number(literal: &str, number: f64) -> Option<(Kind, Cow<'_, str>)> {
    // Above this, a double cannot represent every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = match literal.parse::<i64>() {
        Ok(whole) => Some(whole),
        Err(_) if number.fract() == 0.0 && number.abs() < EXACT => format!("{number:.0}").parse().ok(),
        Err(_) => None,
    };
    match whole {
        Some(whole) => {
            let kind = match whole {
                -128..=127 => "int8",
                -32_768..=32_767 => "int16",
                -2_147_483_648..=2_147_483_647 => "int32",
                _ => "int64",
            };
            Some((Kind::Number(kind), whole.to_string().into()))
        }
        None if number.fract() == 0.0 => None,
        None => {
            let single: f32 = literal.parse().ok().filter(|single: &f32| single.is_finite())?;
            Some((Kind::Number("float"), float_to_string(single).into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_connect_reads_them() {
        for (literal, kind, written) in [
            ("v1.2", Kind::Text, "v1.2"),
            ("a:b", Kind::Text, "a:b"),
            ("1.0.0", Kind::Text, "1.0.0"),
            ("5L", Kind::Text, "5L"),
            ("1_0", Kind::Text, "1_0"),
            ("2026-01-02", Kind::Date, "2026-01-02"),
            ("true", Kind::Boolean, "true"),
            ("1.0", Kind::Number("int8"), "1"),
            ("100.00", Kind::Number("int8"), "100"),
            ("1e3", Kind::Number("int16"), "1000"),
            ("007", Kind::Number("int8"), "7"),
            ("+5", Kind::Number("int8"), "5"),
            ("-0", Kind::Number("int8"), "0"),
            ("1.25", Kind::Number("float"), "1.25"),
            ("2.10", Kind::Number("float"), "2.1"),
            ("-0.5", Kind::Number("float"), "-0.5"),
            ("3.141592653589793", Kind::Number("float"), "3.1415927"),
            ("9223372036854775807", Kind::Number("int64"), "9223372036854775807"),
        ] {
            assert_eq!(parsed(literal), Some((kind, written.into())), "{literal}");
        }
        for literal in ["12:30:00", "null", "True", "[1,2]", "{a:1}", "\"q\"", "9223372036854775808"] {
            assert_eq!(parsed(literal), None, "{literal}");
        }
    }
}
