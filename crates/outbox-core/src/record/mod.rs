mod changed_value;
mod column_text;
mod connect_schema;
mod decode;
mod decode_hints;
mod decoded_event;
mod encode;
mod expand;
mod hstore;
mod identity;
pub(crate) mod instant;
mod interval;
mod java;
mod json_column;
mod json_value;
mod json_writer;
mod message_content;
mod parts;
mod short_text;
mod struct_text;
mod temporal;
mod utf8_bytes;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

pub(crate) use self::connect_schema::{connect_type, has_known_schema};
pub use self::decode_hints::DecodeHints;
pub use self::decoded_event::{Decoded, DecodedEvent, DecodedPayload, NotAnEvent};
pub use self::identity::event_identity;
pub(crate) use self::identity::identity_of;
pub(crate) use self::java::float_to_string;
pub use self::message_content::{MessageContent, MessageReader};
pub use self::parts::RecordParts;
pub use self::short_text::ShortText;
pub use self::utf8_bytes::Utf8Bytes;

/// A Kafka record, as it is produced or was fetched. `Debug` shows sizes in place of key, value and headers' values.
///
/// `B` holds the bytes of key, value and headers, and `N` the headers' names: by default the record owns them.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record<B = Bytes, N = String> {
    /// The topic.
    pub topic: String,
    /// The partition; `None` if the partitioner chooses it.
    pub partition: Option<i32>,
    /// The key; `None` if it is null.
    pub key: Option<B>,
    /// The value; `None` if it is null.
    pub value: Option<B>,
    /// The headers in their order. Kafka allows a name twice, and a null value.
    pub headers: Vec<(N, Option<B>)>,
    /// The timestamp, in milliseconds since 1970; `None` for the time of the producer's clock.
    pub timestamp: Option<i64>,
}

/// A [`Record`] that borrows from the row that it was made of.
pub type RecordRef<'a> = Record<Cow<'a, [u8]>, &'a str>;

impl Record {
    /// Creates a record of a topic, with nothing in it.
    #[must_use]
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// Returns the same record, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> RecordRef<'_> {
        Record {
            topic: self.topic.clone(),
            partition: self.partition,
            key: self.key.as_deref().map(Cow::Borrowed),
            value: self.value.as_deref().map(Cow::Borrowed),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_deref().map(Cow::Borrowed)))
                .collect(),
            timestamp: self.timestamp,
        }
    }

    /// Returns the value of the first header of that name, unless it is null.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_ref())
    }
}

impl RecordRef<'_> {
    pub(crate) fn of_topic(topic: String) -> Self {
        Self { topic, partition: None, key: None, value: None, headers: Vec::new(), timestamp: None }
    }

    /// Returns the same record, which owns its data.
    #[must_use]
    pub fn into_owned(self) -> Record {
        let owned = |field: Option<Cow<'_, [u8]>>| field.map(|bytes| Bytes::from(bytes.into_owned()));
        Record {
            topic: self.topic,
            partition: self.partition,
            key: owned(self.key),
            value: owned(self.value),
            headers: self.headers.into_iter().map(|(name, value)| (name.to_owned(), owned(value))).collect(),
            timestamp: self.timestamp,
        }
    }
}

impl<B: AsRef<[u8]>, N: AsRef<str>> fmt::Debug for Record<B, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |field: &Option<B>| field.as_ref().map(|bytes| bytes.as_ref().len());
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name.as_ref()).collect();
        f.debug_struct("Record")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("key_bytes", &length(&self.key))
            .field("value_bytes", &length(&self.value))
            .field("headers", &headers)
            .field("timestamp", &self.timestamp)
            .finish()
    }
}
