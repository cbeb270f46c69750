use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use outbox_core::record::{Record, RecordRef};
use outbox_core::uuid::Uuid;

use crate::position::{HEADER, Origin, Position};
use outbox_kafka::RecordBody;

/// An encoded record for a partition. Each attempt sends the same bytes, including the timestamp.
#[derive(Debug)]
pub struct Encoded {
    pub timestamp: i64,
    pub body: RecordBody,
}

impl Encoded {
    /// Encodes a record with its position, and with its event if it has no header `id`. A record without a timestamp
    /// gets `now`.
    pub fn new(
        mut record: RecordRef<'_>,
        origin: &Origin,
        (position, event): (Position, Uuid),
        now: SystemTime,
    ) -> Self {
        let has_id = record.headers.iter().any(|(name, _)| *name == "id");
        let header = if has_id { origin.header(position) } else { origin.header_with_event(position, event) };
        record.headers.push((HEADER, Some(header.into_bytes().into())));
        let since_1970 = || now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = || i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX);
        Self {
            timestamp: record.timestamp.unwrap_or_else(now),
            body: RecordBody::new(record.key.as_deref(), record.value.as_deref(), &record.headers),
        }
    }

    /// Converts it to a record for another topic, without its position.
    pub fn into_record(self, topic: &str) -> Record {
        let mut record = Record::new(topic);
        record.timestamp = Some(self.timestamp);
        let Ok(parts) = self.body.parts() else { return record };
        let owned = |field: Option<&[u8]>| field.map(Bytes::copy_from_slice);
        (record.key, record.value) = (owned(parts.key), owned(parts.value));
        let headers = parts.headers.into_iter().filter(|(name, _)| *name != HEADER.as_bytes());
        record.headers =
            headers.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), owned(value))).collect();
        record
    }

    /// Returns its approximate size in a batch and in memory, in bytes.
    pub fn size(&self) -> usize {
        self.body.bytes().len() + 24
    }
}
