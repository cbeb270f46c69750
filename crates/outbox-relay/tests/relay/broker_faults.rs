use std::time::Duration;

use outbox_relay::Readiness;
use outbox_test_support::TestEnv;
use outbox_testkit::{Api, Broker, Fault, ResponseError};
use tokio::time::Instant;

use crate::fixture::{RelayEnv, Running};

/// Creates a fixture on a broker that no other test uses, with a topic for dead letters that must stay empty.
async fn fixture(broker: &Broker) -> RelayEnv {
    let mut fixture = RelayEnv::at(TestEnv::builder().brokers(broker.address()), 2).await;
    fixture.dead_letters = Some(fixture.topic.replace(".order", ".dead"));
    fixture
}

pub(crate) async fn shows(relay: &Running, text: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        match relay.status.readiness() {
            Readiness::NotReady(reason) if reason.contains(text) => return,
            other => assert!(Instant::now() < deadline, "{other}, and not {text}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) async fn becomes_ready(relay: &Running) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !relay.status.readiness().is_ready() {
        assert!(Instant::now() < deadline, "{}", relay.status.readiness());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Checks that a lasting error is the reason for not being ready, that the relay recovers after it, and that no row
/// becomes a dead letter.
async fn lasting(api: Api, error: ResponseError, code: &str) {
    let broker = Broker::start().await.unwrap();
    let fixture = fixture(&broker).await;

    // Rows of the slot's window: their partitions are read first.
    fixture.enqueue_each(5, 0..20).await;
    let fault = broker.faults().inject(Fault::error(api, error).until_lifted());
    let relay = fixture.start();
    shows(&relay, code).await;
    fault.lift();
    fixture.enqueue_each(5, 20..40).await;
    fixture.confirmed().await;
    fixture.check(&fixture.records(40).await, 40);
    becomes_ready(&relay).await;
    assert!(fixture.read(fixture.dead_letters.as_ref().unwrap()).await.is_empty());
    relay.stop().await;
}

#[tokio::test]
async fn offsets_that_are_not_available_yet_are_asked_for_again() {
    lasting(Api::ListOffsets, ResponseError::OffsetNotAvailable, "OFFSET_NOT_AVAILABLE (78)").await;
}

#[tokio::test]
async fn a_storage_error_of_a_read_is_tried_again() {
    lasting(Api::ListOffsets, ResponseError::KafkaStorageError, "KAFKA_STORAGE_ERROR (56)").await;
}

#[tokio::test]
async fn an_unknown_error_of_a_producer_id_is_tried_again() {
    lasting(Api::InitProducerId, ResponseError::UnknownServerError, "UNKNOWN_SERVER_ERROR (-1)").await;
}

#[tokio::test]
async fn a_producer_id_that_is_forbidden_is_tried_again() {
    lasting(Api::InitProducerId, ResponseError::ClusterAuthorizationFailed, "CLUSTER_AUTHORIZATION_FAILED (31)").await;
}

#[tokio::test]
async fn an_unknown_error_of_metadata_is_tried_again() {
    lasting(Api::Metadata, ResponseError::UnknownServerError, "UNKNOWN_SERVER_ERROR (-1)").await;
}

#[tokio::test]
async fn a_replication_factor_that_is_too_large_at_present_is_tried_again() {
    let code = "INVALID_REPLICATION_FACTOR (38)";
    lasting(Api::CreateTopics, ResponseError::InvalidReplicationFactor, code).await;
}

#[tokio::test]
async fn a_policy_against_a_topic_is_tried_again() {
    lasting(Api::CreateTopics, ResponseError::PolicyViolation, "POLICY_VIOLATION (44)").await;
}

#[tokio::test]
async fn a_topic_that_may_not_be_written_is_tried_again() {
    lasting(Api::Produce, ResponseError::TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED (29)").await;
}

#[tokio::test]
async fn a_codec_that_the_broker_rejects_is_tried_again() {
    lasting(Api::Produce, ResponseError::UnsupportedCompressionType, "UNSUPPORTED_COMPRESSION_TYPE (76)").await;
}

/// A fetch is needed if rows of the window may be in the log already.
#[tokio::test]
async fn a_storage_error_of_a_fetch_is_tried_again() {
    let broker = Broker::start().await.unwrap();
    let fixture = fixture(&broker).await;
    fixture.enqueue_each(5, 0..20).await;
    let relay = fixture.start();
    fixture.confirmed().await;
    relay.kill().await;
    fixture.enqueue_each(5, 20..40).await;

    let fault = broker.faults().inject(Fault::reject_fetch(ResponseError::KafkaStorageError).until_lifted());
    let relay = fixture.start();
    shows(&relay, "KAFKA_STORAGE_ERROR (56)").await;
    fault.lift();
    fixture.confirmed().await;
    fixture.check(&fixture.records(40).await, 40);
    becomes_ready(&relay).await;
    relay.stop().await;
}

/// One request carries the batches of many partitions, and each has its own answer.
#[tokio::test]
async fn a_partition_that_fails_does_not_stop_those_of_the_same_request() {
    let broker = Broker::start().await.unwrap();
    let fixture = fixture(&broker).await;
    fixture.enqueue_each(5, 0..20).await;
    let relay = fixture.start();
    fixture.confirmed().await;

    let fault = Fault::reject(ResponseError::NotEnoughReplicas).on(&*fixture.topic, 0).until_lifted();
    let fault = broker.faults().inject(fault);
    fixture.enqueue_each(5, 20..60).await;
    shows(&relay, "NOT_ENOUGH_REPLICAS (19)").await;

    let stopped: Vec<String> =
        fixture.read(&fixture.topic).await.into_iter().filter(|it| it.partition == 0).map(|it| it.key).collect();
    let goal = (20..60).filter(|number| !stopped.contains(&format!("agg-{}", number % 5))).count();
    fixture.records(20 + goal).await;
    fault.lift();
    fixture.confirmed().await;
    fixture.check(&fixture.records(60).await, 60);
    becomes_ready(&relay).await;
    relay.stop().await;
}
