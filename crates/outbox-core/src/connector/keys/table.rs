use super::finding::KeyFinding;
use super::rule::{KeySupport, Rule, honoured};
use super::{connect, converter, postgres, replication, router};
use crate::{ConnectorConfig, Error};

/// The table of every key that a connector's configuration may have (Debezium 3.7, Kafka Connect 4.3), in which the
/// EventRouter has its own name.
///
/// Of each key it knows what Debezium accepts, what a [`Pipeline`](crate::Pipeline) demands and what `outbox-relay`
/// does.
#[derive(Clone, Debug)]
pub struct KeyTable(Vec<Family>);

/// Rules with the prefix of their keys.
#[derive(Clone, Debug)]
struct Family {
    prefix: String,
    rules: &'static [Rule],
}

/// The rules of the connector's own keys, in the order in which contradictions are reported: the connector's class
/// comes first.
const CONNECTOR: [&[Rule]; 3] = [connect::RULES, replication::RULES, postgres::RULES];

/// The options of another transformation.
const OF_OTHER_TRANSFORMS: &[Rule] = &[honoured("*")];

impl KeyTable {
    /// Creates the table for configurations whose EventRouter is called `router`.
    #[must_use]
    pub fn for_router(router: &str) -> Self {
        let family = |prefix: &str, rules| Family { prefix: prefix.to_owned(), rules };
        Self(vec![
            family("", connect::RULES),
            family("", postgres::RULES),
            family("", replication::RULES),
            family("key.converter", converter::RULES),
            family("value.converter", converter::RULES),
            family(&format!("transforms.{router}."), router::RULES),
        ])
    }

    /// Creates the table for this configuration, which may name other transformations and converters. Without an
    /// EventRouter, the first transformation counts as one.
    #[must_use]
    pub fn for_config(config: &ConnectorConfig) -> Self {
        let transformations = config.trimmed("transforms").unwrap_or_default().split(',').map(str::trim);
        let transformations: Vec<&str> = transformations.filter(|name| !name.is_empty()).collect();
        let mut routers: Vec<&str> = config.routers().collect();
        if routers.is_empty() {
            routers.extend(transformations.first());
        }

        let mut keys = Self::for_router(routers.first().copied().unwrap_or_default());
        for name in transformations.into_iter().filter(|name| Some(name) != routers.first()) {
            let rules = if routers.contains(&name) { router::RULES } else { OF_OTHER_TRANSFORMS };
            keys.0.push(Family { prefix: format!("transforms.{name}."), rules });
        }
        for prefix in ["key.converter", "value.converter"] {
            let is_other =
                |class: &str| !class.starts_with("org.apache.kafka.") && !class.ends_with(".BinaryDataConverter");
            if config.trimmed(prefix).is_some_and(is_other) {
                keys.0.push(Family { prefix: prefix.to_owned(), rules: converter::OF_OTHERS });
            }
        }
        keys
    }

    /// Returns all keys of the table, some of which end in a `*`.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|family| family.rules.iter().map(|rule| format!("{}{}", family.prefix, rule.key)))
    }

    /// Returns what a key means to the relay, if it is in the table.
    #[must_use]
    pub fn support(&self, key: &str) -> Option<KeySupport> {
        self.rule(key).map(|rule| rule.effect)
    }

    /// Returns the findings about the keys of a configuration, in their order. Keys that are in no table are skipped.
    #[must_use]
    pub fn findings_of_present(&self, config: &ConnectorConfig) -> Vec<KeyFinding> {
        let keys = config.iter().map(|(key, _)| key);
        keys.filter_map(|key| self.rule(key)?.finding(key, config.trimmed(key))).collect()
    }

    /// Returns the findings about absent keys whose defaults count.
    #[must_use]
    pub fn findings_of_absent(&self, config: &ConnectorConfig) -> Vec<KeyFinding> {
        let with_default = self.0.iter().flat_map(|Family { prefix, rules }| {
            let rules = rules.iter().filter(|rule| rule.has_default());
            rules.map(move |rule| (format!("{prefix}{}", rule.key), rule))
        });
        let absent = with_default.filter(|(key, _)| config.get(key).is_none());
        absent.filter_map(|(key, rule)| rule.finding(&key, None)).collect()
    }

    /// Returns the contradictions in the connector's own keys: at first those of a pipeline's demands, then the values
    /// that Debezium rejects. Keys that are in no table are skipped, and transformations and converters are not looked
    /// at.
    pub(crate) fn contradictions(config: &ConnectorConfig) -> Vec<Error> {
        let of_demands = CONNECTOR.into_iter().flatten().flat_map(|rule| {
            let present = config.iter().map(|(key, _)| key).filter(|key| rule.is_family() && rule.fits(key).is_some());
            let own = (!rule.is_family()).then_some(rule.key);
            present.chain(own).filter_map(|key| {
                let broken = rule.broken_demand(config.trimmed(key))?;
                Some(Error::config(key, broken.value, broken.reason))
            })
        });
        let mut found: Vec<Error> = of_demands.collect();

        for (key, _) in config.iter() {
            let rules = CONNECTOR.into_iter().flatten().filter_map(|rule| Some((rule.fits(key)?, rule)));
            let Some((rule, value)) = best(rules).zip(config.trimmed(key)) else { continue };
            let is_known = found.iter().any(|error| error.field() == Some(key));
            // The value of a placeholder is known only where the connector runs.
            if is_known || value.contains("${") {
                continue;
            }
            found.extend(rule.rejected_by_debezium(value).map(|reason| Error::config(key, value, reason)));
        }
        found
    }

    fn rule(&self, key: &str) -> Option<&'static Rule> {
        best(self.0.iter().flat_map(|family| {
            let rest = key.strip_prefix(&family.prefix);
            family.rules.iter().filter_map(move |rule| Some((rule.fits(rest?)?, rule)))
        }))
    }
}

/// Returns the most specific of the matching rules.
fn best(fitting: impl Iterator<Item = (usize, &'static Rule)>) -> Option<&'static Rule> {
    fitting.max_by_key(|(length, _)| *length).map(|(_, rule)| rule)
}
