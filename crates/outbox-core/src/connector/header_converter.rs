use super::{ConnectorConfig, Schemas};
use crate::Error;

/// The way in which the values of headers are written (`header.converter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderConverter {
    /// Kafka Connect's SimpleHeaderConverter, and the StringConverter for the types that it writes alike
    Text,
    /// `org.apache.kafka.connect.json.JsonConverter`
    Json(Schemas),
}

pub(crate) const KEY: &str = "header.converter";
pub(crate) const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const SIMPLE: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";

impl HeaderConverter {
    pub(crate) fn of(config: &ConnectorConfig) -> Result<Self, Error> {
        match config.trimmed(KEY).unwrap_or(SIMPLE) {
            SIMPLE | STRING => Ok(Self::Text),
            JSON => Ok(Self::Json(match config.boolean(&format!("{KEY}.schemas.enable"), true)? {
                true => Schemas::Enabled,
                false => Schemas::Disabled,
            })),
            bytes if bytes.ends_with(".ByteArrayConverter") || bytes.ends_with(".BinaryDataConverter") => {
                let reason = "Debezium's task fails at each row: the header id is no bytes";
                Err(Error::config(KEY, bytes, reason))
            }
            other => {
                let reason = "this converter is not modelled; there are SimpleHeaderConverter, StringConverter and \
                              JsonConverter";
                Err(Error::config(KEY, other, reason))
            }
        }
    }
}
