use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use outbox_core::record::{DecodeHints, Decoded, Record, RecordParts};
use outbox_core::{Error, Pipeline};

/// A record of a partition, in the memory that the reader has allocated for it: there are many records, and copies are
/// expensive. `Debug` shows sizes only.
pub enum Message {
    /// The record that the native reader returns.
    Native(outbox_kafka::Record),
    /// A record of parts that own their memory.
    Composed {
        key: Option<Bytes>,
        value: Option<Bytes>,
        headers: Headers,
        /// Milliseconds since 1970.
        timestamp: Option<i64>,
    },
}

/// The headers of a record, in the form of their source.
pub enum Headers {
    /// The headers that rskafka returns.
    ByName(BTreeMap<String, Vec<u8>>),
    /// The headers that the store returns.
    Listed(Vec<(String, Option<Bytes>)>),
}

impl Message {
    /// Reads the event; the message is kept, in case the event cannot be handled. `hints` are of the partition's last
    /// record.
    pub fn decode(&self, pipeline: &Pipeline, topic: &str, hints: &mut DecodeHints) -> Result<Decoded<()>, Error> {
        match self {
            Self::Native(record) => self.decode_with(pipeline, RecordParts::new(topic, record.headers()), hints),
            Self::Composed { headers: Headers::ByName(headers), .. } => {
                let headers = headers.iter().map(|(name, value)| (name.as_str(), Some(&**value)));
                self.decode_with(pipeline, RecordParts::new(topic, headers), hints)
            }
            Self::Composed { headers: Headers::Listed(headers), .. } => {
                let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
                self.decode_with(pipeline, RecordParts::new(topic, headers), hints)
            }
        }
    }

    #[inline]
    fn decode_with<'a>(
        &'a self,
        pipeline: &Pipeline,
        mut parts: RecordParts<'a, impl Iterator<Item = (impl AsRef<[u8]>, Option<&'a [u8]>)>>,
        hints: &'a mut DecodeHints,
    ) -> Result<Decoded<()>, Error> {
        parts.key = self.key();
        parts.value = match self {
            Self::Native(record) => record.value_bytes(),
            Self::Composed { value, .. } => value.clone(),
        };
        parts.timestamp = self.timestamp();
        parts.hints = Some(hints);
        pipeline.decode_parts(parts)
    }

    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Native(record) => record.key(),
            Self::Composed { key, .. } => key.as_deref(),
        }
    }

    /// Returns the key in the memory of the message.
    pub fn key_bytes(&self) -> Option<Bytes> {
        match self {
            Self::Native(record) => record.key_bytes(),
            Self::Composed { key, .. } => key.clone(),
        }
    }

    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Native(record) => record.value(),
            Self::Composed { value, .. } => value.as_deref(),
        }
    }

    /// Returns names and values. Bytes of a name that are not UTF-8 are replaced.
    pub fn headers(&self) -> Vec<(Cow<'_, str>, Option<&[u8]>)> {
        match self {
            Self::Native(record) => {
                record.headers().map(|(name, value)| (String::from_utf8_lossy(name), value)).collect()
            }
            Self::Composed { headers: Headers::ByName(headers), .. } => {
                headers.iter().map(|(name, value)| (name.into(), Some(&**value))).collect()
            }
            Self::Composed { headers: Headers::Listed(headers), .. } => {
                headers.iter().map(|(name, value)| (name.into(), value.as_deref())).collect()
            }
        }
    }

    /// Returns the milliseconds since 1970.
    pub fn timestamp(&self) -> Option<i64> {
        match self {
            Self::Native(record) => Some(record.timestamp()),
            Self::Composed { timestamp, .. } => *timestamp,
        }
    }

    /// Returns the bytes of key, value and headers.
    pub fn size(&self) -> usize {
        match self {
            Self::Native(record) => record.size(),
            Self::Composed { key, value, headers, .. } => {
                let size = |field: &Option<Bytes>| field.as_ref().map_or(0, Bytes::len);
                size(key) + size(value) + headers.size()
            }
        }
    }
}

impl Headers {
    fn size(&self) -> usize {
        match self {
            Self::ByName(headers) => headers.iter().map(|(name, value)| name.len() + value.len()).sum(),
            Self::Listed(headers) => {
                headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Bytes::len)).sum()
            }
        }
    }
}

/// Converts a record from the store.
impl From<Record> for Message {
    fn from(record: Record) -> Self {
        let Record { key, value, headers, timestamp, .. } = record;
        Self::Composed { key, value, headers: Headers::Listed(headers), timestamp }
    }
}

impl From<outbox_kafka::Record> for Message {
    fn from(record: outbox_kafka::Record) -> Self {
        Self::Native(record)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("bytes", &self.size())
            .field("timestamp", &self.timestamp())
            .finish_non_exhaustive()
    }
}
