//! Requests that create topics, and delete them or their records.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use uuid::Uuid;

use super::answer::{text, topic_name};
use crate::broker::cluster::TopicRef;
use crate::broker::faults::Place;
use crate::broker::log::Refusal;
use crate::broker::settings::NODE_ID;
use crate::broker::shared::Shared;
use crate::broker::topic::TopicConfig;
use crate::broker::wire::Api;

/// Creates the topics of a request. As in Kafka, a name that occurs twice in it is refused.
pub(super) fn create_topics(shared: &Shared, request: CreateTopicsRequest, version: i16) -> CreateTopicsResponse {
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

/// Returns the number of partitions. Manual assignments are accepted if they name this broker alone.
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

/// Answers a request. Versions up to 5 name the topics, newer ones have the name or the id of each.
pub(super) fn delete_topics(shared: &Shared, request: DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
    let named = request.topic_names.into_iter().map(|name| delete_named(shared, name));
    let states = request.topics.into_iter().map(|state| delete(shared, state));
    let responses =
        named.chain(states).map(|result| if version >= 6 { result } else { result.with_topic_id(Uuid::nil()) });
    let responses = responses.collect();
    shared.announce();
    DeleteTopicsResponse::default().with_responses(responses)
}

fn delete(shared: &Shared, state: DeleteTopicState) -> DeletableTopicResult {
    match state.name {
        Some(name) if state.topic_id.is_nil() => delete_named(shared, name),
        Some(name) => refused(ResponseError::InvalidRequest).with_name(Some(name)).with_topic_id(state.topic_id),
        None if state.topic_id.is_nil() => refused(ResponseError::InvalidRequest).with_name(None),
        None => match delete_topic(shared, TopicRef::Id(state.topic_id)) {
            Ok((name, id)) => deleted(&name, id),
            Err(error) => refused(shared.answered(error)).with_name(None).with_topic_id(state.topic_id),
        },
    }
}

fn delete_named(shared: &Shared, name: TopicName) -> DeletableTopicResult {
    match delete_topic(shared, TopicRef::Name(&name)) {
        Ok((name, id)) => deleted(&name, id),
        Err(error) => refused(shared.answered(error)).with_name(Some(name)),
    }
}

fn delete_topic(shared: &Shared, topic: TopicRef<'_>) -> Result<(String, Uuid), ResponseError> {
    let name = shared.read(|cluster| cluster.topic(topic).map(|(name, _)| name.to_owned()))?;
    shared.refusal(Api::DeleteTopics, Place::Topic(&name))?;
    shared.write(|cluster| cluster.delete_topic(topic))
}

fn deleted(name: &str, id: Uuid) -> DeletableTopicResult {
    DeletableTopicResult::default().with_name(Some(topic_name(name))).with_topic_id(id)
}

fn refused(error: ResponseError) -> DeletableTopicResult {
    DeletableTopicResult::default().with_error_code(error.code()).with_error_message(Some(text(&error.to_string())))
}

/// The offset that stands for the end of the log.
const ALL: i64 = -1;

pub(super) fn delete_records(shared: &Shared, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let deleted = delete_before(shared, &topic.name, partition.partition_index, partition.offset);
            DeleteRecordsPartitionResult::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(shared.code_of(&deleted))
                .with_low_watermark(deleted.unwrap_or(-1))
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
    });
    let topics = topics.collect();

    shared.announce();
    DeleteRecordsResponse::default().with_topics(topics)
}

/// Deletes records, and returns the first offset that can be read now.
fn delete_before(shared: &Shared, topic: &str, partition: i32, offset: i64) -> Result<i64, ResponseError> {
    shared.refusal(Api::DeleteRecords, Place::Partition(topic, partition))?;
    shared.write(|cluster| {
        let log = cluster.log_mut(topic, partition)?;
        log.delete_before(if offset == ALL { log.end() } else { offset })?;
        Ok(log.start())
    })
}
