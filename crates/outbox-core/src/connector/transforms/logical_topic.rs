use super::options::{class, regex_router_of};
use crate::Error;
use crate::connector::{ConnectorConfig, TopicRoute};

/// Debezium's `ByLogicalTableRouter` and its successor `ToLogicalTopicRouter`: it gives records another topic, by which
/// it also names their schemas, and adds a field to keys. It accepts only structs as keys.
pub(super) struct LogicalTopic {
    pub(super) route: TopicRoute,
    key_field: Option<KeyField>,
}

/// The field that distinguishes the keys of tables that share a topic.
struct KeyField {
    name: String,
    /// The value for each topic; the topic itself if there is none.
    route: Option<TopicRoute>,
}

const BY_TABLE: &str = "io.debezium.transforms.ByLogicalTableRouter";
const TO_TOPIC: &str = "io.debezium.transforms.ToLogicalTopicRouter";

/// Returns whether this class is one of the two.
pub(super) fn is_logical_topic_router(class: &str) -> bool {
    [BY_TABLE, TO_TOPIC].contains(&class)
}

impl LogicalTopic {
    pub(super) fn of(config: &ConnectorConfig, name: &str) -> Result<Self, Error> {
        let key = |option: &str| format!("transforms.{name}.{option}");
        let text = |option: &str| config.trimmed(&key(option)).filter(|value| !value.is_empty());
        if let Some(mode) = text("schema.name.adjustment.mode").filter(|mode| !mode.eq_ignore_ascii_case("none")) {
            let reason = "with it, Debezium changes the names of schemas, which is not modelled";
            return Err(Error::config(key("schema.name.adjustment.mode"), mode, reason));
        }

        let route = regex_router_of(config, name, ("topic.regex", "topic.replacement"))?;
        let identifier = match (text("key.field.regex"), text("key.field.replacement")) {
            (None, _) => None,
            (Some(_), Some(_)) => Some(regex_router_of(config, name, ("key.field.regex", "key.field.replacement"))?),
            (Some(_), None) => {
                let reason = "Debezium rejects key.field.regex without it";
                return Err(Error::config(key("key.field.replacement"), "", reason));
            }
        };

        let default = match class(config, name) {
            BY_TABLE => "__dbz__physicalTableIdentifier",
            _ => "__dbz__sourceIdentifier",
        };
        let is_added = config.boolean(&key("key.enforce.uniqueness"), true)?;
        let field = KeyField { name: text("key.field.name").unwrap_or(default).to_owned(), route: identifier };
        Ok(Self { route, key_field: is_added.then_some(field) })
    }

    /// Returns the new topic of records; `None` if they are unchanged.
    pub(super) fn topic(&self, topic: &str) -> Result<Option<String>, Error> {
        Ok(self.route.matched(topic)?.filter(|new| !new.is_empty()))
    }

    /// Returns the name and the value of the field that is added to the keys of a topic.
    pub(super) fn key_field(&self, topic: &str) -> Result<Option<(String, String)>, Error> {
        let Some(field) = &self.key_field else { return Ok(None) };
        let value = field.route.as_ref().map_or_else(|| Ok(topic.to_owned()), |route| route.topic(topic))?;
        Ok(Some((field.name.clone(), value)))
    }
}
