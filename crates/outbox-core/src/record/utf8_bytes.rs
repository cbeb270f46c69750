use std::fmt;
use std::ops::Deref;

use bytestring::ByteString;

/// A text in shared memory: the payload of an event is a slice of the fetch response of its record. Otherwise it is
/// used as a `&str`. `Debug` shows its size only.
///
/// ```
/// use outbox_core::record::Utf8Bytes;
///
/// let text = Utf8Bytes::from(r#"{"total":"12.50"}"#);
/// assert!(text.starts_with('{'));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Utf8Bytes(pub(super) ByteString);

impl From<&str> for Utf8Bytes {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Utf8Bytes {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Deref for Utf8Bytes {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Utf8Bytes({} bytes)", self.len())
    }
}
