use super::Finding;
use super::finding::Findings;
use super::resolved::Resolved;

/// The meaning of a key of a connector's configuration for the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySupport {
    /// The relay does what it says.
    Honoured,
    /// It changes no record of an event: the relay has other means, or none of what it tunes.
    Ignored,
    /// The relay cannot do what it says.
    Refused,
}

/// The rule of one key, or of all that a `*` at its end stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) key: &'static str,
    pub(super) effect: KeySupport,
    values: Values,
    /// The values that Debezium takes; empty if it takes any.
    words: &'static [&'static str],
    /// The least number that Debezium takes, if it takes whole numbers only.
    least: Option<i64>,
    remedy: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Values {
    /// Any, or those that the pipeline takes.
    Any,
    /// None.
    Never { reason: &'static str },
    /// These; `default` is what counts where the key is absent.
    Only { default: &'static str, values: &'static [&'static str], reason: &'static str },
    /// Any, with a warning unless the value is one of these.
    Noted { default: &'static str, quiet: &'static [&'static str], reason: &'static str },
}

/// The remedy unless a rule has another.
const REMOVE: &str = "remove the key";

const fn rule(key: &'static str, effect: KeySupport, values: Values) -> Rule {
    Rule { key, effect, values, words: &[], least: None, remedy: REMOVE }
}

pub(super) const fn honoured(key: &'static str) -> Rule {
    rule(key, KeySupport::Honoured, Values::Any)
}

pub(super) const fn without_effect(key: &'static str) -> Rule {
    rule(key, KeySupport::Ignored, Values::Any)
}

pub(super) const fn refused(key: &'static str, reason: &'static str) -> Rule {
    rule(key, KeySupport::Refused, Values::Never { reason })
}

/// Accepts only these values: with other values than these, it is refused.
pub(super) const fn only(
    key: &'static str,
    default: &'static str,
    values: &'static [&'static str],
    reason: &'static str,
) -> Rule {
    rule(key, KeySupport::Honoured, Values::Only { default, values, reason })
}

/// Accepts other values with a warning: with other values than these, the relay differs from Debezium and warns.
pub(super) const fn noted(
    key: &'static str,
    default: &'static str,
    quiet: &'static [&'static str],
    reason: &'static str,
) -> Rule {
    rule(key, KeySupport::Ignored, Values::Noted { default, quiet, reason })
}

impl Rule {
    /// Sets what to do about a refused value.
    pub(super) const fn remedy(self, remedy: &'static str) -> Self {
        Self { remedy, ..self }
    }

    /// Sets the values that Debezium takes. It rejects others, and so does the relay.
    pub(super) const fn among(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    /// Sets that Debezium takes whole numbers only, from this one on.
    pub(super) const fn at_least(self, least: i64) -> Self {
        Self { least: Some(least), ..self }
    }

    /// Sets that Debezium takes `true` and `false` only.
    pub(super) const fn boolean(self) -> Self {
        self.among(&["true", "false"])
    }

    /// Sets that the relay does what the key says, and warns nevertheless.
    pub(super) const fn with_effect(self) -> Self {
        Self { effect: KeySupport::Honoured, ..self }
    }

    /// Returns how well the rule's key fits: the length of what they share, if it fits at all.
    pub(super) fn fits(&self, key: &str) -> Option<usize> {
        match self.key.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix).then_some(prefix.len()),
            None => (self.key == key).then_some(usize::MAX),
        }
    }

    /// Checks the key's value in a configuration, where `key` may be longer than the rule's own.
    pub(super) fn check(&self, config: &Resolved, key: &str, findings: &mut Findings) {
        let is_among =
            |value: &str| self.words.is_empty() || self.words.iter().any(|word| word.eq_ignore_ascii_case(value));
        if config.get(key).is_some_and(|value| !is_among(value)) {
            let reason = format!("Debezium rejects this value: it is one of {}", self.words.join(", "));
            return findings.reject(Finding::new(key, reason));
        }
        let is_number = |value: &str, least| value.parse::<i64>().is_ok_and(|number| number >= least);
        if let (Some(least), Some(value)) = (self.least, config.get(key))
            && !is_number(value, least)
        {
            let reason = format!("Debezium rejects this value: it is a whole number of at least {least}");
            return findings.reject(Finding::new(key, reason));
        }
        let (default, known, reason) = match self.values {
            Values::Any => return,
            Values::Never { reason } => ("", &[][..], reason),
            Values::Only { default, values, reason } => (default, values, reason),
            Values::Noted { default, quiet, reason } => (default, quiet, reason),
        };
        let given = config.get(key);
        let is_known = |value: &str| known.iter().any(|allowed| allowed.eq_ignore_ascii_case(value));
        if is_known(given.unwrap_or(default)) {
            return;
        }

        let finding = match given {
            Some(_) => Finding::new(key, reason),
            None => Finding::new(key, format!("it is absent, its default is {default}, and {reason}")),
        };
        match self.values {
            Values::Noted { .. } => findings.warn(finding),
            _ => findings.reject(finding.with_remedy(self.remedy)),
        }
    }

    /// Returns whether an absent key is looked at as well.
    pub(super) fn has_default(&self) -> bool {
        matches!(self.values, Values::Only { .. } | Values::Noted { .. }) && !self.key.ends_with('*')
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::{ConnectorConfig, TableLayout};

    use crate::RelaySettings;

    fn check(key: &str, value: &str) -> crate::ConfigurationCheck {
        let config = ConnectorConfig::recommended(&TableLayout::recommended()).with(key, value);
        RelaySettings::builder(config, ["k:1"]).check()
    }

    #[test]
    fn values_that_debezium_rejects_are_rejected() {
        for (key, value, reason) in [
            ("tombstones.on.delete", "no", "one of true, false"),
            ("poll.interval.ms", "0", "at least 1"),
            ("tasks.max", "many", "at least 1"),
            ("max.queue.size", "2048", "larger than max.batch.size"),
            (
                "topic.naming.strategy",
                "io.debezium.schema.DefaultRegexTopicNamingStrategy",
                "topics that predicates see",
            ),
            ("lsn.flush.mode", "never", "one of connector, connector_and_driver, manual"),
        ] {
            let check = check(key, value);
            let finding = check.rejected().iter().find(|finding| finding.key() == key).unwrap();
            assert!(finding.reason().contains(reason), "{finding}");
        }
    }

    #[test]
    fn values_with_another_effect_are_a_warning() {
        for (key, value, reason) in [
            ("lsn.flush.mode", "manual", "confirms what it has written"),
            ("flush.lsn.source", "false", "confirms what it has written"),
            ("database.sslmode", "allow", "an encrypted connection first"),
        ] {
            let check = check(key, value);
            let finding = check.warnings().iter().find(|finding| finding.key() == key).unwrap();
            assert!(check.is_accepted() && finding.reason().contains(reason), "{finding}");
        }
    }
}
