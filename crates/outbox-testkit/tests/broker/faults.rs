use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use outbox_testkit::{Broker, Fault, ResponseError};
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::ClientBuilder;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::record::Record;

const SOON: Duration = Duration::from_millis(200);

async fn start() -> (Broker, PartitionClient) {
    let broker = Broker::start().await.unwrap();
    broker.create_topic("orders", 2).unwrap();
    let client = connect(&broker, 0).await;
    (broker, client)
}

async fn connect(broker: &Broker, partition: i32) -> PartitionClient {
    let client = ClientBuilder::new(vec![broker.address()]).build().await.unwrap();
    client.partition_client("orders", partition, UnknownTopicHandling::Error).await.unwrap()
}

/// Sends one record; rskafka tries again by itself where the connection is closed or the error is one of leadership.
async fn send(client: &PartitionClient) -> Result<i64, Error> {
    let timestamp = DateTime::<Utc>::from_timestamp_millis(1_700_000_000_000).unwrap();
    let record = Record { key: None, value: Some(b"value".to_vec()), headers: BTreeMap::new(), timestamp };
    client.produce(vec![record], Compression::NoCompression).await.map(|offsets| offsets[0])
}

async fn end(client: &PartitionClient) -> i64 {
    client.get_offset(OffsetAt::Latest).await.unwrap()
}

fn code(error: &Error) -> ProtocolError {
    match error {
        Error::ServerError { protocol_error, .. } => *protocol_error,
        other => panic!("{other}"),
    }
}

async fn is_waiting<T>(future: impl Future<Output = T>) -> bool {
    tokio::time::timeout(SOON, future).await.is_err()
}

#[tokio::test]
async fn a_lost_answer_is_of_a_batch_that_was_appended() {
    let (broker, client) = start().await;
    let fault = broker.faults().inject(Fault::close_after_append().on("orders", 0));
    assert_eq!(send(&client).await.unwrap(), 1, "sent again, and this client is not idempotent");
    assert_eq!((fault.struck(), end(&client).await), (1, 2));
}

#[tokio::test]
async fn a_lost_request_is_not_appended() {
    let (broker, client) = start().await;
    let fault = broker.faults().inject(Fault::close_before_append());
    assert_eq!(send(&client).await.unwrap(), 0);
    assert_eq!((fault.struck(), end(&client).await), (1, 1));
}

#[tokio::test]
async fn a_late_batch_is_appended_at_its_release() {
    let (broker, client) = start().await;
    let fault = broker.faults().inject(Fault::append_after_close());
    assert_eq!(send(&client).await.unwrap(), 0);
    assert_eq!((fault.held(), end(&client).await), (1, 1));
    let reader = connect(&broker, 0).await;
    let waiting = tokio::spawn(async move { reader.fetch_records(1, 1..1000, 20_000).await.unwrap().0.len() });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(fault.release(), [Ok(1)]);
    assert_eq!(waiting.await.unwrap(), 1, "a waiting fetch sees it");
    assert!(fault.release().is_empty());
    assert_eq!(fault.held(), 0);
}

#[tokio::test]
async fn a_late_batch_of_a_deleted_topic_or_a_broker_that_is_gone_is_not_appended() {
    let (broker, client) = start().await;
    let fault = broker.faults().inject(Fault::append_after_close().times(2));
    send(&client).await.unwrap();
    let controller = ClientBuilder::new(vec![broker.address()]).build().await.unwrap().controller_client().unwrap();
    assert_eq!(fault.held(), 2);
    controller.delete_topic("orders", 1000).await.unwrap();
    broker.create_topic("orders", 2).unwrap();
    assert_eq!(fault.release(), [Err(ResponseError::UnknownTopicOrPartition); 2]);
    let fault = broker.faults().inject(Fault::append_after_close());
    send(&connect(&broker, 0).await).await.unwrap();
    broker.shutdown().await;
    assert_eq!(fault.release(), [Err(ResponseError::BrokerNotAvailable)]);
}

