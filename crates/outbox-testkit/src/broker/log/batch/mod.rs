//! A record batch of format 2. All numbers are big-endian:
//!
//! | bytes | field | bytes | field |
//! | --- | --- | --- | --- |
//! | 0..8 | base offset | 27..35 | base timestamp (ms) |
//! | 8..12 | length from byte 12 on | 35..43 | largest timestamp (ms) |
//! | 12..16 | leader epoch | 43..51 | producer id, -1 for none |
//! | 16 | format, 2 | 51..53 | producer epoch |
//! | 17..21 | CRC-32C from byte 21 on | 53..57 | sequence of the first record |
//! | 21..23 | attributes | 57..61 | number of records |
//! | 23..27 | offset of the last record - base | 61.. | records, compressed as the attributes say |
//!
//! Of a record, lengths and deltas are zigzag varints: length, attributes (one byte), timestamp delta, offset delta,
//! key length (-1 for null), key, value length, value, number of headers, and for each the length of its name, name,
//! length of its value (-1 for null), value.

#[cfg(test)]
pub(super) mod tests;

use std::ops::RangeInclusive;

use bytes::{Buf, Bytes};
use kafka_protocol::ResponseError;

use super::compression::{Codec, compress, decompress};
use super::refusal::Refusal;
use crate::broker::imitation::Codecs;

const HEADER: usize = 61;
const CHECKED_FROM: usize = 21;
const LENGTH_FROM: usize = 12;

const CODEC: i16 = 0b111;
/// Set if the timestamp of all records is the largest one of the header: the time of the append.
const LOG_APPEND_TIME: i16 = 1 << 3;
pub(super) const TRANSACTIONAL: i16 = 1 << 4;
pub(super) const CONTROL: i16 = 1 << 5;

/// The rules of a topic for batches.
#[derive(Debug, Clone)]
pub(in crate::broker) struct Rules {
    max_bytes: i32,
    timestamps: Timestamps,
    keys: Keys,
    codecs: Codecs,
}

impl Rules {
    /// Creates the rules; a whole batch has at most `max_bytes`.
    pub(in crate::broker) fn new(max_bytes: i32, timestamps: Timestamps, keys: Keys, codecs: Codecs) -> Self {
        Self { max_bytes, timestamps, keys, codecs }
    }
}

/// The timestamps that a topic stores (`message.timestamp.type`), in ms since 1970.
#[derive(Debug, Clone)]
pub(in crate::broker) enum Timestamps {
    /// Those of the producer, within bounds.
    Create(RangeInclusive<i64>),
    /// The time of the append.
    Append(i64),
}

/// Whether records may have no key; those of a compacted topic must have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Keys {
    Optional,
    Required,
}

/// A batch that may be appended.
#[derive(Debug, Clone)]
pub(in crate::broker) struct Batch {
    bytes: Vec<u8>,
    last_offset_delta: i32,
    pub(super) max_timestamp: i64,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) base_sequence: i32,
    attributes: i16,
}

