use super::{ConnectorConfig, NumberConverter};
use crate::Error;

/// The way in which the record's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueConverter {
    /// `org.apache.kafka.connect.storage.StringConverter`
    String,
    /// `org.apache.kafka.connect.json.JsonConverter`
    Json(Schemas),
    /// Kafka's `ByteArrayConverter`, and Debezium's `BinaryDataConverter`, which differs for records that are no events
    Bytes,
}

/// The way in which the record's key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyConverter {
    String,
    Json(Schemas),
    Number(NumberConverter),
    /// Kafka's `ByteArrayConverter`, and Debezium's `BinaryDataConverter` without a delegate.
    Bytes,
}

/// The option `schemas.enable` of the JsonConverter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schemas {
    Enabled,
    Disabled,
}

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const BYTE_ARRAY: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
const BINARY_DATA: &str = "io.debezium.converters.BinaryDataConverter";

/// The option of the BinaryDataConverter that names the converter of everything that is not bytes.
pub(super) const DELEGATE: &str = ".delegate.converter.type";

impl ValueConverter {
    /// Reads the converter of values, which are bytes or something else.
    pub(crate) fn of(config: &ConnectorConfig, value: ValueKind) -> Result<Self, Error> {
        let key = "value.converter";
        match class(config, key)? {
            STRING => Ok(Self::String),
            JSON => schemas(config, key).map(Self::Json),
            BYTE_ARRAY => Ok(Self::Bytes),
            BINARY_DATA => match (value, config.trimmed(&format!("{key}{DELEGATE}"))) {
                (ValueKind::Other, Some(STRING)) => Ok(Self::String),
                (ValueKind::Other, Some(JSON)) => schemas(config, &format!("{key}{DELEGATE}")).map(Self::Json),
                _ => Ok(Self::Bytes),
            },
            other => Err(unknown(key, other)),
        }
    }
}

/// The form of a value before it is converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Bytes,
    Other,
}

impl KeyConverter {
    /// Reads the converter of keys, which are bytes or something else.
    pub(crate) fn of(config: &ConnectorConfig, value: ValueKind) -> Result<Self, Error> {
        let key = "key.converter";
        match class(config, key)? {
            STRING => Ok(Self::String),
            JSON => schemas(config, key).map(Self::Json),
            BYTE_ARRAY => Ok(Self::Bytes),
            BINARY_DATA => match value {
                ValueKind::Bytes => Ok(Self::Bytes),
                ValueKind::Other => Self::delegate(config, &format!("{key}{DELEGATE}")),
            },
            other => NumberConverter::of_class(other).map(Self::Number).ok_or_else(|| unknown(key, other)),
        }
    }

    /// Returns the delegate, which writes every key that is not bytes.
    fn delegate(config: &ConnectorConfig, key: &str) -> Result<Self, Error> {
        match config.trimmed(key) {
            Some(STRING) => Ok(Self::String),
            Some(JSON) => schemas(config, key).map(Self::Json),
            None => {
                Err(Error::config(key, "", "the BinaryDataConverter needs a converter for keys, which are not bytes"))
            }
            Some(other) => Err(unknown(key, other)),
        }
    }
}

fn class<'a>(config: &'a ConnectorConfig, key: &str) -> Result<&'a str, Error> {
    let absent = "set it in the connector: the worker's default is not part of this configuration";
    config.trimmed(key).ok_or_else(|| Error::config(key, "", absent))
}

/// Reads `schemas.enable`. `replace.null.with.default` changes nothing, because the router has replaced NULL by a
/// column's default already.
fn schemas(config: &ConnectorConfig, converter: &str) -> Result<Schemas, Error> {
    config.boolean(&format!("{converter}.replace.null.with.default"), true)?;
    match config.boolean(&format!("{converter}.schemas.enable"), true)? {
        true => Ok(Schemas::Enabled),
        false => Ok(Schemas::Disabled),
    }
}

fn unknown(key: &str, class: &str) -> Error {
    Error::config(
        key,
        class,
        "this converter is not modelled; there are StringConverter, JsonConverter, ByteArrayConverter and \
         BinaryDataConverter, and for keys those of numbers, such as LongConverter",
    )
}
