use super::ConnectorConfig;
use crate::Error;

/// How the record's value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueConverter {
    /// `org.apache.kafka.connect.storage.StringConverter`
    String,
    /// `org.apache.kafka.connect.json.JsonConverter`
    Json(Schemas),
    /// Kafka's `ByteArrayConverter`, and Debezium's `BinaryDataConverter`, which differs for records that are no events
    Bytes,
}

/// How the record's key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyConverter {
    String,
    Json(Schemas),
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

impl ValueConverter {
    pub(crate) fn of(config: &ConnectorConfig) -> Result<Self, Error> {
        match class(config, "value.converter")? {
            STRING => Ok(Self::String),
            JSON => schemas(config, "value.converter").map(Self::Json),
            BYTE_ARRAY | BINARY_DATA => Ok(Self::Bytes),
            other => Err(unknown("value.converter", other)),
        }
    }
}

impl KeyConverter {
    pub(crate) fn of(config: &ConnectorConfig) -> Result<Self, Error> {
        match class(config, "key.converter")? {
            STRING => Ok(Self::String),
            JSON => schemas(config, "key.converter").map(Self::Json),
            other => Err(unknown("key.converter", other)),
        }
    }
}

fn class<'a>(config: &'a ConnectorConfig, key: &str) -> Result<&'a str, Error> {
    let absent = "set it in the connector: the worker's default is not part of this configuration";
    config.trimmed(key).ok_or_else(|| Error::config(key, "", absent))
}

fn schemas(config: &ConnectorConfig, converter: &str) -> Result<Schemas, Error> {
    for option in ["decimal.format", "replace.null.with.default"] {
        let key = format!("{converter}.{option}");
        if let Some(value) = config.get(&key) {
            return Err(Error::config(key, value, "this option of the JsonConverter is not modelled"));
        }
    }
    match config.boolean(&format!("{converter}.schemas.enable"), true)? {
        true => Ok(Schemas::Enabled),
        false => Ok(Schemas::Disabled),
    }
}

fn unknown(key: &str, class: &str) -> Error {
    Error::config(
        key,
        class,
        "this converter is not modelled; there are StringConverter and JsonConverter, and for values ByteArrayConverter and BinaryDataConverter",
    )
}
