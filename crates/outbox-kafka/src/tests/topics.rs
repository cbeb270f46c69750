//! Topics, and clusters that are not there.

use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::*;

#[tokio::test]
async fn a_topic_is_made_with_its_settings_and_once() {
    Scene::play(3, &[("retention.ms", "12345"), ("cleanup.policy", "compact")], |scene| async move {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(StrBytes::from_string(scene.topic.name().to_owned()))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = scene.cluster.any(&request).await.unwrap();
        let value = |name: &str| {
            let config = answer.results[0].configs.iter().find(|config| config.name.as_str() == name).unwrap();
            config.value.as_ref().unwrap().to_string()
        };
        assert_eq!((value("retention.ms"), value("cleanup.policy")), ("12345".to_owned(), "compact".to_owned()));

        let again = NewTopic { name: scene.topic.name().to_owned(), partitions: Some(7), ..NewTopic::default() };
        let topic = scene.cluster.create_topic(&again).await.unwrap();
        assert_eq!((topic.id(), topic.partitions()), (scene.topic.id(), 3));
    })
    .await;
}

#[tokio::test]
async fn a_topic_is_checked_without_being_created_or_written() {
    Scene::play(2, &[("max.message.bytes", "54321")], |scene| async move {
        let (cluster, name) = (&scene.cluster, scene.topic.name());
        let rights = cluster.topic_rights(name).await.unwrap().unwrap();
        assert_eq!((rights.partitions, rights.may_read(), rights.may_write()), (2, Some(true), Some(true)));
        assert_eq!(cluster.max_message_bytes(name).await.unwrap(), Some(54_321));

        let missing = NewTopic { name: unique_name(), ..NewTopic::default() };
        assert_eq!(cluster.topic_rights(&missing.name).await.unwrap(), None);
        cluster.check_create_topic(&missing).await.unwrap();
        assert!(cluster.refreshed(&missing.name).await.unwrap().is_none());
        let error = cluster.check_create_topic(&NewTopic { replication: Some(9), ..missing }).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode(38)));
    })
    .await;
}

#[tokio::test]
async fn a_topic_that_cannot_be_made_says_why() {
    let cluster = cluster();
    let error = cluster
        .create_topic(&NewTopic { name: unique_name(), replication: Some(9), ..NewTopic::default() })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode(38)));
    assert!(error.to_string().contains("CreateTopics") && error.to_string().contains("INVALID_REPLICATION_FACTOR"));
    let error =
        cluster.create_topic(&NewTopic { name: "not legal".to_owned(), ..NewTopic::default() }).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_TOPIC_EXCEPTION));
    let error = cluster.topic("not legal").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_TOPIC_EXCEPTION));
}

#[tokio::test]
async fn an_unknown_topic_is_none_and_is_not_made() {
    let cluster = cluster();
    let name = unique_name();
    assert!(cluster.topic(&name).await.unwrap().is_none());
    assert!(cluster.refreshed(&name).await.unwrap().is_none());
}

#[tokio::test]
async fn wrong_addresses_are_told_in_time() {
    let settings = |bootstrap: &[&str]| Settings {
        connect_timeout: Duration::from_millis(300),
        request_timeout: Duration::from_millis(500),
        retry_timeout: Duration::from_millis(500),
        ..Settings::new(bootstrap.iter().copied())
    };
    let begin = Instant::now();
    let error = Cluster::new(settings(&["127.0.0.1:1"])).topic("orders").await.unwrap_err();
    assert_eq!(error.to_string(), "Kafka at 127.0.0.1:1, topic orders: cannot connect");

    let error = Cluster::new(settings(&["127.0.0.1:1", "127.0.0.1:2"])).topic("orders").await.unwrap_err();
    assert_eq!(error.to_string(), "Kafka, topic orders: no broker can be reached");
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert!(error.is_transient());
    assert!(Cluster::new(settings(&[])).topic("orders").await.is_err());
}

#[tokio::test]
async fn one_broker_that_answers_is_enough() {
    let stack = Stack::connect().unwrap();
    let cluster = Cluster::new(Settings::new(["127.0.0.1:1".to_owned(), stack.kafka_bootstrap()]));
    assert!(cluster.topic(&unique_name()).await.unwrap().is_none());
}
