use std::fmt;

use bytes::Bytes;

use crate::record_batch::{RecordView, headers_in};

/// A record of a partition. Its fields share the memory of the batch that it was read from, so cloning copies no bytes.
///
/// `Debug` shows sizes only.
#[derive(Clone)]
pub struct Record {
    /// The record's offset.
    pub offset: i64,
    /// Milliseconds since 1970: the producer's time, or the broker's if the topic has
    /// `message.timestamp.type=LogAppendTime`.
    pub timestamp: i64,
    /// The key; `None` if it is null.
    pub key: Option<Bytes>,
    /// The value; `None` if it is null.
    pub value: Option<Bytes>,
    /// The headers, as the producer sent them.
    pub headers: RecordHeaders,
}

impl Record {
    /// Creates a record that shares the memory of `source`, which `view` borrows from.
    pub(super) fn sharing(source: &Bytes, view: &RecordView<'_>) -> Self {
        Self {
            offset: view.offset,
            timestamp: view.timestamp,
            key: view.key.map(|key| source.slice_ref(key)),
            value: view.value.map(|value| source.slice_ref(value)),
            headers: RecordHeaders(source.slice_ref(view.encoded_headers())),
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("offset", &self.offset)
            .field("timestamp", &self.timestamp)
            .field("key_bytes", &self.key.as_ref().map(Bytes::len))
            .field("value_bytes", &self.value.as_ref().map(Bytes::len))
            .field("headers", &self.headers)
            .finish()
    }
}

/// The headers of a record in the order of the producer: names may repeat, and values may be null.
///
/// They are kept in their encoded form, and decoded by each iteration. `Debug` shows their size only.
#[derive(Clone, Default)]
pub struct RecordHeaders(Bytes);

impl RecordHeaders {
    /// Returns the names and values. Kafka requires names to be UTF-8, but brokers do not check it.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        headers_in(&self.0)
    }

    /// Returns the size of names and values with their lengths, in bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Debug for RecordHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordHeaders").field("bytes", &self.size()).finish_non_exhaustive()
    }
}
