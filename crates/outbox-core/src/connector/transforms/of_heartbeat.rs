use super::inserted_header::InsertedHeader;
use super::predicate::Predicate;
use super::{Transformation, class, listed, regex_router};
use crate::Error;
use crate::connector::{ConnectorConfig, HeaderConverter};

/// What the transformations of a connector make of its heartbeats.
pub(crate) struct OfHeartbeat {
    pub(crate) topic: String,
    pub(crate) headers: Vec<InsertedHeader>,
}

impl OfHeartbeat {
    /// Follows a heartbeat of this topic through the transformations; returns none if it is dropped.
    pub(crate) fn new(config: &ConnectorConfig, topic: String) -> Result<Option<Self>, Error> {
        let mut heartbeat = Self { topic, headers: Vec::new() };
        for name in listed(config, "transforms") {
            let has_header = |name: &str| heartbeat.headers.iter().any(|header| header.name == name);
            if !Predicate::of(config, name)?.holds(&heartbeat.topic, false, has_header) {
                continue;
            }
            match Transformation::of(config, name) {
                Transformation::Filter => return Ok(None),
                Transformation::RegexRouter => heartbeat.topic = regex_router(config, name)?.topic(&heartbeat.topic),
                Transformation::InsertHeader => {
                    heartbeat.headers.push(InsertedHeader::of(config, name, HeaderConverter::of(config)?)?);
                }
                Transformation::DropHeaders => {
                    let dropped = listed(config, &format!("transforms.{name}.headers"));
                    heartbeat.headers.retain(|header| !dropped.contains(&header.name.as_str()));
                }
                // They leave alone what is no change event.
                Transformation::EventRouter | Transformation::ExtractNewRecordState | Transformation::Tracing => {}
                Transformation::SetSchemaMetadata if !has_schemas(config, name) => {}
                Transformation::SetSchemaMetadata | Transformation::Other => {
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
    let part = if class(config, name).ends_with("$Key") { "key" } else { "value" };
    config.boolean(&format!("{part}.converter.schemas.enable"), true).unwrap_or(true)
}
