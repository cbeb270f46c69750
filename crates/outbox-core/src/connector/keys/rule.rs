use super::demand::{Broken, Demand};
use super::finding::{KeyFinding, KeySeverity};

/// The meaning of a key of a connector's configuration for `outbox-relay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeySupport {
    /// The relay honours it.
    Honoured,
    /// It changes no record of an event: the relay has other means, or lacks the part that it tunes.
    Ignored,
    /// The relay cannot honour it.
    Refused,
}

/// The rule of one key, or of all keys that a pattern ending in `*` matches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) key: &'static str,
    pub(super) effect: KeySupport,
    /// The values that the relay takes.
    values: Values,
    /// The demands of a pipeline; the first that is broken counts.
    demands: &'static [Demand],
    /// The values that Debezium takes; empty if it takes any.
    words: &'static [&'static str],
    /// The least number that Debezium takes, if it takes whole numbers only.
    least: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
enum Values {
    /// Any, or those that the pipeline takes.
    Any,
    /// None.
    Never { reason: &'static str },
    /// These; `default` counts if the key is absent.
    Only { default: &'static str, values: &'static [&'static str], reason: &'static str },
    /// Any, with a warning unless the value is one of these.
    Noted { default: &'static str, quiet: &'static [&'static str], reason: &'static str },
}

/// The remedy for a refused value.
const REMOVE: &str = "remove the key";

const fn rule(key: &'static str, effect: KeySupport, values: Values) -> Rule {
    Rule { key, effect, values, demands: &[], words: &[], least: None }
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
    /// Sets the values that Debezium takes. It rejects others, and so does the relay.
    pub(super) const fn among(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    /// Sets that Debezium takes whole numbers only, from this one on.
    pub(super) const fn at_least(self, least: i64) -> Self {
        Self { least: Some(least), ..self }
    }

    /// Sets that Debezium takes whole numbers only.
    pub(super) const fn number(self) -> Self {
        self.at_least(i64::MIN)
    }

    /// Sets that Debezium takes `true` and `false` only.
    pub(super) const fn boolean(self) -> Self {
        self.among(&["true", "false"])
    }

    /// Sets that the relay honours the key and also logs a warning.
    pub(super) const fn with_effect(self) -> Self {
        Self { effect: KeySupport::Honoured, ..self }
    }

    /// Sets the demands of a pipeline.
    pub(super) const fn demands(self, demands: &'static [Demand]) -> Self {
        Self { demands, ..self }
    }

    /// Returns how specific the match of the rule's key is, as the length of the common prefix; `None` if it does not
    /// match.
    pub(super) fn fits(&self, key: &str) -> Option<usize> {
        match self.key.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix).then_some(prefix.len()),
            None => (self.key == key).then_some(usize::MAX),
        }
    }

    /// Returns why Debezium rejects a value, if it does.
    pub(super) fn rejected_by_debezium(&self, value: &str) -> Option<String> {
        let is_among = self.words.is_empty() || self.words.iter().any(|word| word.eq_ignore_ascii_case(value));
        if !is_among {
            return Some(format!("Debezium rejects this value: it is one of {}", self.words.join(", ")));
        }
        let is_number = |least| value.parse::<i64>().is_ok_and(|number| number >= least);
        let least = self.least.filter(|least| !is_number(*least))?;
        Some(match least {
            i64::MIN => "Debezium rejects this value: it is a whole number".to_owned(),
            least => format!("Debezium rejects this value: it is a whole number of at least {least}"),
        })
    }

    /// Returns the first demand of a pipeline that a value breaks; none is the value of an absent key.
    pub(super) fn broken_demand<'a>(&self, value: Option<&'a str>) -> Option<Broken<'a>> {
        self.demands.iter().find_map(|demand| demand.broken_by(value))
    }

    /// Returns the finding about a key; `key` may be longer than the rule's own key.
    pub(super) fn finding(&self, key: &str, given: Option<&str>) -> Option<KeyFinding> {
        if let Some(reason) = given.and_then(|value| self.rejected_by_debezium(value)) {
            return Some(KeyFinding::new(key, reason, KeySeverity::Rejected));
        }
        let (default, known, reason, severity) = match self.values {
            Values::Any => return None,
            Values::Never { reason } => ("", &[][..], reason, KeySeverity::Rejected),
            Values::Only { default, values, reason } => (default, values, reason, KeySeverity::Rejected),
            Values::Noted { default, quiet, reason } => (default, quiet, reason, KeySeverity::Warned),
        };
        let is_known = |value: &str| known.iter().any(|allowed| allowed.eq_ignore_ascii_case(value));
        if is_known(given.unwrap_or(default)) {
            return None;
        }

        let reason = match given {
            Some(_) => reason.to_owned(),
            None => format!("it is absent, its default is {default}, and {reason}"),
        };
        let finding = KeyFinding::new(key, reason, severity);
        Some(if severity == KeySeverity::Rejected { finding.with_remedy(REMOVE) } else { finding })
    }

    /// Returns whether the rule is that of all keys that begin with its own.
    pub(super) fn is_family(&self) -> bool {
        self.key.ends_with('*')
    }

    /// Returns whether the rule also covers an absent key.
    pub(super) fn has_default(&self) -> bool {
        matches!(self.values, Values::Only { .. } | Values::Noted { .. }) && !self.is_family()
    }
}
