use super::SettingsError;
use super::resolved::Resolved;

/// What a key of a connector's configuration means to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyEffect {
    /// The relay does what it says.
    Honoured,
    /// It changes no record of an event: the relay has other means, or none of what it tunes.
    WithoutEffect,
    /// The relay cannot do what it says.
    Refused,
}

/// What the table says of one key, or of all that a `*` at its end stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) key: &'static str,
    pub(super) effect: KeyEffect,
    values: Values,
}

#[derive(Clone, Copy, Debug)]
enum Values {
    /// Any, or those that the pipeline takes.
    Any,
    /// None.
    Never { reason: &'static str },
    /// These; `default` is what counts where the key is absent.
    Only { default: &'static str, values: &'static [&'static str], reason: &'static str },
}

pub(super) const fn honoured(key: &'static str) -> Rule {
    Rule { key, effect: KeyEffect::Honoured, values: Values::Any }
}

pub(super) const fn without_effect(key: &'static str) -> Rule {
    Rule { key, effect: KeyEffect::WithoutEffect, values: Values::Any }
}

pub(super) const fn refused(key: &'static str, reason: &'static str) -> Rule {
    Rule { key, effect: KeyEffect::Refused, values: Values::Never { reason } }
}

/// With other values than these, it is refused.
pub(super) const fn only(
    key: &'static str,
    default: &'static str,
    values: &'static [&'static str],
    reason: &'static str,
) -> Rule {
    Rule { key, effect: KeyEffect::Honoured, values: Values::Only { default, values, reason } }
}

impl Rule {
    /// How well the rule's key fits: the length of what they share, if it fits at all.
    pub(super) fn fits(&self, key: &str) -> Option<usize> {
        match self.key.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix).then_some(prefix.len()),
            None => (self.key == key).then_some(usize::MAX),
        }
    }

    /// Checks the key's value in a configuration, where `key` may be longer than the rule's own.
    pub(super) fn check(&self, config: &Resolved, key: &str) -> Result<(), SettingsError> {
        match self.values {
            Values::Any => Ok(()),
            Values::Never { reason } if config.get(key).is_some() => Err(config.refused(key, reason)),
            Values::Never { .. } => Ok(()),
            Values::Only { default, values, reason } => {
                let value = config.get(key).unwrap_or(default);
                if values.iter().any(|allowed| allowed.eq_ignore_ascii_case(value)) {
                    return Ok(());
                }
                match config.get(key) {
                    Some(_) => Err(config.refused(key, reason)),
                    None => Err(SettingsError::refused(key, format!("its default is {default}, and {reason}"))),
                }
            }
        }
    }

    /// Whether an absent key is looked at as well.
    pub(super) fn has_default(&self) -> bool {
        matches!(self.values, Values::Only { .. }) && !self.key.ends_with('*')
    }
}
