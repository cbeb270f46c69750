use std::collections::BTreeMap;
use std::io::Write;

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, DescribeProducersRequest, InitProducerIdRequest, MetadataRequest, ProduceRequest,
};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use outbox_testkit::{Api, Broker, Codec, Fault, Imitation, ResponseError};
use uuid::Uuid;

use crate::client::{Client, topic_name};

async fn start(imitation: Imitation) -> (Broker, Client) {
    let broker = Broker::builder().imitating(imitation).start().await.unwrap();
    broker.create_topic("orders", 1).unwrap();
    let client = Client::connect(&broker.address()).await;
    (broker, client)
}

/// Returns one record of a producer.
fn batch(producer_id: i64, size: usize) -> Bytes {
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id,
        producer_epoch: 0,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: 0,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(vec![b'0'; size].into()),
        headers: IndexMap::new(),
    };

    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, [&record], &options).unwrap();
    out.freeze()
}

/// Returns one record in a codec, by its number. Snappy and LZ4 are only in the attributes: the payload stays as it is.
fn compressed(codec: u8) -> Bytes {
    let plain = batch(-1, 100);
    let (header, payload) = plain.split_at(61);
    let payload = match codec {
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(payload).unwrap();
            encoder.finish().unwrap()
        }
        4 => zstd::encode_all(payload, 0).unwrap(),
        _ => payload.to_vec(),
    };
    let mut batch = [header, &payload].concat();
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = codec;

    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

fn produce_request(records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_records(Some(records));
    let topic = TopicProduceData::default().with_name(topic_name("orders")).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic])
}

async fn produce(client: &mut Client, records: Bytes) -> PartitionProduceResponse {
    let answer = client.call(7, produce_request(records)).await;
    answer.responses[0].partition_responses[0].clone()
}

async fn ranges(client: &mut Client) -> BTreeMap<i16, (i16, i16)> {
    let answer = client.call(0, ApiVersionsRequest::default()).await;
    answer.api_keys.iter().map(|range| (range.api_key, (range.min_version, range.max_version))).collect()
}

#[tokio::test]
async fn a_missing_api_is_not_listed_and_closes_the_connection() {
    let (broker, mut client) = start(Imitation::new().without_api(Api::InitProducerId)).await;
    assert!(!ranges(&mut client).await.contains_key(&(ApiKey::InitProducerId as i16)));
    client.send(0, &InitProducerIdRequest::default().with_transactional_id(None)).await;
    client.assert_closed().await;
    let mut other = Client::connect(&broker.address()).await;
    assert_eq!(produce(&mut other, batch(-1, 1)).await.error_code, 0);
}

#[tokio::test]
async fn versions_beyond_the_narrowed_are_not_served() {
    let (broker, mut client) = start(Imitation::new().versions(Api::Metadata, 2..=5)).await;
    assert_eq!(ranges(&mut client).await[&3], (2, 5));
    client.call(5, MetadataRequest::default()).await;
    for version in [1, 6] {
        let mut client = Client::connect(&broker.address()).await;
        client.send_raw(3, version, 1, b"\0\0\0\0").await;
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn topic_ids_are_missing_or_nil() {
    let (_broker, mut client) = start(Imitation::new().without_topic_ids()).await;
    let ranges = ranges(&mut client).await;
    for (api, newest) in [(3, 9), (0, 12), (1, 12), (19, 6), (20, 5)] {
        assert_eq!(ranges[&api].1, newest, "{api}");
    }
    let (_broker, mut client) = start(Imitation::new().nil_topic_ids()).await;
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name("orders")));
    let answer = client.call(12, MetadataRequest::default().with_topics(Some(vec![asked]))).await;
    assert_eq!((answer.topics[0].error_code, answer.topics[0].topic_id), (0, Uuid::nil()));
}

#[tokio::test]
async fn other_codecs_are_refused() {
    let imitation = Imitation::new().compression([Codec::Gzip, Codec::Zstd]);
    let (_broker, mut client) = start(imitation.clone()).await;
    for (codec, expected) in [(0, 0), (1, 0), (2, 76), (3, 76), (4, 0)] {
        assert_eq!(produce(&mut client, compressed(codec)).await.error_code, expected, "{codec}");
    }
    let (_broker, mut client) = start(imitation.compression_error(ResponseError::InvalidRecord)).await;
    assert_eq!(produce(&mut client, compressed(3)).await.error_code, 87);
}