impl Batch {
    /// Checks the records that a client sent for one partition, in the order of Kafka's checks.
    pub(in crate::broker) fn parse(sent: &[u8], rules: &Rules) -> Result<Self, Refusal> {
        let header = Header::read(sent).ok_or_else(no_batch)?;
        let size = usize::try_from(header.length).ok().and_then(|length| length.checked_add(LENGTH_FROM));
        let size = size.filter(|size| *size >= HEADER).ok_or(ResponseError::CorruptMessage)?;
        let (bytes, rest) = sent.split_at_checked(size).ok_or_else(no_batch)?;

        if header.format != 2 {
            return Err(invalid("record batches have format 2"));
        }
        if !rest.is_empty() {
            return Err(invalid("a partition is sent one record batch in one request"));
        }
        if header.base_offset != 0 {
            return Err(invalid("the base offset of a batch that is sent is 0"));
        }
        if size > usize::try_from(rules.max_bytes).unwrap_or(0) {
            let message = format!("the batch has {size} bytes, the topic takes {}", rules.max_bytes);
            return Err(Refusal::new(ResponseError::MessageTooLarge, message));
        }

        if bytes.get(CHECKED_FROM..).map(crc32c::crc32c) != Some(header.crc) {
            return Err(ResponseError::CorruptMessage.into());
        }

        header.check()?;
        let payload = bytes.get(HEADER..).unwrap_or_default();
        let codec = Codec::from_number(header.attributes & CODEC).map_err(|_cause| invalid("the codec is unknown"))?;
        rules.codecs.check(codec)?;

        let payload = decompress(codec, payload).map_err(|_cause| invalid("the records cannot be decompressed"))?;
        let max_timestamp = check_records(&payload, &header, rules)?;
        let mut batch = Self::of(bytes.to_vec(), &header);
        match rules.timestamps {
            Timestamps::Append(now) => {
                batch.attributes |= LOG_APPEND_TIME;
                batch.max_timestamp = now;
            }
            Timestamps::Create(_) => {
                batch.attributes &= !LOG_APPEND_TIME;
                batch.max_timestamp = max_timestamp;
            }
        }

        if (header.max_timestamp, header.attributes) != (batch.max_timestamp, batch.attributes) {
            batch.put(21, &batch.attributes.to_be_bytes());
            batch.put(35, &batch.max_timestamp.to_be_bytes());
            batch.put_crc();
        }
        Ok(batch)
    }

    /// Reads a batch without other checks, if its bytes begin with a header and have the stated length.
    pub(in crate::broker) fn trusted(bytes: &[u8]) -> Option<Self> {
        let header = Header::read(bytes)?;
        let size = usize::try_from(header.length).ok()?.checked_add(LENGTH_FROM)?;
        (size == bytes.len() && header.last_offset_delta >= 0).then(|| Self::of(bytes.to_vec(), &header))
    }

    fn of(bytes: Vec<u8>, header: &Header) -> Self {
        Self {
            bytes,
            last_offset_delta: header.last_offset_delta,
            max_timestamp: header.max_timestamp,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            attributes: header.attributes,
        }
    }

    /// Returns the number of offsets that the batch takes.
    pub(in crate::broker) fn taken(&self) -> i32 {
        self.last_offset_delta.saturating_add(1)
    }

    /// Returns the id and the epoch of the producer, if the batch is part of a transaction.
    pub(in crate::broker) fn transaction(&self) -> Option<(i64, i16)> {
        let is_data = self.attributes & (TRANSACTIONAL | CONTROL) == TRANSACTIONAL;
        is_data.then_some((self.producer_id, self.producer_epoch))
    }

    /// Returns the time of the append, if the topic stores that.
    pub(super) fn append_time(&self) -> Option<i64> {
        (self.attributes & LOG_APPEND_TIME != 0).then_some(self.max_timestamp)
    }

    /// Returns whether the batch's sequences are checked.
    pub(super) fn has_sequence(&self) -> bool {
        self.producer_id >= 0 && self.base_sequence >= 0
    }

    /// Returns the sequence of the last record. Sequences continue from `i32::MAX` with 0.
    pub(super) fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// Returns its bytes with the place in the log, which the CRC does not cover.
    pub(super) fn placed_at(mut self, base_offset: i64, leader_epoch: i32) -> Bytes {
        self.put(0, &base_offset.to_be_bytes());
        self.put(12, &leader_epoch.to_be_bytes());
        Bytes::from(self.bytes)
    }

    fn put_crc(&mut self) {
        let crc = self.bytes.get(CHECKED_FROM..).map(crc32c::crc32c).unwrap_or_default();
        self.put(17, &crc.to_be_bytes());
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }
}

