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
}

pub(crate) fn batch(count: i32) -> Batch {
    Batch { count, producer_id: -1, epoch: -1, sequence: -1, timestamp: 1_700_000_000_000, size: 1 }
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

    pub(crate) fn encode(self) -> Bytes {
        let record = |index: i32| Record {
            transactional: false,
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

/// Error code and base offset.
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
