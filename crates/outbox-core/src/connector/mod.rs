mod class_names;
mod converter;
mod database_url;
pub(crate) mod header_converter;
mod heartbeat;
mod java_regex;
/// The meaning of every key of a connector's configuration.
pub mod keys;
mod message_prefixes;
mod number_converter;
mod placement;
mod recommended;
mod route;
mod router;
mod secret;
mod table_list;
mod transforms;
mod value_forms;

use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::converter::{KeyConverter, Schemas, ValueConverter, ValueKind};
pub(crate) use self::header_converter::HeaderConverter;
pub use self::heartbeat::HeartbeatRecord;
pub(crate) use self::java_regex::LetterCase;
pub use self::java_regex::{JavaRegex, JavaRegexError};
pub use self::message_prefixes::IncludedMessages;
pub(crate) use self::number_converter::NumberConverter;
pub(crate) use self::placement::{Placed, Placement};
pub(crate) use self::route::TopicRoute;
pub(crate) use self::router::{
    EmptyArrays, EmptyPayload, Expansion, MemberNames, MissingColumn, NullMembers, RouterConfig,
};
pub use self::table_list::IncludedTables;
pub use self::transforms::RowDisposition;
pub(crate) use self::transforms::{
    AfterRouter, DecodedMessages, Passage, RowSource, SchemaMetadata, Transforms, ValueChange,
};
pub(crate) use self::value_forms::{BinaryForm, DecimalForm, IntervalForm, JsonForms, TimePrecision, ValueForms};

use crate::Error;
pub use crate::error::DroppedBy;

/// A connector's configuration: the JSON object that Kafka Connect takes (`PUT /connectors/NAME/config`).
///
/// Every key is kept, in its order, and so are placeholders such as `${env:PASSWORD}`, which Connect resolves.
/// `Debug` hides the values of secrets; serialising writes them.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectorConfig {
    entries: Vec<(String, String)>,
}

impl ConnectorConfig {
    /// Reads the JSON object of `PUT /connectors/NAME/config`, or `{"name": …, "config": {…}}` of `POST /connectors`
    /// and `GET /connectors/NAME`.
    ///
    /// As in Kafka Connect, the last value of a repeated key counts, and the outer name becomes the key `name`. A value
    /// that is null is absent. Other members next to `config` are ignored.
    ///
    /// # Errors
    /// Fails if the text is not such an object, or a value is neither text nor a number nor a boolean.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let error = |e| {
            let reason = match own_fault(&e) {
                Some(fault) => format!("it is not the JSON object that Kafka Connect takes: {fault}"),
                None => "it is not the JSON object that Kafka Connect takes".to_owned(),
            };
            Error::config("(all)", "", reason).caused_by(e)
        };
        match serde_json::from_str(json).map_err(error)? {
            Document::Plain(config) => Ok(config),
            Document::Named(name, config) if config.get("name").is_none() => Ok(config.with("name", name)),
            Document::Named(_, config) => Ok(config),
        }
    }

    /// Returns the JSON object, a key on each line, in the order of the keys.
    #[must_use]
    pub fn to_json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let lines: Vec<_> = self.iter().map(|(key, value)| format!("  {}: {}", quoted(key), quoted(value))).collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// Returns the value of a key, as written.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Returns all keys and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Returns the value of a key as logs and terminals may show it: secrets are replaced, unless they are
    /// placeholders.
    #[must_use]
    pub fn redacted(&self, key: &str) -> Option<&str> {
        self.get(key).map(|value| secret::redacted(key, value))
    }

    /// Sets a key: in its place if it is there, at the end otherwise.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        match self.entries.iter_mut().find(|(name, _)| *name == key) {
            Some((_, slot)) => *slot = value,
            None => self.entries.push((key, value)),
        }
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.entries.retain(|(name, _)| name != key);
        self
    }

    /// Returns the same configuration with the full names of the classes that Kafka Connect knows by a short name, such
    /// as `JsonConverter` and `EventRouter`.
    #[must_use]
    pub fn with_full_class_names(self) -> Self {
        let full = |(key, value): (String, String)| {
            let class = class_names::full_name(&key, value.trim()).to_owned();
            if class == value.trim() { (key, value) } else { (key, class) }
        };
        Self { entries: self.entries.into_iter().map(full).collect() }
    }

    /// Returns the value, trimmed as Connect's parser does, and a class by its full name.
    pub(crate) fn trimmed(&self, key: &str) -> Option<&str> {
        self.get(key).map(|value| class_names::full_name(key, value.trim()))
    }

    pub(crate) fn boolean(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.trimmed(key) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(Error::config(key, value, "it is either true or false")),
        }
    }
}

/// If a key is repeated, the last value counts.
impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for ConnectorConfig {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        entries.into_iter().fold(Self { entries: Vec::new() }, |config, (key, value)| config.with(key, value))
    }
}

impl fmt::Debug for ConnectorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, value)| (key, secret::redacted(key, value)))).finish()
    }
}

impl Serialize for ConnectorConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (key, value) in &self.entries {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ConnectorConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Document::deserialize(deserializer)? {
            Document::Plain(config) => Ok(config),
            Document::Named(..) => {
                Err(D::Error::custom("it is a request that creates a connector, not its configuration"))
            }
        }
    }
}

