//! Record batches of format 2 from records.

use outbox_core::bytes::Bytes;
use outbox_core::record::Record;

use super::compression::{Codec, compress};

/// A record batch to append with [`Broker::append`](crate::Broker::append), from records or from its bytes.
///
/// The topic and the partition of a record do not count: those of the append do.
#[derive(Debug, Clone)]
#[must_use]
pub struct RecordBatch(Content);

#[derive(Debug, Clone)]
enum Content {
    Records { records: Vec<Record>, codec: Option<Codec> },
    Bytes(Bytes),
}

impl RecordBatch {
    /// Creates an uncompressed batch of records. A record without a timestamp gets the present time.
    pub fn new(records: impl IntoIterator<Item = Record>) -> Self {
        Self(Content::Records { records: records.into_iter().collect(), codec: None })
    }

    /// Creates a batch from its bytes in format 2, of which the broker checks only the header.
    ///
    /// The records may be malformed and the CRC wrong: a reader gets them unchanged. The broker sets the base offset
    /// and the leader epoch, and the offsets of the batch end with its `lastOffsetDelta`.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Content::Bytes(bytes.into()))
    }

    /// Compresses the records. A batch from bytes stays as it is.
    pub fn compressed(mut self, with: Codec) -> Self {
        if let Content::Records { codec, .. } = &mut self.0 {
            *codec = Some(with);
        }
        self
    }

    /// Encodes the batch for a producer, at `now` (ms since 1970).
    pub(in crate::broker) fn encode(self, producer: Producing, now: i64) -> Encoded {
        match self.0 {
            Content::Bytes(bytes) => Encoded::Trusted(bytes),
            Content::Records { records, codec } => Encoded::Checked(encode(&records, codec, producer, now)),
        }
    }
}

impl From<Record> for RecordBatch {
    fn from(record: Record) -> Self {
        Self::new([record])
    }
}

impl From<Vec<Record>> for RecordBatch {
    fn from(records: Vec<Record>) -> Self {
        Self::new(records)
    }
}

/// The bytes of a batch, and whether they are checked like those of a client.
#[derive(Debug)]
pub(in crate::broker) enum Encoded {
    Checked(Vec<u8>),
    Trusted(Bytes),
}

/// The producer of a batch.
#[derive(Debug, Clone, Copy)]
pub(in crate::broker) struct Producing {
    producer_id: i64,
    epoch: i16,
    sequence: i32,
    attributes: i16,
}

impl Producing {
    /// A producer that is not idempotent.
    pub(in crate::broker) const PLAIN: Self = Self { producer_id: -1, epoch: -1, sequence: -1, attributes: 0 };

    /// Creates a transactional producer by its id and epoch.
    pub(in crate::broker) fn transactional((producer_id, epoch): (i64, i16), sequence: i32) -> Self {
        Self { producer_id, epoch, sequence, attributes: super::batch::TRANSACTIONAL }
    }

    /// Creates an idempotent producer by its id and epoch.
    #[cfg(test)]
    pub(super) fn idempotent((producer_id, epoch): (i64, i16), sequence: i32) -> Self {
        Self { producer_id, epoch, sequence, attributes: 0 }
    }
}

/// The end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Outcome {
    Commit,
    Abort,
}

/// Encodes a record batch. Offsets in it are relative, so the log sets the first one.
fn encode(records: &[Record], codec: Option<Codec>, producer: Producing, now: i64) -> Vec<u8> {
    let base_timestamp = records.first().map_or(now, |record| record.timestamp.unwrap_or(now));
    let mut payload = Vec::new();
    let mut max_timestamp = i64::MIN;

    for (delta, record) in (0_i64..).zip(records) {
        let timestamp = record.timestamp.unwrap_or(now);
        max_timestamp = max_timestamp.max(timestamp);
        let mut body = vec![0];
        put_varint(&mut body, timestamp.wrapping_sub(base_timestamp));
        put_varint(&mut body, delta);
        put_nullable(&mut body, record.key.as_deref());
        put_nullable(&mut body, record.value.as_deref());
        put_length(&mut body, record.headers.len());

        for (name, value) in &record.headers {
            put_nullable(&mut body, Some(name.as_bytes()));
            put_nullable(&mut body, value.as_deref());
        }
        put_nullable(&mut payload, Some(&body));
    }

    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    let attributes = producer.attributes | codec.map_or(0, Codec::number);
    let timestamps = (base_timestamp, max_timestamp);
    assemble(attributes, count, timestamps, producer, &compress(codec, &payload))
}

