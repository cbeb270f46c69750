use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use outbox_core::{Decoded, Error, Pipeline, Record, RecordParts};
use outbox_kafka::RecordHeaders;

/// A record of a partition, in the memory that the reader has allocated for it: there are many of them, and each copy is
/// felt. `Debug` shows sizes only.
#[derive(Default)]
pub(crate) struct Message {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Headers,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
}

/// The headers of a record, in the form of their source.
pub(crate) enum Headers {
    /// As rskafka returns them.
    ByName(BTreeMap<String, Vec<u8>>),
    /// As they are encoded in a batch.
    Encoded(RecordHeaders),
    /// As the store returns them.
    Listed(Vec<(String, Option<Bytes>)>),
}

impl Message {
    /// Reads the event; the message stays, to be kept where the event cannot be handled.
    pub(crate) fn decode(&self, pipeline: &Pipeline, topic: &str) -> Result<Decoded<()>, Error> {
        match &self.headers {
            Headers::ByName(headers) => {
                self.decode_with(pipeline, topic, headers.iter().map(|(name, value)| (name.as_str(), Some(&**value))))
            }
            Headers::Encoded(headers) => self.decode_with(pipeline, topic, headers.iter()),
            Headers::Listed(headers) => {
                self.decode_with(pipeline, topic, headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())))
            }
        }
    }

    fn decode_with<'a>(
        &'a self,
        pipeline: &Pipeline,
        topic: &'a str,
        headers: impl Iterator<Item = (impl AsRef<[u8]>, Option<&'a [u8]>)>,
    ) -> Result<Decoded<()>, Error> {
        let mut parts = RecordParts::new(topic, headers);
        parts.key = self.key.as_deref();
        parts.value = self.value.as_ref();
        parts.timestamp = self.timestamp;
        pipeline.decode_parts(parts)
    }

    /// The bytes of key, value and headers.
    pub(crate) fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len) + self.headers.size()
    }
}

impl Headers {
    /// Returns names and values. Bytes of a name that are not UTF-8 are replaced.
    pub(crate) fn list(&self) -> Vec<(Cow<'_, str>, Option<&[u8]>)> {
        match self {
            Self::ByName(headers) => headers.iter().map(|(name, value)| (name.into(), Some(&**value))).collect(),
            Self::Encoded(headers) => {
                headers.iter().map(|(name, value)| (String::from_utf8_lossy(name), value)).collect()
            }
            Self::Listed(headers) => headers.iter().map(|(name, value)| (name.into(), value.as_deref())).collect(),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::ByName(headers) => headers.iter().map(|(name, value)| name.len() + value.len()).sum(),
            Self::Encoded(headers) => headers.size(),
            Self::Listed(headers) => {
                headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Bytes::len)).sum()
            }
        }
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

/// Out of the store.
impl From<Record> for Message {
    fn from(record: Record) -> Self {
        let headers = Headers::Listed(record.headers.into_iter().collect());
        Self { key: record.key, value: record.value, headers, timestamp: record.timestamp }
    }
}

impl From<outbox_kafka::Record> for Message {
    fn from(record: outbox_kafka::Record) -> Self {
        let headers = Headers::Encoded(record.headers);
        Self { key: record.key, value: record.value, headers, timestamp: Some(record.timestamp) }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("bytes", &self.size())
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}
