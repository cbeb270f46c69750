//! The one table of every key that a connector's configuration may have (Debezium 3.7, Kafka Connect 4.3).

mod connect;
mod converter;
mod postgres;
mod replication;
mod router;

use super::finding::{Finding, Findings};
use super::resolved::Resolved;
use super::rule::{KeySupport, Rule, honoured};

/// Rules, and what stands before their keys.
struct Family {
    prefix: String,
    rules: &'static [Rule],
}

/// The table for a configuration, in which the EventRouter has its own name.
pub(super) struct Keys(Vec<Family>);

/// The policy for keys that are in no table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UnknownKeys {
    #[default]
    Warned,
    Rejected,
}

/// The options of another transformation.
const OF_OTHER_TRANSFORMS: &[Rule] = &[honoured("*")];

impl Keys {
    pub(super) fn of(router: &str) -> Self {
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

    /// Returns the table for this configuration, which may name other transformations and converters.
    pub(super) fn in_config(config: &Resolved) -> Self {
        let routers = config.routers();
        let mut keys = Self::of(routers.first().copied().unwrap_or_default());
        for name in config.transformations().filter(|name| Some(name) != routers.first()) {
            let rules = if routers.contains(&name) { router::RULES } else { OF_OTHER_TRANSFORMS };
            keys.0.push(Family { prefix: format!("transforms.{name}."), rules });
        }
        for prefix in ["key.converter", "value.converter"] {
            let is_other =
                |class: &str| !class.starts_with("org.apache.kafka.") && !class.ends_with(".BinaryDataConverter");
            if config.get(prefix).is_some_and(is_other) {
                keys.0.push(Family { prefix: prefix.to_owned(), rules: converter::OF_OTHERS });
            }
        }
        keys
    }

    /// Returns all keys of the table, some of which end in a `*`.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|family| family.rules.iter().map(|rule| format!("{}{}", family.prefix, rule.key)))
    }

    /// Returns what the table says of a key, if it is in it.
    pub(super) fn effect(&self, key: &str) -> Option<KeySupport> {
        self.rule(key).map(|rule| rule.effect)
    }

    /// Checks every key of the configuration, and those that are absent and would harm by their default.
    pub(super) fn check(&self, config: &Resolved, unknown: UnknownKeys, findings: &mut Findings) {
        let mut strangers = Vec::new();
        for (key, _) in config.iter() {
            match self.rule(key) {
                Some(rule) => rule.check(config, key, findings),
                None => strangers.push(key),
            }
        }
        if !strangers.is_empty() {
            let reason =
                "not known of Kafka Connect, Debezium's PostgreSQL connector, the EventRouter or their converters";
            let finding = Finding::new(strangers.join(", "), reason);
            match unknown {
                UnknownKeys::Warned => findings.warn(finding),
                UnknownKeys::Rejected => findings.reject(finding.with_remedy("correct or remove it")),
            }
        }

        for Family { prefix, rules } in &self.0 {
            for rule in rules.iter().filter(|rule| rule.has_default()) {
                let key = format!("{prefix}{}", rule.key);
                if config.get(&key).is_none() {
                    rule.check(config, &key, findings);
                }
            }
        }
    }

    /// Returns the rule that fits best.
    fn rule(&self, key: &str) -> Option<&'static Rule> {
        let fitting = self.0.iter().flat_map(|family| {
            let rest = key.strip_prefix(&family.prefix);
            family.rules.iter().filter_map(move |rule| Some((rule.fits(rest?)?, rule)))
        });
        fitting.max_by_key(|(length, _)| *length).map(|(_, rule)| rule)
    }
}
