use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::record_batch::{RecordView, headers_in};

/// A record of a partition. It shares the memory of the batch that it was read from, so cloning copies no bytes.
///
/// `Debug` shows sizes only.
#[derive(Clone)]
pub struct Record {
    offset: i64,
    timestamp: i64,
    /// The record as it is encoded, after its length.
    bytes: Bytes,
    key: Option<Place>,
    value: Option<Place>,
    /// The beginning of the headers.
    headers: u32,
}

/// The place of a field in the bytes of its record.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
}

impl Record {
    /// Creates a record of `bytes`, which `view` was parsed from. They are a part of `source`, whose memory it shares.
    pub(super) fn sharing(source: &Bytes, bytes: &[u8], view: &RecordView<'_>) -> Self {
        let places = view.places(bytes.len());
        Self {
            offset: view.offset,
            timestamp: view.timestamp,
            bytes: source.slice_ref(bytes),
            key: places.key.map(Place::of),
            value: places.value.map(Place::of),
            headers: short(places.headers),
        }
    }

    /// Returns the record's offset.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Returns the milliseconds since 1970: the producer's time, or the broker's if the topic has
    /// `message.timestamp.type=LogAppendTime`.
    pub fn timestamp(&self) -> i64 {
        self.timestamp
    }

    /// Returns the key; `None` if it is null.
    pub fn key(&self) -> Option<&[u8]> {
        self.bytes.get(self.key?.range())
    }

    /// Returns the value; `None` if it is null.
    pub fn value(&self) -> Option<&[u8]> {
        self.bytes.get(self.value?.range())
    }

    /// Returns the key in the memory that the record shares; `None` if it is null.
    pub fn key_bytes(&self) -> Option<Bytes> {
        Some(self.bytes.slice(self.key?.range()))
    }

    /// Returns the value in the memory that the record shares; `None` if it is null.
    pub fn value_bytes(&self) -> Option<Bytes> {
        Some(self.bytes.slice(self.value?.range()))
    }

    /// Returns names and values of the headers in the order of the producer: names may repeat, and values may be null.
    /// Kafka requires names to be UTF-8, but brokers do not check it.
    ///
    /// Each iteration decodes them.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        headers_in(self.encoded_headers())
    }

    /// Returns the size of key, value and headers with their lengths, in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    fn encoded_headers(&self) -> &[u8] {
        self.bytes.get(self.headers as usize..).unwrap_or_default()
    }
}

impl Place {
    fn of(range: Range<usize>) -> Self {
        Self { start: short(range.start), end: short(range.end) }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Returns a place in a record, which has at most 256 MiB.
fn short(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("offset", &self.offset)
            .field("timestamp", &self.timestamp)
            .field("key_bytes", &self.key().map(<[u8]>::len))
            .field("value_bytes", &self.value().map(<[u8]>::len))
            .field("header_bytes", &self.encoded_headers().len())
            .finish()
    }
}
