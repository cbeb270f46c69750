use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, FetchRequest, FindCoordinatorRequest, InitProducerIdRequest,
    ListOffsetsRequest, MetadataRequest,
};
use outbox_core::record::Record;
use outbox_testkit::{Api, Broker, Codec, Fault, RecordBatch, ResponseError};

use crate::client::{Client, text, topic_name};

const ERROR: ResponseError = ResponseError::OffsetNotAvailable;
const SOON: Duration = Duration::from_millis(200);

async fn start() -> (Broker, Client) {
    let broker = Broker::start().await.unwrap();
    broker.create_topic("orders", 2).unwrap();
    let client = Client::connect(&broker.address()).await;
    (broker, client)
}

fn list_offsets() -> ListOffsetsRequest {
    let partition = |index| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(topic_name("orders"));
    ListOffsetsRequest::default().with_topics(vec![topic.with_partitions(vec![partition(0), partition(1)])])
}

async fn listed(client: &mut Client) -> [i16; 2] {
    let answer = client.call(5, list_offsets()).await;
    [0, 1].map(|index| answer.topics[0].partitions[index].error_code)
}

async fn metadata(client: &mut Client) -> (i16, Vec<(i16, i32)>) {
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name("orders")));
    let answer = client.call(8, MetadataRequest::default().with_topics(Some(vec![asked]))).await;
    let topic = &answer.topics[0];
    (topic.error_code, topic.partitions.iter().map(|found| (found.error_code, found.leader_id.0)).collect())
}

fn init() -> InitProducerIdRequest {
    InitProducerIdRequest::default().with_transactional_id(None)
}

#[tokio::test]
async fn an_error_happens_where_and_as_often_as_it_is_asked_for() {
    let (broker, mut client) = start().await;
    let fault = broker.faults().inject(Fault::error(Api::ListOffsets, ERROR).on("orders", 1).times(2));
    assert_eq!(listed(&mut client).await, [0, 78]);
    assert_eq!(listed(&mut client).await, [0, 78]);
    assert_eq!(listed(&mut client).await, [0, 0]);
    assert_eq!(fault.struck(), 2);
    let fault = broker.faults().inject(Fault::error(Api::ListOffsets, ERROR).until_lifted());
    assert_eq!(listed(&mut client).await, [78, 78]);
    fault.lift();
    assert_eq!(listed(&mut client).await, [0, 0]);
}

#[tokio::test]
async fn metadata_fails_for_a_topic_or_one_partition() {
    let (broker, mut client) = start().await;
    broker.faults().inject(Fault::error(Api::Metadata, ResponseError::TopicAuthorizationFailed).on_topic("orders"));
    assert_eq!(metadata(&mut client).await, (29, vec![]));
    broker.faults().inject(Fault::error(Api::Metadata, ResponseError::LeaderNotAvailable).on("orders", 1));
    assert_eq!(metadata(&mut client).await, (0, vec![(0, 1), (5, -1)]));
    broker.faults().inject(Fault::error(Api::Metadata, ResponseError::LeaderNotAvailable).on_topic("others"));
    assert_eq!(metadata(&mut client).await, (0, vec![(0, 1), (0, 1)]));
}

#[tokio::test]
async fn apis_without_partitions_fail_too() {
    let (broker, mut client) = start().await;
    for api in [Api::InitProducerId, Api::FindCoordinator, Api::CreateTopics, Api::Fetch, Api::ApiVersions] {
        broker.faults().inject(Fault::error(api, ERROR));
    }

    assert_eq!(client.call(1, init()).await.error_code, 78);
    assert_eq!(client.call(1, init()).await.error_code, 0);
    let coordinator = || FindCoordinatorRequest::default().with_key(text("group"));
    assert_eq!(client.call(2, coordinator()).await.error_code, 78);
    assert_eq!(client.call(2, coordinator()).await.error_code, 0);

    let topic = CreatableTopic::default().with_name(topic_name("made")).with_num_partitions(1);
    let create = CreateTopicsRequest::default().with_topics(vec![topic.with_replication_factor(1)]);
    assert_eq!(client.call(5, create.clone()).await.topics[0].error_code, 78);
    assert_eq!(client.call(5, create).await.topics[0].error_code, 0, "it was not created before");
    let fetched = FetchTopic::default().with_topic(topic_name("orders"));
    let fetch = FetchRequest::default().with_topics(vec![fetched.with_partitions(vec![FetchPartition::default()])]);
    assert_eq!(client.call(4, fetch).await.responses[0].partitions[0].error_code, 78);
    assert_eq!(client.call(0, ApiVersionsRequest::default()).await.error_code, 78);
}

