use super::inserted_header::InsertedHeader;
use super::predicate::Predicate;
use super::{LogicalTopic, Transformation, class, listed, regex_router};
use crate::Error;
use crate::connector::{ConnectorConfig, HeaderConverter, KeyConverter, Schemas, ValueConverter, ValueKind};

/// The heartbeats of a connector after its transformations.
pub(crate) struct OfHeartbeat {
    pub(crate) topic: String,
    pub(crate) headers: Vec<InsertedHeader>,
    /// The topic that names the key's schema, and the fields that were added to the key.
    pub(crate) keys_of: Option<String>,
    pub(crate) key_fields: Vec<(String, String)>,
}

impl OfHeartbeat {
    /// Follows a heartbeat of this topic through the transformations; returns `None` if it is dropped.
    pub(crate) fn new(config: &ConnectorConfig, topic: String) -> Result<Option<Self>, Error> {
        let mut heartbeat = Self { topic, headers: Vec::new(), keys_of: None, key_fields: Vec::new() };
        for name in listed(config, "transforms") {
            let has_header = |name: &str| heartbeat.headers.iter().any(|header| header.name == name);
            if !Predicate::of(config, name)?.holds(&heartbeat.topic, false, has_header)? {
                continue;
            }
            match Transformation::of(config, name) {
                Transformation::Filter => return Ok(None),
                Transformation::RegexRouter => heartbeat.topic = regex_router(config, name)?.topic(&heartbeat.topic)?,
                Transformation::TimestampRouter => {
                    let reason = "heartbeats have no timestamp, and Debezium's task fails at them: restrict it to other topics by \
                                  a predicate";
                    return Err(Error::config(format!("transforms.{name}.type"), class(config, name), reason));
                }
                Transformation::LogicalTopic => {
                    let logical = LogicalTopic::of(config, name)?;
                    if let Some(topic) = logical.topic(&heartbeat.topic)? {
                        heartbeat.key_fields.extend(logical.key_field(&heartbeat.topic)?);
                        heartbeat.keys_of = Some(topic.clone());
                        heartbeat.topic = topic;
                    }
                }
                Transformation::InsertHeader => {
                    heartbeat.headers.push(InsertedHeader::of(config, name, HeaderConverter::of(config)?)?);
                }
                Transformation::DropHeaders => {
                    let dropped = listed(config, &format!("transforms.{name}.headers"));
                    heartbeat.headers.retain(|header| !dropped.contains(&header.name.as_str()));
                }
                // They do not change records that are no change events.
                Transformation::EventRouter
                | Transformation::DecodeMessage
                | Transformation::ExtractNewRecordState
                | Transformation::Tracing
                | Transformation::TimescaleDb => {}
                Transformation::SetSchemaMetadata if !has_schemas(config, name) => {}
                Transformation::SetSchemaMetadata
                | Transformation::ReplaceField
                | Transformation::InsertField
                | Transformation::Other => {
                    let reason = "it may change heartbeats in a way that is not modelled: restrict it to other topics by a \
                                  predicate";
                    return Err(Error::config(format!("transforms.{name}.type"), class(config, name), reason));
                }
            }
        }
        Ok(Some(heartbeat))
    }
}

/// Returns whether the part of the record that a SetSchemaMetadata changes is written with its schema.
fn has_schemas(config: &ConnectorConfig, name: &str) -> bool {
    match class(config, name).ends_with("$Key") {
        true => matches!(KeyConverter::of(config, ValueKind::Other), Ok(KeyConverter::Json(Schemas::Enabled))),
        false => matches!(ValueConverter::of(config, ValueKind::Other), Ok(ValueConverter::Json(Schemas::Enabled))),
    }
}
