mod column_text;
mod connect_schema;
mod decode;
mod decode_hints;
mod decoded_event;
mod encode;
mod expand;
mod identity;
pub(crate) mod instant;
mod java;
mod json_value;
mod json_writer;
mod parts;
mod record_ref;
mod short_text;
mod struct_text;
mod temporal;
mod utf8_bytes;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

pub(crate) use self::connect_schema::connect_type;
pub use self::decode_hints::DecodeHints;
pub use self::decoded_event::{Decoded, DecodedEvent, DecodedPayload, NotAnEvent};
pub use self::encode::Encoded;
pub use self::identity::event_identity;
pub(crate) use self::identity::identity_of;
pub(crate) use self::java::float_to_string;
pub use self::parts::RecordParts;
pub use self::record_ref::RecordRef;
pub use self::short_text::ShortText;
pub use self::utf8_bytes::Utf8Bytes;

/// A Kafka record, as it is produced or was fetched. `Debug` shows sizes in place of key, value and headers' values.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The topic.
    pub topic: String,
    /// The partition, where the pipeline or the broker says it; the partitioner's choice otherwise.
    pub partition: Option<i32>,
    /// The key; null where there is none.
    pub key: Option<Bytes>,
    /// The value; null where there is none.
    pub value: Option<Bytes>,
    /// The headers in their order. Kafka allows a name twice, and a null value.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since 1970; the producer's clock where there is none.
    pub timestamp: Option<i64>,
}

impl Record {
    /// Creates a record of a topic, with nothing in it.
    #[must_use]
    pub fn new(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..Self::default() }
    }

    /// Returns the same record, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> RecordRef<'_> {
        RecordRef {
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

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Record")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("key_bytes", &self.key.as_ref().map(Bytes::len))
            .field("value_bytes", &self.value.as_ref().map(Bytes::len))
            .field("headers", &headers)
            .field("timestamp", &self.timestamp)
            .finish()
    }
}
