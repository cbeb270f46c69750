use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use outbox_core::{Decoded, Error, Pipeline, Record, RecordParts};

/// A record of a partition, in the memory that the client library has allocated for it: there are many of them, and each
/// copy is felt. `Debug` shows sizes only.
#[derive(Default)]
pub(crate) struct Message {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: BTreeMap<String, Vec<u8>>,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
}

impl Message {
    /// Reads the event; the message stays, to be kept where the event cannot be handled.
    pub(crate) fn decode(&self, pipeline: &Pipeline, topic: &str) -> Result<Decoded<()>, Error> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), Some(value.as_slice())));
        let mut parts = RecordParts::new(topic, headers);
        parts.key = self.key.as_deref();
        parts.value = self.value.as_ref();
        parts.timestamp = self.timestamp;
        pipeline.decode_parts(parts)
    }

    /// The bytes of key, value and headers.
    pub(crate) fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len) + headers
    }
}

/// Out of the store. A null header tells nothing, as one that is not there.
impl From<Record> for Message {
    fn from(record: Record) -> Self {
        let mut headers = BTreeMap::new();
        for (name, value) in record.headers {
            if let Some(value) = value {
                headers.entry(name).or_insert_with(|| value.into());
            }
        }
        Self { key: record.key, value: record.value, headers, timestamp: record.timestamp }
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
