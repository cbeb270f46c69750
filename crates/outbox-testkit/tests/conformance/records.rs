use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{FetchRequest, ProduceRequest};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use super::client::{Client, topic_name};
use super::target::Topic;

/// The newest version that names topics.
pub(crate) const PRODUCE: i16 = 12;
pub(crate) const FETCH: i16 = 12;

/// A batch to send: records "0", "1" and so on, 1 ms apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) count: i32,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
    pub(crate) timestamp: i64,
    pub(crate) size: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Transactional,
}

pub(crate) fn batch(count: i32) -> Batch {
    Batch { count, producer_id: -1, epoch: -1, sequence: -1, timestamp: 1_700_000_000_000, size: 1, kind: Kind::Plain }
}

impl Batch {
    pub(crate) fn by(self, producer_id: i64, epoch: i16, sequence: i32) -> Self {
        Self { producer_id, epoch, sequence, ..self }
    }

    pub(crate) fn at(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }

    pub(crate) fn sized(self, size: usize) -> Self {
        Self { size, ..self }
    }

    pub(crate) fn transactional(self) -> Self {
        Self { kind: Kind::Transactional, ..self }
    }

    pub(crate) fn encode(self) -> Bytes {
        let record = |index: i32| Record {
            transactional: self.kind == Kind::Transactional,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(index),
            sequence: self.sequence.wrapping_add(index),
            timestamp: self.timestamp + i64::from(index),
            key: None,
            value: Some(Bytes::from(vec![b'0'; self.size])),
            headers: IndexMap::new(),
        };
        let records: Vec<_> = (0..self.count).map(record).collect();
        let mut out = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
        out.freeze()
    }
}

pub(crate) fn produce_request(topic: &Topic, partition: i32, version: i16, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic_data = TopicProduceData::default().with_partition_data(vec![data]);
    let topic_data =
        if version >= 13 { topic_data.with_topic_id(topic.id) } else { topic_data.with_name(topic_name(&topic.name)) };
    ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic_data])
}

/// Sends records to partition 0; the partition's answer.
pub(crate) async fn produce(client: &mut Client, topic: &Topic, records: Bytes) -> PartitionProduceResponse {
    let answer = client.call(PRODUCE, produce_request(topic, 0, PRODUCE, records)).await;
    answer.responses[0].partition_responses[0].clone()
}

/// Returns error code and base offset.
pub(crate) async fn send(client: &mut Client, topic: &Topic, batch: Batch) -> (i16, i64) {
    let answer = produce(client, topic, batch.encode()).await;
    (answer.error_code, answer.base_offset)
}

pub(crate) fn fetch_request(topic: &Topic, version: i16, partitions: Vec<FetchPartition>) -> FetchRequest {
    let fetched = FetchTopic::default().with_partitions(partitions);
    let fetched =
        if version >= 13 { fetched.with_topic_id(topic.id) } else { fetched.with_topic(topic_name(&topic.name)) };
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(50_000_000)
        .with_session_epoch(-1)
        .with_topics(vec![fetched])
}

pub(crate) fn from(partition: i32, offset: i64, max_bytes: i32) -> FetchPartition {
    FetchPartition::default().with_partition(partition).with_fetch_offset(offset).with_partition_max_bytes(max_bytes)
}

/// Fetches from partition 0 without waiting.
pub(crate) async fn fetch(client: &mut Client, topic: &Topic, offset: i64, max_bytes: i32) -> PartitionData {
    let answer = client.call(FETCH, fetch_request(topic, FETCH, vec![from(0, offset, max_bytes)])).await;
    answer.responses[0].partitions[0].clone()
}

pub(crate) fn base_offset(records: &[u8]) -> i64 {
    i64::from_be_bytes(records[..8].try_into().unwrap())
}

/// Sends records to partition 0: error code and base offset.
pub(crate) async fn produced(client: &mut Client, topic: &Topic, records: Bytes) -> (i16, i64) {
    let answer = produce(client, topic, records).await;
    (answer.error_code, answer.base_offset)
}

/// The header of a stored batch, and the type of a control batch: 0 for abort, 1 for commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) attributes: i16,
    /// Id, epoch, and first sequence.
    pub(crate) producer: (i64, i16, i32),
    pub(crate) count: i32,
    pub(crate) control: Option<i16>,
}

/// Returns the present, in ms since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().unwrap()
}

/// Returns the whole batches of stored bytes.
fn split(mut stored: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while stored.len() > 12 {
        let size = usize::try_from(i32::from_be_bytes(number(stored, 8))).unwrap() + 12;
        let Some((batch, rest)) = stored.split_at_checked(size) else { break };
        found.push(batch);
        stored = rest;
    }
    found
}

pub(crate) fn batches(stored: &[u8]) -> Vec<Described> {
    let described = split(stored).into_iter().map(|batch| {
        assert_eq!(batch[17..21], crc32c::crc32c(&batch[21..]).to_be_bytes());
        let attributes = i16::from_be_bytes(number(batch, 21));
        let base_offset = base_offset(batch);

        // Length, attributes, two deltas, the length of the key, and the version of the key come before the type.
        let control = (attributes & 0x20 != 0).then(|| i16::from_be_bytes(number(batch, 61 + 7)));

        Described {
            base_offset,
            last_offset: base_offset + i64::from(i32::from_be_bytes(number(batch, 23))),
            attributes,
            producer: (
                i64::from_be_bytes(number(batch, 43)),
                i16::from_be_bytes(number(batch, 51)),
                i32::from_be_bytes(number(batch, 53)),
            ),
            count: i32::from_be_bytes(number(batch, 57)),
            control,
        }
    });
    described.collect()
}

/// Returns the offsets and keys of the records of each batch, which are uncompressed and have a key.
pub(crate) fn records_of(stored: &[u8]) -> Vec<Vec<(i64, Vec<u8>)>> {
    let of_batch = |batch: &[u8]| {
        let (mut rest, mut found) = (&batch[61..], Vec::new());
        while !rest.is_empty() {
            let length = usize::try_from(varint(&mut rest)).unwrap();
            let (mut record, after) = rest.split_at(length);
            rest = after;
            record = &record[1..];
            varint(&mut record);
            let offset = base_offset(batch) + varint(&mut record);
            let key = usize::try_from(varint(&mut record)).unwrap();
            found.push((offset, record[..key].to_vec()));
        }
        found
    };
    split(stored).into_iter().map(of_batch).collect()
}

fn varint(rest: &mut &[u8]) -> i64 {
    let (mut value, mut shift) = (0_u64, 0);
    loop {
        let byte = rest[0];
        *rest = &rest[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
        }
    }
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap()));
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// Returns one record with the timestamp of its batch.
pub(crate) fn record_bytes(
    offset_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&str, Option<&[u8]>)],
) -> Vec<u8> {
    let mut body = vec![0, 0];
    put_varint(&mut body, offset_delta);
    put_nullable(&mut body, key);
    put_nullable(&mut body, value);
    put_varint(&mut body, i64::try_from(headers.len()).unwrap());
    for (name, value) in headers {
        put_nullable(&mut body, Some(name.as_bytes()));
        put_nullable(&mut body, *value);
    }
    let mut record = Vec::new();
    put_nullable(&mut record, Some(&body));
    record
}

/// Returns a batch with the header of another, and these records.
pub(crate) fn with_payload(sent: &Bytes, payload: &[u8]) -> Bytes {
    let mut batch = [&sent[..61], payload].concat();
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}
