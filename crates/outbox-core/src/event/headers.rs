use std::collections::BTreeMap;
use std::fmt;

use crate::Error;

/// The event's own headers: name → text. On the wire they travel as one JSON object in one record header.
///
/// At most 64; a name has 1 to 255 bytes, a value up to 8,192, neither has a NUL. `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    const MAX_COUNT: usize = 64;
    const MAX_VALUE: usize = 8_192;

    /// Adds a header; an earlier value of that name is replaced.
    ///
    /// # Errors
    /// Name or value break the rules of the type.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), Error> {
        let (name, value) = (name.into(), value.into());
        let refused = |rule: &str| Err(Error::rule("headers", &name, rule));
        if name.is_empty() || name.len() > 255 {
            return refused("a header's name has 1 to 255 bytes");
        }
        if name.chars().any(char::is_control) {
            return refused("a header's name has no control characters");
        }
        if value.len() > Self::MAX_VALUE {
            return refused("a header's value has at most 8192 bytes");
        }
        if value.contains('\0') {
            return refused("a header's value has no NUL");
        }
        if self.0.len() == Self::MAX_COUNT && !self.0.contains_key(&name) {
            return refused("an event has at most 64 headers");
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// Returns the value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns all headers, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string(&self.0)
            .map_err(|e| Error::rule("headers", "", "they cannot be written as JSON").caused_by(e))
    }

    /// Reads what some producer wrote; the limits above bind our own producers only.
    pub(crate) fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
