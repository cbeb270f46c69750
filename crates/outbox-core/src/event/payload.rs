use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::finite::is_finite;
use super::readable::Readable;
use crate::Error;

/// The payload of an event, as it is stored: never a parsed tree, so that it is not rewritten.
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
    /// Creates a payload from jSON text, kept as it was written.
    ///
    /// # Errors
    /// As [`JsonText::new`].
    pub fn json(text: impl Into<String>) -> Result<Self, Error> {
        JsonText::new(text).map(Self::Json)
    }

    /// Creates the JSON text that serde writes for a value.
    ///
    /// # Errors
    /// The value cannot be written as JSON, or a number in it is NaN or infinite, which JSON does not have.
    pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Self::serialize_as(value, serde_json::to_vec)
    }

    /// Writes a value in another form of JSON, under the rules of [`serialize`](Self::serialize).
    pub(crate) fn serialize_as<T: Serialize + ?Sized>(
        value: &T,
        write: impl FnOnce(&T) -> Result<Vec<u8>, serde_json::Error>,
    ) -> Result<Self, Error> {
        let refuse = |rule| Error::rule("payload", std::any::type_name::<T>(), rule);
        let unwritten = |e| refuse("it cannot be written as JSON").caused_by(e);
        let json = write(value).map_err(|e| unwritten(Box::<dyn std::error::Error + Send + Sync>::from(e)))?;
        let text = String::from_utf8(json).map_err(|e| unwritten(e.into()))?;

        // serde_json writes such a number as null.
        if text.contains("null") && !is_finite(value) {
            return Err(refuse("a number in it is NaN or infinite: JSON has none, and no consumer could read it back"));
        }
        Self::json(text)
    }

    /// Creates a payload from bytes as they are.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(text) => text.as_str().len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Empty => 0,
        }
    }

    /// Returns whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Text that is one JSON value. `Debug` shows its length only: payloads do not belong in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Box<str>);

impl JsonText {
    /// The depth to which arrays and objects may be nested: serde_json, by which typed handlers read payloads, goes no
    /// deeper, and the parsers of PostgreSQL and Debezium do.
    pub const MAX_DEPTH: usize = 127;

    /// Checks that the text is one JSON value that consumers can read, and keeps it as it is.
    ///
    /// # Errors
    /// The text is not JSON, is nested deeper than [`MAX_DEPTH`](Self::MAX_DEPTH), holds a number that is out of the
    /// range of `f64`, or half of a surrogate pair (`\ud800`). The error names the place, and not the text.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        match serde_json::from_str::<Readable>(&text) {
            Ok(Readable) => Ok(Self(text.into_boxed_str())),
            Err(error) => Err(unreadable(&text, error)),
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn unreadable(text: &str, error: serde_json::Error) -> Error {
    let rule = if serde_json::from_str::<IgnoredAny>(text).is_err() {
        "it is not JSON text".to_owned()
    } else if crate::json::depth(text) > JsonText::MAX_DEPTH {
        format!("it is nested more than {} levels deep, and typed consumers read no more", JsonText::MAX_DEPTH)
    } else {
        let (line, column) = (error.line(), error.column());
        format!(
            "at line {line}, column {column} it has a number out of the range of f64 or half of a surrogate pair, which \
             consumers cannot read"
        )
    };
    Error::rule("payload", &format!("({} bytes)", text.len()), rule).caused_by(error)
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
        for text in ["{ \"b\" : 1e300,\"a\":12345678901234567890 }", "null", " [] ", "\"\\u0000\\ud83d\\ude00\"", "-0"]
        {
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
    fn what_a_typed_consumer_cannot_read_is_refused_with_its_place() {
        for (text, place) in [
            ("[1,\n 1e400]", "line 2, column 6"),
            (r#"{"a":"\ud800"}"#, "line 1, column"),
            (r#"{"\udc00":1}"#, "line 1, column"),
        ] {
            let error = JsonText::new(text).unwrap_err();
            assert!(error.is_invalid_event() && error.broken_rule().unwrap().contains(place), "{error}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_with_a_number_that_json_lacks_is_refused() {
        assert!(Payload::serialize(&(Option::<f64>::None, 1.5)).is_ok());
        let error = Payload::serialize(&[0.0, f64::NAN]).unwrap_err();
        assert!(error.is_invalid_event() && error.broken_rule().unwrap().contains("NaN"), "{error}");
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let deepest = nested(JsonText::MAX_DEPTH);
        assert!(JsonText::new(&*deepest).is_ok() && serde_json::from_str::<serde_json::Value>(&deepest).is_ok());
        for depth in [128, 1_001, 2_000_000] {
            let error = JsonText::new(nested(depth)).unwrap_err();
            assert!(error.broken_rule().unwrap().contains("127 levels"), "{error}");
        }
        assert!(JsonText::new(format!("\"{}\"", "[".repeat(5_000))).is_ok());
    }
}