#[tokio::test]
async fn a_repeated_batch_is_answered_without_a_time() {
    for (imitation, expected) in
        [(Imitation::new(), 1_700_000_000_000), (Imitation::new().without_repeat_timestamps(), -1)]
    {
        let (_broker, mut client) = start(imitation).await;
        let sent = batch(7, 1);
        assert_eq!(produce(&mut client, sent.clone()).await.log_append_time_ms, -1);
        let again = produce(&mut client, sent).await;
        assert_eq!((again.error_code, again.base_offset, again.log_append_time_ms), (0, 0, expected));
    }
}

#[tokio::test]
async fn retriable_errors_become_the_generic_one() {
    let (broker, mut client) = start(Imitation::new().generic_error(ResponseError::KafkaStorageError)).await;
    for (error, expected) in [
        (ResponseError::NotLeaderOrFollower, 56),
        (ResponseError::NotEnoughReplicas, 56),
        (ResponseError::TopicAuthorizationFailed, 29),
    ] {
        broker.faults().inject(Fault::reject(error));
        assert_eq!(produce(&mut client, batch(-1, 1)).await.error_code, expected);
    }
}

#[tokio::test]
async fn limits_are_those_of_the_imitation() {
    let (_broker, mut client) = start(Imitation::new().max_message_bytes(500).max_request_bytes(5000)).await;
    assert_eq!(produce(&mut client, batch(-1, 400)).await.error_code, 0);
    assert_eq!(produce(&mut client, batch(-1, 500)).await.error_code, 10);
    client.send(7, &produce_request(batch(-1, 6000))).await;
    client.assert_closed().await;
}

#[tokio::test]
async fn a_newer_api_versions_request_closes_the_connection() {
    let imitation = Imitation::new().versions(Api::ApiVersions, 0..=3).closes_on_newer_api_versions();
    let (_broker, mut client) = start(imitation).await;
    assert_eq!(ranges(&mut client).await[&18], (0, 3));
    client.send_raw(18, 4, 2, b"\x01\x01\0").await;
    client.assert_closed().await;
    let (_broker, mut client) = start(Imitation::kafka_2_8()).await;
    client.send_raw(18, 4, 2, b"\x01\x01\0").await;
    assert_eq!(client.receive_raw().await.unwrap()[4..6], 35_i16.to_be_bytes());
}

#[tokio::test]
async fn presets_are_what_their_sources_say() {
    let newest = async |imitation| ranges(&mut start(imitation).await.1).await;
    let kafka = newest(Imitation::kafka_2_4()).await;
    assert_eq!((kafka[&0], kafka[&1], kafka[&3], kafka.get(&61)), ((3, 8), (4, 11), (0, 9), None));
    let kafka = newest(Imitation::kafka_2_8()).await;
    assert_eq!((kafka[&0], kafka[&1], kafka[&3], kafka[&61]), ((3, 9), (4, 12), (0, 11), (0, 0)));
    let kafka = newest(Imitation::kafka_3_9()).await;
    assert_eq!((kafka[&0], kafka[&1], kafka[&3]), ((3, 11), (4, 17), (0, 12)));
    let redpanda = newest(Imitation::redpanda_before_topic_ids()).await;
    assert_eq!((redpanda[&0], redpanda[&1], redpanda[&3]), ((3, 7), (4, 11), (0, 8)));
    let warpstream = newest(Imitation::warpstream()).await;
    assert_eq!((warpstream.get(&21), warpstream.get(&61)), (None, None));
    assert!(warpstream.contains_key(&22));

    for (imitation, gzip) in [(Imitation::azure_event_hubs_premium(), 0), (Imitation::azure_event_hubs_standard(), 43)]
    {
        let (_broker, mut client) = start(imitation).await;
        let event_hubs = ranges(&mut client).await;
        assert_eq!((event_hubs[&0], event_hubs[&1], event_hubs[&3]), ((3, 7), (4, 6), (0, 5)));
        assert_eq!((event_hubs[&22], event_hubs.get(&21), event_hubs.get(&61)), ((0, 1), None, None));
        assert_eq!(produce(&mut client, batch(-1, 1)).await.error_code, 0);
        assert_eq!(produce(&mut client, compressed(1)).await.error_code, gzip);
        assert_eq!(produce(&mut client, compressed(3)).await.error_code, 43);
        client.send(0, &DescribeProducersRequest::default()).await;
        client.assert_closed().await;
    }
}