#[tokio::test]
async fn the_connection_closes_before_or_after_the_effect() {
    let (broker, mut client) = start().await;
    let first = client.call(1, init()).await.producer_id.0;
    for (fault, effects) in
        [(Fault::close_before(Api::InitProducerId), 0), (Fault::close_after(Api::InitProducerId), 1)]
    {
        let before = client.call(1, init()).await.producer_id.0;
        let fault = broker.faults().inject(fault);
        client.send(1, &init()).await;
        client.assert_closed().await;
        assert_eq!(fault.struck(), 1);
        client = Client::connect(&broker.address()).await;
        assert_eq!(client.call(1, init()).await.producer_id.0, before + effects + 1, "from {first} on");
    }
}

#[tokio::test]
async fn an_answer_is_late_or_never_comes() {
    let (broker, mut client) = start().await;
    broker.faults().inject(Fault::delay(Api::Metadata, SOON));
    let started = Instant::now();
    assert_eq!(metadata(&mut client).await.0, 0);
    assert!(started.elapsed() >= SOON);

    let fault = broker.faults().inject(Fault::no_answer(Api::ListOffsets).on_topic("orders"));
    client.send(5, &list_offsets()).await;
    client.send(0, &ApiVersionsRequest::default()).await;
    fault.until_struck(1).await;
    assert!(tokio::time::timeout(SOON, client.receive_raw()).await.is_err(), "nor is what follows");
    let mut other = Client::connect(&broker.address()).await;
    assert_eq!(listed(&mut other).await, [0, 0]);
}

#[tokio::test]
async fn any_answer_can_be_throttled() {
    let (broker, mut client) = start().await;
    let throttled = i32::try_from(SOON.as_millis()).unwrap();
    broker.faults().inject(Fault::throttle_api(Api::InitProducerId, SOON));
    let started = Instant::now();
    let answer = client.call(1, init()).await;
    assert_eq!((answer.error_code, answer.throttle_time_ms), (0, throttled));
    assert_eq!(client.call(1, init()).await.throttle_time_ms, 0);
    assert!(started.elapsed() >= SOON, "the connection pauses");
    broker.faults().inject(Fault::throttle_api(Api::ListOffsets, SOON).on("orders", 1));
    assert_eq!(client.call(5, list_offsets()).await.throttle_time_ms, throttled);
}

fn record(value: &str) -> Record {
    let mut record = Record::new("orders");
    (record.key, record.value) = (Some("key".into()), Some(value.to_owned().into()));
    record
}

#[tokio::test]
async fn tests_append_records_transactions_and_bytes() {
    let (broker, mut client) = start().await;
    assert_eq!(broker.append("orders", 0, RecordBatch::new([record("0"), record("1")])).unwrap(), 0);
    for (offset, codec) in (2..).zip([Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]) {
        assert_eq!(broker.append("orders", 0, RecordBatch::from(record("2")).compressed(codec)).unwrap(), offset);
    }
    let mut aborted = broker.begin_transaction();
    assert_eq!(aborted.append("orders", 0, record("6")).unwrap(), 6);
    assert_eq!(aborted.append("orders", 0, vec![record("7"), record("8")]).unwrap(), 7);
    aborted.abort();
    let mut open = broker.begin_transaction();
    assert_eq!(open.append("orders", 0, record("10")).unwrap(), 10);
    let error = broker.append("orders", 2, record("lost")).unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::UnknownTopicOrPartition));
    assert!(error.to_string().contains("orders"));
    assert_eq!(broker.append("orders", 0, vec![]).unwrap_err().code(), Some(ResponseError::InvalidRecord));

    let partition = FetchPartition::default().with_partition_max_bytes(100_000);
    let fetched = FetchTopic::default().with_topic(topic_name("orders")).with_partitions(vec![partition]);
    let fetch = FetchRequest::default().with_topics(vec![fetched]).with_max_bytes(100_000);
    let answer = client.call(11, fetch.clone().with_session_epoch(-1).with_isolation_level(1)).await;
    let found = &answer.responses[0].partitions[0];
    assert_eq!((found.high_watermark, found.last_stable_offset), (11, 10));
    assert_eq!(found.aborted_transactions.as_ref().unwrap()[0].first_offset, 6);

    // The last batch again as bytes, with a byte of its records changed: a reader meets the wrong CRC.
    open.commit();
    let answer = client.call(11, fetch.with_session_epoch(-1)).await;
    let stored = answer.responses[0].partitions[0].records.clone().unwrap();
    let size = usize::try_from(i32::from_be_bytes(stored[8..12].try_into().unwrap())).unwrap() + 12;
    let mut changed = stored[..size].to_vec();
    changed[size - 1] ^= 1;
    assert_eq!(broker.append("orders", 1, RecordBatch::from_bytes(changed)).unwrap(), 0);
    assert_eq!(broker.append("orders", 1, record("behind")).unwrap(), 2);
    let error = broker.append("orders", 1, RecordBatch::from_bytes(stored.slice(..size - 1))).unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::CorruptMessage));
}
