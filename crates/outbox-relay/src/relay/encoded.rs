use bytes::Bytes;
use outbox_core::Record;

use crate::position::{HEADER, Origin, Position};

/// A record on its way to its partition. It is sent the same each time, its timestamp included.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) timestamp: i64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<(String, Option<Bytes>)>,
}

impl Encoded {
    pub(super) fn new(mut record: Record, origin: &Origin, position: Position) -> Self {
        record.headers.push((HEADER.to_owned(), Some(Bytes::from(origin.header(position)))));
        let now = || i64::try_from(time_since_1970().as_millis()).unwrap_or(i64::MAX);
        Self {
            timestamp: record.timestamp.unwrap_or_else(now),
            key: record.key,
            value: record.value,
            headers: record.headers,
        }
    }

    /// The record for another topic, without its position.
    pub(super) fn into_record(mut self, topic: &str) -> Record {
        self.headers.retain(|(name, _)| name != HEADER);
        let mut record = Record::new(topic);
        (record.key, record.value, record.headers) = (self.key, self.value, self.headers);
        record.timestamp = Some(self.timestamp);
        record
    }

    /// About what it takes in a batch and in memory.
    pub(super) fn size(&self) -> usize {
        let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len) + 8;
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + bytes(value)).sum();
        16 + bytes(&self.key) + bytes(&self.value) + headers
    }
}

fn time_since_1970() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
