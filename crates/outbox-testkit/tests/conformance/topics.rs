use std::sync::Arc;

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest};
use uuid::Uuid;

use super::client::{text, topic_name};
use super::target::Target;

fn topic(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
}

async fn create(target: &Target, version: i16, topics: Vec<CreatableTopic>) -> Vec<i16> {
    let request = CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(10_000);
    let answer = target.client().await.call(version, request).await;
    answer.topics.iter().map(|topic| topic.error_code).collect()
}

pub(crate) async fn refused(target: Arc<Target>) {
    let made = target.topic(1).await;
    let name = target.fresh_name();
    let config =
        |name, value: Option<&str>| CreatableTopicConfig::default().with_name(text(name)).with_value(value.map(text));

    let assigned = |partitions: &[i32], broker: i32| {
        let assignments = partitions.iter().map(|partition| {
            let assignment = CreatableReplicaAssignment::default().with_partition_index(*partition);
            assignment.with_broker_ids(vec![broker.into()])
        });
        topic(&name, -1, -1).with_assignments(assignments.collect())
    };
    let cases = [
        (topic(&made.name, 1, 1), 36),
        (topic("not/legal", 1, 1), 17),
        (topic("", 1, 1), 17),
        (topic(".", 1, 1), 17),
        (topic("..", 1, 1), 17),
        (topic(&"x".repeat(250), 1, 1), 17),
        (topic(&made.name.replace('-', "."), 0, 1), 37),
        (topic(&name, 0, 1), 37),
        (topic(&name, -2, 1), 37),
        (topic(&name, 10_001, 1), 44),
        (topic(&name, 1, 2), 38),
        (topic(&name, 1, 0), 38),
        (topic(&name, 1, 1).with_configs(vec![config("no.such.setting", Some("1"))]), 40),
        (topic(&name, 1, 1).with_configs(vec![config("max.message.bytes", Some("many"))]), 40),
        (topic(&name, 1, 1).with_configs(vec![config("max.message.bytes", None)]), 40),
        (assigned(&[0], 1).with_num_partitions(1), 42),
        (assigned(&[0], 77), 39),
        (assigned(&[0, 2], 1), 39),
    ];

    for (topic, expected) in cases {
        let described = format!("{topic:?}");
        assert_eq!(create(&target, 7, vec![topic]).await, [expected], "{described}");
    }

    assert_eq!(create(&target, 7, vec![topic(&name, 1, 1), topic(&name, 1, 1)]).await, [42]);
    let dotted = format!("{name}.a_b");
    let request = CreateTopicsRequest::default().with_topics(vec![topic(&dotted, 1, 1)]).with_validate_only(true);
    assert_eq!(target.client().await.call(7, request.with_timeout_ms(10_000)).await.topics[0].error_code, 0);
}

pub(crate) async fn settings(target: Arc<Target>) {
    for version in 2..=7 {
        let name = target.fresh_name();
        let partitions = if version >= 4 { -1 } else { 2 };
        let replicas = if version >= 4 { -1 } else { 1 };
        let configs = [("cleanup.policy", "compact,delete"), ("retention.ms", "1000"), ("min.insync.replicas", "1")];
        let configs = configs
            .map(|(name, value)| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value))));
        let asked = topic(&name, partitions, replicas).with_configs(configs.to_vec());
        let request = CreateTopicsRequest::default().with_topics(vec![asked]).with_timeout_ms(10_000);
        let answer = target.client().await.call(version, request).await;
        let made = &answer.topics[0];
        assert_eq!((made.error_code, made.name.as_str()), (0, name.as_str()));
        if version >= 5 {
            assert_eq!((made.num_partitions, made.replication_factor), (3, 1));
        }

        let led = target.until_led(&name).await;
        assert_eq!(made.topic_id, if version >= 7 { led.id } else { Uuid::nil() });
    }

    let (name, dotted) = (target.fresh_name(), target.fresh_name());
    assert_eq!(create(&target, 7, vec![topic(&format!("{name}.a"), 1, 1)]).await, [0]);
    assert_eq!(create(&target, 7, vec![topic(&format!("{name}_a"), 1, 1)]).await, [17], "collides with {dotted}");

    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(&format!("{name}.a"))]);
    target.client().await.call(5, request.with_timeout_ms(10_000)).await;
}

pub(crate) async fn deleted(target: Arc<Target>) {
    let mut client = target.client().await;
    for version in 1..=5 {
        let made = target.topic(1).await;
        let names = vec![topic_name(&made.name), topic_name("no-such-topic")];
        let request = DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(10_000);
        let answer = client.call(version, request).await;
        let mut codes: Vec<_> = answer.responses.iter().map(|topic| topic.error_code).collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 3]);
    }

    let (by_name, by_id, unknown) = (target.topic(1).await, target.topic(1).await, Uuid::now_v7());
    for (state, expected) in [
        (DeleteTopicState::default().with_name(Some(topic_name(&by_name.name))), (0, by_name.id)),
        (DeleteTopicState::default().with_name(None).with_topic_id(by_id.id), (0, by_id.id)),
        (DeleteTopicState::default().with_name(None).with_topic_id(unknown), (100, unknown)),
        (DeleteTopicState::default().with_name(Some(topic_name("no-such-topic"))), (3, Uuid::nil())),
        (DeleteTopicState::default().with_name(Some(topic_name("x"))).with_topic_id(unknown), (42, unknown)),
    ] {
        let request = DeleteTopicsRequest::default().with_topics(vec![state.clone()]).with_timeout_ms(10_000);
        let answer = client.call(6, request).await;
        let topic = &answer.responses[0];
        assert_eq!((topic.error_code, topic.topic_id), expected, "{state:?}: {topic:?}");
    }
}
