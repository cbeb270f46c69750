//! Record batches as they lie in Kafka's log (Kafka, "Record Batch", magic 2), read without a client library: those
//! at hand sort, collapse or refuse headers, and it is headers that are compared here.

use outbox_core::bytes::{Buf, Bytes};
use outbox_core::record::Record;

/// A record of the log, and where it lies.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) record: Record,
}

/// Returns the records of the whole batches; a batch that is cut off at the end is left out.
pub(crate) fn records(topic: &str, partition: i32, mut log: Bytes) -> Vec<Logged> {
    let mut records = vec![];
    while log.len() >= 12 {
        let length = usize::try_from((&log[8..12]).get_i32()).unwrap();
        if log.len() < 12 + length {
            break;
        }
        batch(topic, partition, log.split_to(12 + length), &mut records);
    }
    records
}

fn batch(topic: &str, partition: i32, mut batch: Bytes, records: &mut Vec<Logged>) {
    let base_offset = batch.get_i64();
    batch.advance(4 + 4); // length, leader's epoch
    assert_eq!(batch.get_i8(), 2, "magic");
    batch.advance(4); // checksum
    assert_eq!(batch.get_i16(), 0, "neither compressed nor a control batch");
    batch.advance(4); // offset of the last record

    let first_timestamp = batch.get_i64();
    batch.advance(8 + 8 + 2 + 4); // largest timestamp, producer's id, epoch and sequence

    for _ in 0..batch.get_i32() {
        let length = usize::try_from(varint(&mut batch)).unwrap();
        let mut body = batch.split_to(length);
        body.advance(1); // attributes
        let timestamp = first_timestamp + varint(&mut body);
        let offset = base_offset + varint(&mut body);
        let mut record = Record::new(topic);
        record.partition = Some(partition);
        record.timestamp = Some(timestamp);
        record.key = field(&mut body);
        record.value = field(&mut body);

        for _ in 0..varint(&mut body) {
            let name = String::from_utf8(field(&mut body).unwrap().to_vec()).unwrap();
            let value = field(&mut body);
            record.headers.push((name, value));
        }

        assert!(body.is_empty(), "something is left of the record");
        records.push(Logged { partition, offset, record });
    }
}

fn field(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(varint(bytes)).ok()?;
    Some(bytes.split_to(length))
}

fn varint(bytes: &mut Bytes) -> i64 {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let byte = bytes.get_u8();
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
        }
        shift += 7;
    }
}