/// Encodes the control batch that ends a transaction: one record, whose key is a version (0) and the type (0 for
/// abort, 1 for commit), and whose value is a version (0) and the epoch of the coordinator.
pub(super) fn encode_marker(producer_id: i64, epoch: i16, outcome: Outcome, now: i64) -> Vec<u8> {
    const COORDINATOR_EPOCH: i32 = 0;
    let kind: i16 = match outcome {
        Outcome::Abort => 0,
        Outcome::Commit => 1,
    };
    let key = [0_i16.to_be_bytes(), kind.to_be_bytes()].concat();
    let value = [&0_i16.to_be_bytes()[..], &COORDINATOR_EPOCH.to_be_bytes()].concat();

    let mut body = vec![0, 0, 0];
    put_nullable(&mut body, Some(&key));
    put_nullable(&mut body, Some(&value));
    put_length(&mut body, 0);
    let mut payload = Vec::new();
    put_nullable(&mut payload, Some(&body));

    let attributes = super::batch::TRANSACTIONAL | super::batch::CONTROL;
    assemble(attributes, 1, (now, now), Producing { producer_id, epoch, sequence: -1, attributes }, &payload)
}

/// Puts the header before the records; see the table of [`batch`](super::batch).
fn assemble(
    attributes: i16,
    count: i32,
    (base_timestamp, max_timestamp): (i64, i64),
    producer: Producing,
    payload: &[u8],
) -> Vec<u8> {
    const FORMAT: u8 = 2;
    const LENGTH_BEFORE_CHECKED: usize = 9;
    let mut checked = Vec::with_capacity(payload.len() + 40);
    checked.extend(attributes.to_be_bytes());
    checked.extend((count - 1).to_be_bytes());
    checked.extend(base_timestamp.to_be_bytes());
    checked.extend(max_timestamp.to_be_bytes());
    checked.extend(producer.producer_id.to_be_bytes());
    checked.extend(producer.epoch.to_be_bytes());
    checked.extend(producer.sequence.to_be_bytes());
    checked.extend(count.to_be_bytes());
    checked.extend_from_slice(payload);

    let length = i32::try_from(checked.len() + LENGTH_BEFORE_CHECKED).unwrap_or(i32::MAX);
    let mut batch = Vec::with_capacity(checked.len() + 21);
    batch.extend(0_i64.to_be_bytes());
    batch.extend(length.to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.push(FORMAT);
    batch.extend(crc32c::crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varint(out, i64::try_from(length).unwrap_or(i64::MAX));
}

/// Appends a zigzag varint.
fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::batch::tests::rules;
    use super::super::batch::{Batch, first_at, records_of};
    use super::*;

    fn optional() -> impl Strategy<Value = Option<Bytes>> {
        prop::option::of(prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from))
    }

    fn record() -> impl Strategy<Value = Record> {
        let headers = prop::collection::vec(("[ab]{0,2}", optional()), 0..4);
        (optional(), optional(), headers, 0..i64::MAX / 2).prop_map(|(key, value, headers, timestamp)| {
            let mut record = Record::new("");
            (record.key, record.value, record.headers, record.timestamp) = (key, value, headers, Some(timestamp));
            record
        })
    }

    proptest! {
        #[test]
        fn records_are_found_again(
            records in prop::collection::vec(record(), 1..10),
            codec in prop::option::of(prop::sample::select(Codec::ALL.to_vec())),
        ) {
            let sent = encode(&records, codec, Producing::PLAIN, 0);
            let stored = Batch::parse(&sent, &rules()).unwrap().placed_at(10, 0);
            let keys = records.iter().map(|record| record.key.as_deref().map(<[u8]>::to_vec));
            prop_assert_eq!(records_of(&stored), (10..).zip(keys).collect::<Vec<_>>());
            prop_assert_eq!(first_at(&stored, 0, 0), Some((records[0].timestamp.unwrap(), 10)));
        }
    }
}
