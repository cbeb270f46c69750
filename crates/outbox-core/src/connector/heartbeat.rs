use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::transforms::OfHeartbeat;
use super::{ConnectorConfig, KeyConverter, Schemas, ValueConverter, ValueKind};
use crate::{Error, Record};

/// The record that Debezium writes at each heartbeat of a connector (`heartbeat.interval.ms`), as the converters and
/// the transformations make it.
#[derive(Clone, Debug)]
pub struct HeartbeatRecord {
    topic: String,
    key: Bytes,
    value: Form,
    headers: Vec<(String, Bytes)>,
}

/// The way in which a converter writes a struct.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// The form of Java's `Struct.toString`, which the StringConverter calls.
    Text,
    Json(Schemas),
}

/// A struct whose fields are of one type and never null.
struct Struct<'a> {
    schema: &'a str,
    kind: &'static str,
    /// Names and values, in JSON.
    fields: Vec<(&'a str, String)>,
}

const KEY: &str = "io.debezium.connector.common.ServerNameKey";
const VALUE: &str = "io.debezium.connector.common.Heartbeat";

/// Debezium writes all heartbeats to this partition.
const PARTITION: i32 = 0;

impl HeartbeatRecord {
    /// Reads the form of the heartbeats from a connector's configuration; `None` if a `Filter` drops them.
    ///
    /// # Errors
    /// A converter cannot write heartbeats, which would stop Debezium's task, or a transformation changes them in a way
    /// that is not modelled.
    pub fn from_config(config: &ConnectorConfig) -> Result<Option<Self>, Error> {
        let key = match KeyConverter::of(config, ValueKind::Other)? {
            KeyConverter::String => Form::Text,
            KeyConverter::Json(schemas) => Form::Json(schemas),
            KeyConverter::Bytes | KeyConverter::Number(_) => {
                let reason = "it takes no structs: Debezium's task fails at its first heartbeat";
                let class = config.trimmed("key.converter").unwrap_or_default();
                return Err(Error::config("key.converter", class, reason));
            }
        };
        let value = match ValueConverter::of(config, ValueKind::Other)? {
            ValueConverter::String => Form::Text,
            ValueConverter::Json(schemas) => Form::Json(schemas),
            ValueConverter::Bytes => {
                let reason = "it takes bytes only: Debezium's task fails at its first heartbeat";
                let class = config.trimmed("value.converter").unwrap_or_default();
                return Err(Error::config("value.converter", class, reason));
            }
        };

        let transformed = OfHeartbeat::new(config, config.heartbeat_topic())?;
        Ok(transformed.map(|heartbeat| Self {
            key: written_key(config, key, &heartbeat).into(),
            value,
            topic: heartbeat.topic,
            headers: heartbeat.headers.into_iter().map(|header| (header.name, header.value.into())).collect(),
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
        let value = Struct { schema: VALUE, kind: "int64", fields: vec![("ts_ms", milliseconds.to_string())] };
        record.value = Some(value.write(self.value).into());
        record.headers = self.headers.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        record.timestamp = i64::try_from(milliseconds).ok();
        record
    }
}

fn written_key(config: &ConnectorConfig, form: Form, heartbeat: &OfHeartbeat) -> String {
    let quoted = |text: &str| match form {
        Form::Text => text.to_owned(),
        Form::Json(_) => self::text(text),
    };
    let server = config.trimmed("topic.prefix").unwrap_or_default();
    let added = heartbeat.key_fields.iter().map(|(name, value)| (name.as_str(), quoted(value)));
    let fields = std::iter::once(("serverName", quoted(server))).chain(added).collect();
    let schema = heartbeat.keys_of.as_ref().map(|topic| format!("{topic}.Key"));
    Struct { schema: schema.as_deref().unwrap_or(KEY), kind: "string", fields }.write(form)
}

/// Returns a text in JSON.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Struct<'_> {
    fn write(&self, form: Form) -> String {
        let Self { schema, kind, fields } = self;
        let joined = |write: &dyn Fn(&(&str, String)) -> String| fields.iter().map(write).collect::<Vec<_>>().join(",");
        let json = || format!("{{{}}}", joined(&|(name, value)| format!("{}:{value}", text(name))));

        match form {
            Form::Text => format!("Struct{{{}}}", joined(&|(name, value)| format!("{name}={value}"))),
            Form::Json(Schemas::Disabled) => json(),
            Form::Json(Schemas::Enabled) => {
                let described =
                    joined(&|(name, _)| format!(r#"{{"type":"{kind}","optional":false,"field":{}}}"#, text(name)));
                format!(
                    r#"{{"schema":{{"type":"struct","fields":[{described}],"optional":false,"name":{},"version":1}},"payload":{}}}"#,
                    text(schema),
                    json()
                )
            }
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
