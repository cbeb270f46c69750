use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::transforms::OfHeartbeat;
use super::{ConnectorConfig, KeyConverter, Schemas, Value, ValueConverter};
use crate::{Error, Record};

/// The record that Debezium writes at each heartbeat of a connector (`heartbeat.interval.ms`), as the converters and the
/// transformations make it.
#[derive(Clone, Debug)]
pub struct HeartbeatRecord {
    topic: String,
    key: Bytes,
    value: Form,
    headers: Vec<(String, Bytes)>,
}

/// How a converter writes a struct.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// As Java's `Struct.toString`, which the StringConverter calls.
    Text,
    Json(Schemas),
}

/// A struct with one field, which is never null.
struct OneField {
    schema: &'static str,
    field: &'static str,
    kind: &'static str,
}

const KEY: OneField =
    OneField { schema: "io.debezium.connector.common.ServerNameKey", field: "serverName", kind: "string" };
const VALUE: OneField = OneField { schema: "io.debezium.connector.common.Heartbeat", field: "ts_ms", kind: "int64" };

/// Debezium writes all heartbeats to this partition.
const PARTITION: i32 = 0;

impl HeartbeatRecord {
    /// Reads from a connector's configuration what its heartbeats look like; none if a `Filter` drops them.
    ///
    /// # Errors
    /// A converter cannot write heartbeats, which would stop Debezium's task, or a transformation changes them in a way that is
    /// not modelled.
    pub fn of(config: &ConnectorConfig) -> Result<Option<Self>, Error> {
        let server = config.trimmed("topic.prefix").unwrap_or_default();
        let key = match KeyConverter::of(config)? {
            KeyConverter::String => KEY.write(Form::Text, server),
            KeyConverter::Json(schemas) => {
                KEY.write(Form::Json(schemas), &serde_json::Value::from(server).to_string())
            }
        };
        let value = match ValueConverter::of(config, Value::Other)? {
            ValueConverter::String => Form::Text,
            ValueConverter::Json(schemas) => Form::Json(schemas),
            ValueConverter::Bytes => {
                let reason = "it takes bytes only: Debezium's task fails at its first heartbeat";
                let class = config.trimmed("value.converter").unwrap_or_default();
                return Err(Error::config("value.converter", class, reason));
            }
        };

        let transformed = OfHeartbeat::new(config, config.heartbeat_topic())?;
        Ok(transformed.map(|OfHeartbeat { topic, headers }| Self {
            topic,
            key: key.into(),
            value,
            headers: headers.into_iter().map(|header| (header.name, Bytes::from(header.value))).collect(),
        }))
    }

    /// Returns the topic that the heartbeats are written to.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Returns the record of a heartbeat at this time.
    #[must_use]
    pub fn at(&self, time: SystemTime) -> Record {
        let milliseconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut record = Record::new(&*self.topic);
        record.partition = Some(PARTITION);
        record.key = Some(self.key.clone());
        record.value = Some(VALUE.write(self.value, &milliseconds.to_string()).into());
        record.headers = self.headers.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        record.timestamp = i64::try_from(milliseconds).ok();
        record
    }
}

impl OneField {
    fn write(&self, form: Form, value: &str) -> String {
        let Self { schema, field, kind } = self;
        let json = || format!(r#"{{"{field}":{value}}}"#);
        match form {
            Form::Text => format!("Struct{{{field}={value}}}"),
            Form::Json(Schemas::Disabled) => json(),
            Form::Json(Schemas::Enabled) => format!(
                r#"{{"schema":{{"type":"struct","fields":[{{"type":"{kind}","optional":false,"field":"{field}"}}],"optional":false,"name":"{schema}","version":1}},"payload":{}}}"#,
                json()
            ),
        }
    }
}

impl ConnectorConfig {
    /// Returns the topic of the connector's heartbeats before transformations: `topic.heartbeat.name`, or else
    /// `topic.heartbeat.prefix` before `topic.prefix`.
    pub(crate) fn heartbeat_topic(&self) -> String {
        if let Some(name) = self.trimmed("topic.heartbeat.name").filter(|name| !name.is_empty()) {
            return name.to_owned();
        }
        let prefix = self.trimmed("topic.heartbeat.prefix").unwrap_or("__debezium-heartbeat");
        let delimiter = self.trimmed("topic.delimiter").unwrap_or(".");
        format!("{prefix}{delimiter}{}", self.trimmed("topic.prefix").unwrap_or_default())
    }
}
