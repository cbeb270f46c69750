use std::fmt;

use bytes::Bytes;

use super::{DecodeHints, Record};

/// The parts of a record that another component owns, such as a client library. [`Pipeline::decode_parts`] reads an
/// event from them. `Debug` shows the topic and sizes only.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use outbox_core::record::{Decoded, RecordParts};
/// use outbox_core::{Pipeline, bytes::Bytes};
///
/// let headers = BTreeMap::from([("id".to_owned(), b"01890a5d-ac96-774b-bcce-b302099a8057".to_vec())]);
/// let value = Bytes::from_static(b"{}");
/// let headers = headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice())));
/// let mut parts = RecordParts::new("outbox.events.order", headers);
/// (parts.key, parts.value) = (Some(&b"42"[..]), Some(value));
/// let Decoded::Event(event) = Pipeline::recommended().decode_parts(parts)? else { panic!("no event") };
/// assert_eq!(event.aggregate_id.as_deref(), Some("42"));
/// # Ok::<(), outbox_core::Error>(())
/// ```
///
/// [`Pipeline::decode_parts`]: crate::Pipeline::decode_parts
#[non_exhaustive]
pub struct RecordParts<'a, H> {
    /// The topic.
    pub topic: &'a str,
    /// The key; `None` if it is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` if it is null. A payload shares its memory.
    pub value: Option<Bytes>,
    /// An iterator over the headers' names, as text or as bytes, and values, in any order; of two with one name the
    /// first counts.
    pub headers: H,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// The properties of the record before.
    pub hints: Option<&'a mut DecodeHints>,
}

impl<'a, H> RecordParts<'a, H> {
    /// Creates a record without key, value and timestamp.
    #[must_use]
    pub fn new(topic: &'a str, headers: H) -> Self {
        Self { topic, key: None, value: None, headers, timestamp: None, hints: None }
    }
}

impl<H> fmt::Debug for RecordParts<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordParts")
            .field("topic", &self.topic)
            .field("key_bytes", &self.key.map(<[u8]>::len))
            .field("value_bytes", &self.value.as_ref().map(Bytes::len))
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}

impl Record {
    /// Returns the same record, borrowed.
    pub(super) fn parts(&self) -> RecordParts<'_, impl Iterator<Item = (&str, Option<&[u8]>)>> {
        RecordParts {
            topic: &self.topic,
            key: self.key.as_deref(),
            value: self.value.clone(),
            headers: self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())),
            timestamp: self.timestamp,
            hints: None,
        }
    }
}
