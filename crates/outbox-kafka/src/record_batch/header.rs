use bytes::Buf;

use super::{Compression, HEADER_SIZE, Malformed, Producer};

const COMPRESSION_UNKNOWN: Malformed = Malformed("the compression is not known");

/// The header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The first record's offset.
    pub base_offset: i64,
    /// The offset of the last record. Compaction removes records, but keeps this offset.
    pub last_offset: i64,
    /// The epoch of the leader that appended the batch.
    pub leader_epoch: i32,
    /// The idempotent producer that wrote the batch, and its first sequence number.
    pub producer: Producer,
    /// The sequence of the record at the last offset; -1 without a producer.
    pub last_sequence: i32,
    /// The first record's timestamp, in milliseconds since 1970.
    pub base_timestamp: i64,
    /// The largest timestamp, in milliseconds since 1970.
    pub max_timestamp: i64,
    /// Whether the timestamps are the broker's: all records then have the batch's largest.
    pub is_log_append_time: bool,
    /// Whether a transactional producer wrote the batch.
    pub is_transactional: bool,
    /// Whether it is a marker that ends a transaction, without records of a user.
    pub is_control: bool,
    /// Whether it is a message in a format before Kafka 0.11, whose contents are not read.
    pub is_legacy: bool,
    /// The codec of the records' bytes.
    pub compression: Compression,
    /// The number of records.
    pub count: u32,
}

impl BatchHeader {
    /// Parses the header of a whole batch with the magic number 2; the second part are the records as they were
    /// written.
    pub(crate) fn parse(batch: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (mut fields, records) = batch.split_at_checked(HEADER_SIZE).ok_or(Malformed("a batch is too short"))?;
        let base_offset = fields.get_i64();
        fields.advance(4);

        let leader_epoch = fields.get_i32();
        fields.advance(1);

        let crc = fields.get_u32();
        if crc32c::crc32c_append(crc32c::crc32c(fields), records) != crc {
            return Err(Malformed("the checksum does not match"));
        }

        let attributes = fields.get_i16();
        let last_offset_delta = fields.get_i32();
        let base_timestamp = fields.get_i64();
        let max_timestamp = fields.get_i64();
        let producer = Producer { id: fields.get_i64(), epoch: fields.get_i16(), sequence: fields.get_i32() };
        let records_after_first =
            u32::try_from(last_offset_delta).map_err(|_| Malformed("the last offset is before the first"))?;

        let header = Self {
            base_offset,
            last_offset: base_offset
                .checked_add(last_offset_delta.into())
                .filter(|last| (0..i64::MAX).contains(last) && base_offset >= 0)
                .ok_or(Malformed("an offset is out of range"))?,
            leader_epoch,
            producer,
            last_sequence: if producer.sequence < 0 { -1 } else { producer.after(records_after_first).sequence },
            base_timestamp,
            max_timestamp,
            is_log_append_time: attributes & 1 << 3 != 0,
            is_transactional: attributes & 1 << 4 != 0,
            is_control: attributes & 1 << 5 != 0,
            is_legacy: false,
            compression: Compression::of_attributes(attributes).ok_or(COMPRESSION_UNKNOWN)?,
            count: u32::try_from(fields.get_i32()).map_err(|_| Malformed("fewer than no records"))?,
        };
        Ok((header, records))
    }

    /// Parses the header of a message in a format before Kafka 0.11.
    pub(super) fn legacy(offset: i64) -> Result<Self, Malformed> {
        if !(0..i64::MAX).contains(&offset) {
            return Err(Malformed("an offset is out of range"));
        }
        Ok(Self {
            base_offset: offset,
            last_offset: offset,
            leader_epoch: -1,
            producer: Producer::NONE,
            last_sequence: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            is_log_append_time: false,
            is_transactional: false,
            is_control: false,
            is_legacy: true,
            compression: Compression::None,
            count: 0,
        })
    }
}
