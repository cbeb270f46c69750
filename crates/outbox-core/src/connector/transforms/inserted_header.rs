use crate::Error;
use crate::connector::{ConnectorConfig, HeaderConverter, Schemas};

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
        let Some(kind) = kind(literal) else {
            let reason =
                "Kafka Connect reads it as another type than text, a whole number or a boolean, which is not modelled";
            return Err(Error::config(key("value.literal"), literal, reason));
        };

        let json = || if kind == "string" { serde_json::Value::from(literal).to_string() } else { literal.to_owned() };
        let value = match converter {
            HeaderConverter::Text => literal.to_owned(),
            HeaderConverter::Json(Schemas::Disabled) => json(),
            HeaderConverter::Json(Schemas::Enabled) => {
                format!("{{\"schema\":{{\"type\":\"{kind}\",\"optional\":false}},\"payload\":{}}}", json())
            }
        };
        Ok(Self { name: header.to_owned(), value: value.into_bytes() })
    }
}

/// Returns the type that Connect's `Values.parseString` gives to a text, if it writes it back as it is.
fn kind(literal: &str) -> Option<&'static str> {
    let is_number = literal.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    if is_number {
        let number: i64 = literal.parse().ok()?;
        let is_canonical = number.to_string() == literal;
        return is_canonical.then_some(match number {
            -128..=127 => "int8",
            -32_768..=32_767 => "int16",
            -2_147_483_648..=2_147_483_647 => "int32",
            _ => "int64",
        });
    }
    match literal {
        "true" | "false" => Some("boolean"),
        _ if literal.eq_ignore_ascii_case("null") || literal.eq_ignore_ascii_case("nan") => None,
        _ if literal.eq_ignore_ascii_case("true") || literal.eq_ignore_ascii_case("false") => None,
        _ if literal.contains(['"', '\'', '\\', '{', '[']) => None,
        _ => Some("string"),
    }
}
