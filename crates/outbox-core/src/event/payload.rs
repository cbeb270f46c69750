use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::Error;

/// What an event says, as it is stored: never a parsed tree, so that nothing is rewritten on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// JSON text (RFC 8259).
    Json(JsonText),
    /// Bytes that only producer and consumer understand, for a `bytea` column.
    Bytes(Bytes),
    /// Nothing; SQL NULL in the table.
    Empty,
}

impl Payload {
    /// JSON text, kept as it was written.
    ///
    /// # Errors
    /// The text is not JSON, or is nested deeper than [`JsonText::MAX_DEPTH`].
    pub fn json(text: impl Into<String>) -> Result<Self, Error> {
        JsonText::new(text).map(Self::Json)
    }

    /// The JSON text that serde writes for a value.
    ///
    /// # Errors
    /// The value cannot be written as JSON.
    pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        let text = serde_json::to_string(value).map_err(|e| {
            Error::rule("payload", std::any::type_name::<T>(), "it cannot be written as JSON").caused_by(e)
        })?;
        Self::json(text)
    }

    /// Bytes as they are.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// The size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(text) => text.as_str().len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Empty => 0,
        }
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Text that is one JSON value. `Debug` shows its length only: payloads do not belong in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Box<str>);

impl JsonText {
    /// How deep arrays and objects may be nested: what PostgreSQL's parser and Jackson both still take.
    pub const MAX_DEPTH: usize = 1_000;

    /// Checks that the text is one JSON value and keeps it as it is.
    ///
    /// # Errors
    /// The text is not JSON or is nested too deep.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        // IgnoredAny is skipped without recursion, so hostile nesting cannot exhaust the stack here.
        if let Err(e) = serde_json::from_str::<IgnoredAny>(&text) {
            return Err(Error::rule("payload", &size(&text), "it is not JSON text").caused_by(e));
        }
        if crate::json::depth(&text) > Self::MAX_DEPTH {
            return Err(Error::rule("payload", &size(&text), "it is nested more than 1000 levels deep"));
        }
        Ok(Self(text.into_boxed_str()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn size(text: &str) -> String {
    format!("({} bytes)", text.len())
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_text_is_kept_as_written() {
        for text in ["{ \"b\" : 1e400,\"a\":12345678901234567890 }", "null", " [] ", "\"\\u0000\\ud800\"", "-0"] {
            assert_eq!(JsonText::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for text in ["", "{", "{} {}", "{'a':1}", "01", "nul", "\"\n\"", "[1,]"] {
            assert!(JsonText::new(text).unwrap_err().is_invalid_event(), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(JsonText::new(nested(1_000)).is_ok());
        assert!(JsonText::new(nested(1_001)).is_err());
        assert!(JsonText::new(nested(2_000_000)).is_err());
        assert!(JsonText::new(format!("\"{}\"", "[".repeat(5_000))).is_ok());
    }
}