/// Returns the first record of a stored batch at or after a timestamp and at or after an offset: its timestamp and
/// offset.
pub(super) fn first_at(stored: &Bytes, timestamp: i64, start: i64) -> Option<(i64, i64)> {
    let header = Header::read(stored)?;
    let payload = decompress(header.codec()?, stored.get(HEADER..)?).ok()?;
    let found = walk(&payload).filter_map(Result::ok);
    found
        .map(|record| (header.timestamp_of(&record), header.base_offset.saturating_add(record.offset_delta)))
        .find(|(at, offset)| *at >= timestamp && *offset >= start)
}

/// Returns a stored batch without the records that a closure refuses; `None` if it keeps them all, or if they cannot be
/// read.
///
/// The offsets of the header stay (KAFKA-4586): the batch may begin and end with offsets that have no record.
pub(super) fn filtered(stored: &Bytes, mut keeps: impl FnMut(i64, Option<&[u8]>) -> bool) -> Option<(Bytes, i32)> {
    let header = Header::read(stored)?;
    let codec = header.codec()?;
    let payload = decompress(codec, stored.get(HEADER..)?).ok()?;
    let (mut kept, mut count, mut max_timestamp) = (Vec::new(), 0, header.max_timestamp);
    for record in walk(&payload) {
        let record = record.ok()?;
        if keeps(header.base_offset.saturating_add(record.offset_delta), record.key) {
            let timestamp = header.timestamp_of(&record);
            max_timestamp = if count == 0 { timestamp } else { max_timestamp.max(timestamp) };
            kept.extend_from_slice(record.bytes);
            count += 1;
        }
    }

    if count == header.count {
        return None;
    }

    let payload = if count == 0 { Vec::new() } else { compress(codec, &kept) };
    let mut batch = Batch::of([stored.get(..HEADER)?, &payload].concat(), &header);
    let length = i32::try_from(batch.bytes.len() - LENGTH_FROM).ok()?;
    batch.put(8, &length.to_be_bytes());
    batch.put(35, &max_timestamp.to_be_bytes());
    batch.put(57, &count.to_be_bytes());
    batch.put_crc();
    Some((batch.bytes.into(), count))
}

/// Returns the offsets and keys of the records of a stored batch, up to the first that cannot be read.
pub(super) fn records_of(stored: &Bytes) -> Vec<(i64, Option<Vec<u8>>)> {
    let records = || {
        let header = Header::read(stored)?;
        let payload = decompress(header.codec()?, stored.get(HEADER..)?).ok()?;
        let found = walk(&payload).map_while(Result::ok);
        let offset = |record: &Found<'_>| header.base_offset.saturating_add(record.offset_delta);
        Some(found.map(|record| (offset(&record), record.key.map(<[u8]>::to_vec))).collect())
    };
    records().unwrap_or_default()
}

/// Returns whether a stored batch holds control records.
pub(super) fn is_control(stored: &Bytes) -> bool {
    Header::read(stored).is_some_and(|header| header.attributes & CONTROL != 0)
}

/// Returns the largest timestamp of the records. Fails if the topic does not accept a record.
fn check_records(payload: &[u8], header: &Header, rules: &Rules) -> Result<i64, Refusal> {
    let (mut count, mut max_timestamp) = (0, i64::MIN);
    let (mut late, mut keyless) = (Vec::new(), Vec::new());

    for record in walk(payload) {
        let record = record.map_err(|_cause| invalid("a record is malformed"))?;
        let timestamp = header.timestamp_of(&record);
        max_timestamp = max_timestamp.max(timestamp);

        if let Timestamps::Create(bounds) = &rules.timestamps
            && timestamp != -1
            && !bounds.contains(&timestamp)
        {
            let message = format!("timestamp {timestamp} is not within {} and {}", bounds.start(), bounds.end());
            late.push((count, message));
        } else if rules.keys == Keys::Required && record.key.is_none() {
            let message = "a compacted topic takes no record without a key".to_owned();
            keyless.push((count, message));
        }
        count += 1;
    }

    if count != header.count {
        return Err(invalid(format!("the batch says {} records and has {count}", header.count)));
    }

    let (error, records) = match (late.is_empty(), keyless.is_empty()) {
        (true, true) => return Ok(max_timestamp),
        (false, _) => (ResponseError::InvalidTimestamp, late),
        (true, false) => (ResponseError::InvalidRecord, keyless),
    };
    let message = format!("{} of {count} records are refused", records.len());
    Err(Refusal { error, message: Some(message), records })
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ResponseError::InvalidRecord, message)
}

