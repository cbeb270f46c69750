//! Options that several transformations read.

use crate::Error;
use crate::connector::{ConnectorConfig, Placed, Placement, TopicRoute};

/// Returns the class of a transformation; empty if the configuration has none.
pub(super) fn class<'a>(config: &'a ConnectorConfig, name: &str) -> &'a str {
    config.trimmed(&format!("transforms.{name}.type")).unwrap_or_default()
}

/// Returns the names that a key lists.
pub(super) fn listed<'a>(config: &'a ConnectorConfig, key: &str) -> Vec<&'a str> {
    let list = config.trimmed(key).unwrap_or_default();
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// Returns the topics of a RegexRouter.
pub(super) fn regex_router(config: &ConnectorConfig, name: &str) -> Result<TopicRoute, Error> {
    regex_router_of(config, name, ("regex", "replacement"))
}

/// Returns the topics that two options of a transformation describe.
pub(super) fn regex_router_of(
    config: &ConnectorConfig,
    name: &str,
    options: (&str, &str),
) -> Result<TopicRoute, Error> {
    let key = |option: &str| format!("transforms.{name}.{option}");
    let (regex, replacement) = (key(options.0), key(options.1));
    let option = |key: &str| {
        let missing = || Error::config(key, "", "Kafka Connect rejects the transformation without it");
        config.trimmed(key).ok_or_else(missing)
    };
    TopicRoute::new((&regex, &replacement), option(&regex)?, option(&replacement)?)
}

/// Returns whether the router makes values structs.
pub(super) fn is_struct(config: &ConnectorConfig, router: &str) -> bool {
    let expands = config.boolean(&format!("transforms.{router}.table.expand.json.payload"), false).unwrap_or(false);
    let placed = Placed::list(config, &format!("transforms.{router}.table.fields.additional.placement"));
    expands || placed.iter().flatten().any(|placed| placed.placement == Placement::Envelope)
}
