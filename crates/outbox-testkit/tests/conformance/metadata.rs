use std::sync::Arc;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::client::topic_name;
use super::target::Target;

async fn ask(target: &Target, version: i16, topics: Option<Vec<MetadataRequestTopic>>) -> MetadataResponse {
    let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(version < 4);
    target.client().await.call(version, request).await
}

async fn ask_for(target: &Target, version: i16, topic: MetadataRequestTopic) -> MetadataResponseTopic {
    let mut answer = ask(target, version, Some(vec![topic])).await;
    assert_eq!(answer.topics.len(), 1);
    answer.topics.remove(0)
}

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(topic_name(name)))
}

pub(crate) async fn by_name(target: Arc<Target>) {
    let topic = target.topic(2).await;
    for version in 0..=13 {
        let answer = ask(&target, version, Some(vec![named(&topic.name)])).await;
        assert_eq!(answer.brokers.len(), 1);
        let broker = &answer.brokers[0];
        assert_eq!(format!("{}:{}", broker.host.as_str(), broker.port), target.address);
        let found = &answer.topics[0];
        assert_eq!((found.error_code, found.name.clone()), (0, Some(topic_name(&topic.name))));
        assert_eq!(found.topic_id, if version >= 10 { topic.id } else { Uuid::nil() });

        let mut partitions: Vec<_> = found.partitions.iter().collect();
        partitions.sort_by_key(|partition| partition.partition_index);
        assert_eq!(partitions.len(), 2);

        for (index, partition) in (0..).zip(partitions) {
            assert_eq!((partition.partition_index, partition.error_code), (index, 0));
            assert_eq!(partition.leader_id, broker.node_id);
            assert_eq!(partition.replica_nodes, [broker.node_id]);
            assert_eq!(partition.isr_nodes, [broker.node_id]);
            assert_eq!(partition.leader_epoch, if version >= 7 { 0 } else { -1 });
        }
    }
}

pub(crate) async fn by_id(target: Arc<Target>) {
    let topic = target.topic(1).await;
    for version in 12..=13 {
        let by_id = |id| MetadataRequestTopic::default().with_topic_id(id).with_name(None);
        let found = ask_for(&target, version, by_id(topic.id)).await;
        assert_eq!((found.error_code, found.name), (0, Some(topic_name(&topic.name))));
        let unknown = Uuid::now_v7();
        let found = ask_for(&target, version, by_id(unknown)).await;
        assert_eq!((found.error_code, found.name, found.topic_id), (100, None, unknown));
    }
}

pub(crate) async fn unknown(target: Arc<Target>) {
    let name = target.fresh_name();
    for version in [4, 8, 12] {
        let found = ask_for(&target, version, named(&name)).await;
        assert_eq!((found.error_code, found.name.unwrap()), (3, topic_name(&name)));
        assert_eq!(found.topic_id, Uuid::nil());
        assert!(found.partitions.is_empty());
    }
}

pub(crate) async fn all_topics(target: Arc<Target>) {
    let topic = target.topic(1).await;
    let here = |answer: MetadataResponse| {
        answer.topics.iter().any(|found| found.name == Some(topic_name(&topic.name)) && found.error_code == 0)
    };
    assert!(here(ask(&target, 0, Some(Vec::new())).await));
    assert!(here(ask(&target, 1, None).await));
    assert!(here(ask(&target, 12, None).await));
    assert!(ask(&target, 1, Some(Vec::new())).await.topics.is_empty());
}

pub(crate) async fn auto_creation(target: Arc<Target>) {
    let name = target.fresh_name();
    let request = || MetadataRequest::default().with_allow_auto_topic_creation(true);
    let mut client = target.client().await;
    let answer = client.call(12, request().with_topics(Some(vec![named(&name)]))).await;
    assert_eq!(answer.topics[0].error_code, 3, "the first answer is before it is made");
    target.until_led(&name).await;
    let answer = client.call(12, request().with_topics(Some(vec![named(&name)]))).await;
    assert_eq!((answer.topics[0].error_code, answer.topics[0].partitions.len()), (0, 3));
    let answer = client.call(12, request().with_topics(Some(vec![named("not/legal")]))).await;
    assert_eq!(answer.topics[0].error_code, 17);
    assert!(answer.topics[0].partitions.is_empty());
}