/// The two forms in which Connect's REST takes a configuration.
enum Document {
    Plain(ConnectorConfig),
    Named(String, ConnectorConfig),
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut outer = ConnectorConfig { entries: Vec::new() };
        let (mut inner, mut unusable) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "config" => inner = Some(map.next_value::<ConnectorConfig>()?),
                _ => match map.next_value::<Member>()? {
                    Member::Scalar(Scalar(value)) => outer = outer.with(key, value),
                    // Connect takes null for a value that is absent.
                    Member::Null(()) => outer = outer.without(&key),
                    Member::Other(_) => unusable = unusable.or(Some(key)),
                },
            }
        }

        match inner {
            None => match unusable {
                Some(key) => {
                    Err(A::Error::custom(format!("{UNUSABLE}{key} is neither text nor a number nor a boolean")))
                }
                None => Ok(Document::Plain(outer)),
            },
            Some(config) => match outer.get("name") {
                Some(name) => Ok(Document::Named(name.to_owned(), config)),
                None => Err(A::Error::custom(NAMELESS)),
            },
        }
    }
}

/// The prefix of an error about a value, which names its key.
const UNUSABLE: &str = "the value of ";
const NAMELESS: &str = "\"config\" is without a \"name\" next to it";

/// Returns an error that this module found. It quotes no value.
fn own_fault(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let is_own = text.starts_with(UNUSABLE) || text.starts_with(NAMELESS);
    is_own.then(|| text.rsplit_once(" at line ").map_or(text.as_str(), |(fault, _)| fault).to_owned())
}

/// A member next to `config`, or of the configuration itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum Member {
    Scalar(Scalar),
    Null(()),
    Other(IgnoredAny),
}

/// Connect accepts numbers and booleans in place of text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a value is text, a number or a boolean")]
        enum Form {
            Text(String),
            Bool(bool),
            Number(serde_json::Number),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::Text(text) => text,
            Form::Bool(value) => value.to_string(),
            Form::Number(number) => number.to_string(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_placeholder_is_kept_in_order() {
        let json = r#"{"z":"1","database.password":"${env:SECRET}","a":"x \"y\"","n":5,"b":true,"unknown.key":""}"#;
        let config = ConnectorConfig::from_json(json).unwrap();
        let keys: Vec<_> = config.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["z", "database.password", "a", "n", "b", "unknown.key"]);
        assert_eq!(config.get("database.password"), Some("${env:SECRET}"));
        assert_eq!((config.get("n"), config.get("b")), (Some("5"), Some("true")));
        assert_eq!(ConnectorConfig::from_json(&config.to_json()).unwrap(), config);
        assert_eq!(ConnectorConfig::from_json(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    }

    #[test]
    fn the_last_value_of_a_repeated_key_counts() {
        let config = ConnectorConfig::from_json(r#"{"a":"1","b":"2","c":"4","a":"3","c":null}"#).unwrap();
        assert_eq!(config.iter().collect::<Vec<_>>(), [("a", "3"), ("b", "2")]);
    }

    #[test]
    fn the_request_that_creates_a_connector_is_read() {
        for json in [
            r#"{"name":"orders","config":{"a":1}}"#,
            r#"{"config":{"a":1},"initial_state":"STOPPED","name":"orders"}"#,
            r#"{"name":"outer","config":{"a":1,"name":"orders"}}"#,
            r#"{"name":"orders","config":{"a":1},"tasks":[{"connector":"orders","task":0}],"type":"source"}"#,
        ] {
            let config = ConnectorConfig::from_json(json).unwrap();
            assert_eq!((config.get("name"), config.get("a")), (Some("orders"), Some("1")), "{json}");
        }
    }

    #[test]
    fn what_connect_would_not_take_is_refused() {
        for json in ["", "[]", "{\"a\":[]}", "{\"config\":{}}", "{\"name\":\"n\",\"config\":\"c\"}"] {
            let error = ConnectorConfig::from_json(json).unwrap_err();
            assert!(error.is_configuration(), "{json}");
            assert!(std::error::Error::source(&error).is_some());
        }
        for (json, fault) in [
            (r#"{"b":"hunter2","a":{"b":"hunter2"}}"#, "the value of a is neither text"),
            (r#"{"name":"n","config":{"a":["hunter2"]}}"#, "the value of a is neither text"),
            (r#"{"config":{"a":"hunter2"}}"#, "without a \"name\""),
        ] {
            let error = ConnectorConfig::from_json(json).unwrap_err().to_string();
            assert!(error.contains(fault) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn debug_hides_secrets_and_shows_placeholders() {
        let config = ConnectorConfig::from_json(
            r#"{"database.password":"hunter2","database.user":"app","x.sasl.jaas.config":"hunter2","k":"v",
                "database.sslpassword":"hunter2","ssl.key":"hunter2","p.password":"${env:P}","q.password":"${env:P}hunter2"}"#,
        )
        .unwrap();
        let debug = format!("{config:?}");
        assert!(!debug.contains("hunter2"), "{debug}");
        assert!(debug.contains("${env:P}") && debug.contains("app"), "{debug}");
        assert_eq!(config.redacted("database.password"), Some("[redacted]"));
        assert_eq!((config.redacted("database.user"), config.redacted("none")), (Some("app"), None));
    }
}
