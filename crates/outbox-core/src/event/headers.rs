use std::collections::BTreeMap;
use std::fmt;

use serde::Serializer as _;
use serde::ser::Error as _;

use crate::Error;

/// The event's own headers: name → text. On the wire they travel as one JSON object in one record header, apart from
/// those that have a [column](crate::layout::Column::from_header) each.
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

    /// Writes the headers as a JSON object, without those that the predicate leaves out.
    pub(crate) fn to_json(&self, is_left_out: impl Fn(&str, &str) -> bool) -> Result<String, Error> {
        let mut json = Vec::with_capacity(64);
        let mut serializer = serde_json::Serializer::new(&mut json);
        let written = serializer.collect_map(self.iter().filter(|(name, value)| !is_left_out(name, value)));
        written
            .and_then(|()| String::from_utf8(json).map_err(serde_json::Error::custom))
            .map_err(|e| Error::rule("headers", "", "they cannot be written as JSON").caused_by(e))
    }

    /// Reads headers of any producer; the limits above bind our own producers only. A header that is there already
    /// stays.
    pub(crate) fn add_json(&mut self, text: &str) -> Result<(), serde_json::Error> {
        let read: BTreeMap<String, String> = serde_json::from_str(text)?;
        if self.0.is_empty() {
            self.0 = read;
        } else {
            read.into_iter().for_each(|(name, value)| self.add(&name, &value));
        }
        Ok(())
    }

    /// Adds a header that some producer wrote, unless there is one of this name.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