#[tokio::test]
async fn a_frozen_broker_answers_nothing_and_goes_on_where_it_stood() {
    let (broker, client) = start().await;
    broker.faults().freeze();
    assert!(is_waiting(send(&client)).await);
    assert!(is_waiting(connect(&broker, 0)).await);
    broker.faults().thaw();
    let late = async {
        while end(&client).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), late).await.expect("appended though its client had gone");
    assert_eq!(send(&client).await.unwrap(), 1);
}

#[tokio::test]
async fn a_partition_without_leader_has_one_again() {
    let (broker, client) = start().await;
    let fault = broker.faults().inject(Fault::not_leader().on("orders", 0).times(3));
    assert_eq!(send(&client).await.unwrap(), 0, "after three tries");
    assert_eq!(fault.struck(), 3);
    broker.faults().inject(Fault::not_leader());
    assert_eq!(client.fetch_records(0, 1..1000, 100).await.unwrap().0.len(), 1);
    broker.faults().inject(Fault::not_leader());
    assert_eq!(end(&client).await, 1);
}

#[tokio::test]
async fn errors_are_where_they_were_injected() {
    let (broker, client) = start().await;
    let other = connect(&broker, 1).await;
    let fault = Fault::reject(ResponseError::TopicAuthorizationFailed).on("orders", 1).until_lifted();
    let fault = broker.faults().inject(fault);
    for _ in 0..3 {
        assert_eq!(code(&send(&other).await.unwrap_err()), ProtocolError::TopicAuthorizationFailed);
    }

    assert_eq!(send(&client).await.unwrap(), 0);
    assert_eq!(end(&other).await, 0, "nothing was appended, and other requests are answered");
    fault.lift();
    assert_eq!((send(&other).await.unwrap(), fault.struck()), (0, 3));

    for (error, expected) in [
        (ResponseError::MessageTooLarge, ProtocolError::MessageTooLarge),
        (ResponseError::InvalidTimestamp, ProtocolError::InvalidTimestamp),
    ] {
        broker.faults().inject(Fault::reject(error).on_topic("orders"));
        assert_eq!(code(&send(&client).await.unwrap_err()), expected);
    }
    broker.faults().inject(Fault::reject(ResponseError::InvalidTimestamp).on_topic("payments"));
    send(&client).await.unwrap();
    broker.faults().inject(Fault::reject_fetch(ResponseError::TopicAuthorizationFailed));
    let error = client.fetch_records(0, 1..1000, 10_000).await.unwrap_err();
    assert_eq!(code(&error), ProtocolError::TopicAuthorizationFailed);
}

#[tokio::test]
async fn a_full_disk_stays_full_until_it_is_lifted() {
    let (broker, client) = start().await;
    send(&client).await.unwrap();
    let fault = broker.faults().inject(Fault::disk_full());
    for _ in 0..2 {
        assert_eq!(code(&send(&client).await.unwrap_err()), ProtocolError::KafkaStorageError);
    }
    assert_eq!(client.fetch_records(0, 1..1000, 100).await.unwrap().0.len(), 1, "it can be read");
    assert_eq!(fault.struck(), 2);
    broker.faults().lift_all();
    assert_eq!(send(&client).await.unwrap(), 1);
}

#[tokio::test]
async fn a_throttled_request_succeeds_and_its_connection_pauses() {
    let (broker, client) = start().await;
    let fault = broker.faults().inject(Fault::throttle(SOON));
    let started = Instant::now();
    // rskafka takes a throttled answer for a refusal, and sends the batch again.
    assert_eq!(send(&client).await.unwrap(), 1);
    assert!(started.elapsed() >= SOON);
    assert_eq!((fault.struck(), end(&client).await), (1, 2));
}

#[tokio::test]
async fn the_first_injected_happens_first_and_can_be_waited_for() {
    let (broker, client) = start().await;
    let first = broker.faults().inject(Fault::reject(ResponseError::MessageTooLarge));
    let second = broker.faults().inject(Fault::reject(ResponseError::InvalidTimestamp));
    assert!(is_waiting(second.until_struck(1)).await);
    assert_eq!(code(&send(&client).await.unwrap_err()), ProtocolError::MessageTooLarge);
    assert_eq!(code(&send(&client).await.unwrap_err()), ProtocolError::InvalidTimestamp);
    first.until_struck(1).await;
    second.until_struck(1).await;
    send(&client).await.unwrap();
}
