use std::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::{
    ApiKey, CreatePartitionsRequest, CreatePartitionsResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, StrBytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::fixture::RelayEnv;

/// Raises a topic's number of partitions, which rskafka cannot.
async fn raise(brokers: &str, topic: &str, count: i32) {
    const VERSION: i16 = 3;
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![
            CreatePartitionsTopic::default()
                .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
                .with_count(count)
                .with_assignments(None),
        ])
        .with_timeout_ms(10_000);
    let mut frame = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(ApiKey::CreatePartitions as i16)
        .with_request_api_version(VERSION);
    header.encode(&mut frame, ApiKey::CreatePartitions.request_header_version(VERSION)).unwrap();
    request.encode(&mut frame, VERSION).unwrap();

    let mut stream = TcpStream::connect(brokers).await.unwrap();
    let mut length = BytesMut::new();
    length.put_u32(u32::try_from(frame.len()).unwrap());
    stream.write_all(&length).await.unwrap();
    stream.write_all(&frame).await.unwrap();

    let mut answer = vec![0; stream.read_u32().await.unwrap() as usize];
    stream.read_exact(&mut answer).await.unwrap();
    let mut answer = answer.as_slice();
    ResponseHeader::decode(&mut answer, ApiKey::CreatePartitions.response_header_version(VERSION)).unwrap();
    let answer_to = CreatePartitionsResponse::decode(&mut answer, VERSION).unwrap();
    assert!(!answer.has_remaining() && answer_to.results[0].error_code == 0, "{answer_to:?}");
}

/// No batch fails when partitions are added, so nothing but a look reports.
#[tokio::test]
async fn added_partitions_are_used_without_a_restart() {
    let fixture = RelayEnv::new(1).await;
    let relay = fixture.start_with(|settings| settings.look_at_topics_every(Duration::from_millis(100)));
    fixture.enqueue_each(20, 0..40).await;
    fixture.records(40).await;

    // Under load: what is on its way when they are noticed is not written twice.
    let raised = async { raise(&fixture.brokers, &fixture.topic, 4).await };
    tokio::join!(fixture.enqueue_each(20, 40..400), raised);
    let deadline = Instant::now() + Duration::from_secs(120);
    while !relay.status.prometheus_text().contains("outbox_relay_restarts_total 1\n") {
        assert!(Instant::now() < deadline, "the new partitions were not noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fixture.enqueue_each(20, 400..480).await;
    fixture.confirmed().await;
    let records = fixture.records(480).await;
    let mut numbers: Vec<i64> = records.iter().map(|record| record.value.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..480), "lost or duplicated");

    let used: std::collections::BTreeSet<i32> = records.iter().map(|record| record.partition).collect();
    assert_eq!(used.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    relay.stop().await;
}
