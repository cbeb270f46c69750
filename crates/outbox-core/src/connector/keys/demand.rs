/// A demand of a pipeline on a key: by other values, the connector would lose events or read something else.
#[derive(Clone, Copy, Debug)]
pub(super) enum Demand {
    /// The key is absent.
    Absent { reason: &'static str },
    /// The key has a value.
    Present { reason: &'static str },
    /// Every character of the value may be in the name of a topic.
    OfTopicCharacters { reason: &'static str },
    /// The value is one of these; `default` counts if the key is absent.
    OneOf { default: &'static str, values: &'static [&'static str], reason: &'static str },
    /// None of the items of the value, which commas separate, is one of these.
    NoneOf { items: &'static [&'static str], reason: &'static str },
}

/// A value that breaks a demand, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken<'a> {
    pub(super) value: &'a str,
    pub(super) reason: &'static str,
}

impl Demand {
    /// Returns the value that breaks the demand, which may be the default of an absent key.
    pub(super) fn broken_by<'a>(&self, given: Option<&'a str>) -> Option<Broken<'a>> {
        let value = given.unwrap_or_default();
        let (value, is_kept, reason) = match *self {
            Self::Absent { reason } => (value, given.is_none(), reason),
            Self::Present { reason } => (value, !value.is_empty(), reason),
            Self::OfTopicCharacters { reason } => {
                let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                (value, value.contains("${") || value.chars().all(is_legal), reason)
            }
            Self::OneOf { default, values, reason } => {
                let value = given.unwrap_or(default);
                (value, values.contains(&value), reason)
            }
            Self::NoneOf { items, reason } => {
                (value, !value.split(',').any(|item| items.contains(&item.trim())), reason)
            }
        };
        (!is_kept).then_some(Broken { value, reason })
    }
}
