use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, CreateTopicsResponse, TopicName};
use uuid::Uuid;

use super::text;
use crate::broker::faults::Place;
use crate::broker::log::Refusal;
use crate::broker::shared::{NODE_ID, Shared};
use crate::broker::topic::TopicConfig;
use crate::broker::wire::Api;

pub(super) fn respond(shared: &Shared, request: CreateTopicsRequest, version: i16) -> CreateTopicsResponse {
    let mut topics = BTreeMap::new();
    for topic in request.topics {
        topics.entry(topic.name.clone()).or_insert_with(Vec::new).push(topic);
    }
    let validate_only = request.validate_only;
    let has_id = version >= 7 && shared.settings.imitation.has_topic_ids();
    let answer = |(name, topics): (TopicName, Vec<CreatableTopic>)| {
        let made = match topics.as_slice() {
            [topic] => create(shared, topic, validate_only),
            _ => Err(Refusal::new(ResponseError::InvalidRequest, "Duplicate topic name.")),
        };
        let result = CreatableTopicResult::default().with_name(name);
        match made {
            Ok((id, partitions)) => result
                .with_topic_id(if has_id { id } else { Uuid::nil() })
                .with_num_partitions(partitions)
                .with_replication_factor(1),
            Err(refusal) => result
                .with_error_code(shared.code(refusal.error))
                .with_error_message(Some(text(&refusal.message.unwrap_or_else(|| refusal.error.to_string()))))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        }
    };
    CreateTopicsResponse::default().with_topics(topics.into_iter().map(answer).collect())
}

/// Creates a topic, and returns its id and its number of partitions.
fn create(shared: &Shared, topic: &CreatableTopic, validate_only: bool) -> Result<(Uuid, i32), Refusal> {
    shared.refusal(Api::CreateTopics, Place::Topic(&topic.name))?;
    let partitions = partitions(topic, shared.settings.default_partitions)?;
    let mut config = TopicConfig::new(&shared.settings);
    for setting in &topic.configs {
        config.set(&setting.name, setting.value.as_deref())?;
    }
    let id = shared.write(|cluster| {
        if validate_only {
            cluster.check_topic(&topic.name, partitions).map(|_count| Uuid::nil())
        } else {
            cluster.create_topic(&topic.name, partitions, config)
        }
    })?;
    Ok((id, partitions))
}

fn partitions(topic: &CreatableTopic, default: i32) -> Result<i32, Refusal> {
    if topic.assignments.is_empty() {
        return match (topic.num_partitions, topic.replication_factor) {
            (_, replicas) if !matches!(replicas, -1 | 1) => {
                Err(Refusal::new(ResponseError::InvalidReplicationFactor, "there is one broker for one replica"))
            }
            (-1, _) => Ok(default),
            (partitions, _) => Ok(partitions),
        };
    }
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        return Err(Refusal::new(ResponseError::InvalidRequest, "with assignments, both numbers are -1"));
    }
    let mut assigned: Vec<_> = topic.assignments.iter().map(|assignment| assignment.partition_index).collect();
    assigned.sort_unstable();
    let here = topic.assignments.iter().all(|assignment| matches!(*assignment.broker_ids, [BrokerId(NODE_ID)]));
    if !here || !(0..).zip(&assigned).all(|(expected, index)| expected == *index) {
        let message = format!("each partition from 0 on is assigned to broker {NODE_ID}");
        return Err(Refusal::new(ResponseError::InvalidReplicaAssignment, message));
    }
    i32::try_from(assigned.len()).map_err(|_cause| ResponseError::InvalidPartitions.into())
}
