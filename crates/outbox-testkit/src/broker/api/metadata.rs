use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use uuid::Uuid;

use super::answer::{text, topic_name};
use crate::broker::cluster::TopicRef;
use crate::broker::faults::Place;
use crate::broker::settings::{AutoCreation, LEADER_EPOCH, NODE_ID};
use crate::broker::shared::Shared;
use crate::broker::topic::{Topic, TopicConfig};
use crate::broker::wire::Api;

/// Answers a request. Null requests all topics; in version 0, an empty list does.
pub(super) fn respond(shared: &Shared, request: &MetadataRequest, version: i16) -> MetadataResponse {
    let mut topics = match &request.topics {
        Some(topics) if version > 0 || !topics.is_empty() => {
            let creation =
                if request.allow_auto_topic_creation { shared.settings.auto_creation } else { AutoCreation::Never };
            topics.iter().map(|topic| one(shared, topic, creation)).collect()
        }
        _ => all(shared),
    };
    topics.iter_mut().for_each(|topic| refuse(shared, topic));
    if version < 10 || !shared.settings.imitation.has_topic_ids() {
        topics.iter_mut().for_each(|topic| topic.topic_id = Uuid::nil());
    }

    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE_ID.into())
        .with_host(text(&shared.node.host))
        .with_port(shared.node.port);

    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(&shared.node.cluster_id)))
        .with_controller_id(NODE_ID.into())
        .with_topics(topics)
}

/// Applies the injected faults to a topic and its partitions.
fn refuse(shared: &Shared, topic: &mut MetadataResponseTopic) {
    let Some(name) = topic.name.as_ref().map(|name| name.as_str().to_owned()) else {
        return;
    };
    if let Err(error) = shared.refusal(Api::Metadata, Place::WholeTopic(&name)) {
        topic.error_code = shared.code(error);
        topic.partitions.clear();
    }
    for partition in &mut topic.partitions {
        if let Err(error) = shared.refusal(Api::Metadata, Place::SinglePartition(&name, partition.partition_index)) {
            partition.error_code = shared.code(error);
            partition.leader_id = (-1).into();
        }
    }
}

fn all(shared: &Shared) -> Vec<MetadataResponseTopic> {
    shared.read(|cluster| cluster.topics().map(|(name, topic)| described(name, topic)).collect())
}

fn one(shared: &Shared, asked: &MetadataRequestTopic, creation: AutoCreation) -> MetadataResponseTopic {
    let topic = match &asked.name {
        Some(name) => TopicRef::Name(name),
        None => TopicRef::Id(asked.topic_id),
    };
    let found = shared.read(|cluster| cluster.topic(topic).map(|(name, topic)| described(name, topic)));
    let error = match (found, topic) {
        (Ok(described), _) => return described,
        (Err(_), TopicRef::Name(name)) => create(shared, name, creation),
        (Err(error), TopicRef::Id(_)) => error,
    };

    MetadataResponseTopic::default()
        .with_error_code(shared.code(error))
        .with_name(asked.name.clone())
        .with_topic_id(asked.topic_id)
}

/// Creates a missing topic, and returns the error that the caller gets: Kafka creates a topic after it has answered
/// that it does not exist.
fn create(shared: &Shared, name: &str, creation: AutoCreation) -> ResponseError {
    let (config, partitions) = (TopicConfig::new(&shared.settings), shared.settings.default_partitions);
    let made = shared.write(|cluster| match creation {
        AutoCreation::OnFirstUse => cluster.create_topic(name, partitions, config).map(|_id| ()),
        AutoCreation::Never => cluster.check_topic(name, partitions).map(|_count| ()),
    });
    match made {
        Err(refusal) if refusal.error == ResponseError::InvalidTopicException => refusal.error,
        _ => ResponseError::UnknownTopicOrPartition,
    }
}

fn described(name: &str, topic: &Topic) -> MetadataResponseTopic {
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE_ID.into())
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE_ID.into()])
            .with_isr_nodes(vec![NODE_ID.into()])
    };
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(name)))
        .with_topic_id(topic.id)
        .with_partitions(topic.partitions().map(partition).collect())
}
