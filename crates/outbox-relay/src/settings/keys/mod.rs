//! The one table of every key that a connector's configuration may have (Debezium 3.7, Kafka Connect 4.3).

mod connect;
mod converter;
mod postgres;
mod replication;
mod router;

use std::collections::BTreeSet;

use super::SettingsError;
use super::resolved::Resolved;
use super::rule::{KeyEffect, Rule};

/// Rules, and what stands before their keys.
struct Family {
    prefix: String,
    rules: &'static [Rule],
}

/// The table for a configuration, in which the EventRouter has a name of its own.
pub(super) struct Keys(Vec<Family>);

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

    /// Returns all keys of the table, some of which end in a `*`.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|family| family.rules.iter().map(|rule| format!("{}{}", family.prefix, rule.key)))
    }

    /// What the table says of a key, if it is in it.
    pub(super) fn effect(&self, key: &str) -> Option<KeyEffect> {
        self.rule(key).map(|rule| rule.effect)
    }

    /// Checks every key of the configuration, and those that are absent and would harm by their default.
    pub(super) fn check(&self, config: &Resolved, accepted: &BTreeSet<String>) -> Result<(), SettingsError> {
        for (key, _) in config.iter() {
            match self.rule(key) {
                Some(rule) => rule.check(config, key)?,
                None if accepted.contains(key) => {}
                None => return Err(SettingsError::unknown(key)),
            }
        }
        for Family { prefix, rules } in &self.0 {
            for rule in rules.iter().filter(|rule| rule.has_default()) {
                rule.check(config, &format!("{prefix}{}", rule.key))?;
            }
        }
        Ok(())
    }

    /// The rule that fits best.
    fn rule(&self, key: &str) -> Option<&'static Rule> {
        let fitting = self.0.iter().flat_map(|family| {
            let rest = key.strip_prefix(&family.prefix);
            family.rules.iter().filter_map(move |rule| Some((rule.fits(rest?)?, rule)))
        });
        fitting.max_by_key(|(length, _)| *length).map(|(_, rule)| rule)
    }
}