fn no_batch() -> Refusal {
    invalid("a partition is sent no whole record batch")
}

struct Header {
    base_offset: i64,
    length: i32,
    format: i8,
    crc: u32,
    attributes: i16,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    count: i32,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = bytes.get(..HEADER)?;
        Some(Self {
            base_offset: bytes.get_i64(),
            length: bytes.get_i32(),
            format: {
                let _leader_epoch = bytes.get_i32();
                bytes.get_i8()
            },
            crc: bytes.get_u32(),
            attributes: bytes.get_i16(),
            last_offset_delta: bytes.get_i32(),
            base_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            count: bytes.get_i32(),
        })
    }

    /// Returns the codec, `None` inside if there is none; `None` outside if its number is unknown.
    fn codec(&self) -> Option<Option<Codec>> {
        Codec::from_number(self.attributes & CODEC).ok()
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.count <= 0 || self.last_offset_delta.checked_add(1) != Some(self.count) {
            return Err(invalid("the number of records and the offsets do not fit"));
        }
        if self.attributes & CONTROL != 0 {
            return Err(invalid("clients do not write control records"));
        }

        if self.attributes & TRANSACTIONAL != 0 && self.producer_id < 0 {
            return Err(invalid("a transaction has a producer"));
        }
        if self.producer_id >= 0 && (self.base_sequence < 0 || self.producer_epoch < 0) {
            return Err(invalid("a producer's batch has a sequence"));
        }
        Ok(())
    }

    fn timestamp_of(&self, record: &Found<'_>) -> i64 {
        if self.attributes & LOG_APPEND_TIME != 0 {
            return self.max_timestamp;
        }
        self.base_timestamp.saturating_add(record.timestamp_delta)
    }
}

/// The error of a record that does not match its length.
#[derive(Debug, PartialEq, Eq)]
struct MalformedRecord;

/// The parts of a record that the broker checks.
#[derive(Debug, PartialEq, Eq)]
struct Found<'a> {
    timestamp_delta: i64,
    offset_delta: i64,
    key: Option<&'a [u8]>,
    /// The whole record with its length.
    bytes: &'a [u8],
}

/// Reads the records of a batch until the end, or until the first malformed one.
fn walk(payload: &[u8]) -> impl Iterator<Item = Result<Found<'_>, MalformedRecord>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = next(&mut rest).ok_or(MalformedRecord);
        if found.is_err() {
            rest = &[];
        }
        Some(found)
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<Found<'a>> {
    let from = *rest;
    let length = usize::try_from(varint(rest)?).ok()?;
    let mut record = take(rest, length)?;
    take(&mut record, 1)?;
    let timestamp_delta = varint(&mut record)?;
    let offset_delta = varint(&mut record)?;
    let key = nullable(&mut record)?;
    nullable(&mut record)?;
    for _ in 0..usize::try_from(varint(&mut record)?).ok()? {
        let name = usize::try_from(varint(&mut record)?).ok()?;
        take(&mut record, name)?;
        nullable(&mut record)?;
    }

    let bytes = from.get(..from.len() - rest.len())?;
    record.is_empty().then_some(Found { timestamp_delta, offset_delta, key, bytes })
}

/// Returns the bytes after their length; `None` inside for null.
fn nullable<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(rest)?;
    if length < 0 {
        return Some(None);
    }
    take(rest, usize::try_from(length).ok()?).map(Some)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}
