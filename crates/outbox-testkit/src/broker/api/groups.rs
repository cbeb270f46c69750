//! Requests of consumer groups without members.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::answer::{text, topic_name};
use crate::broker::cluster::{Committed, Offsets, TopicRef};
use crate::broker::faults::Place;
use crate::broker::settings::NODE_ID;
use crate::broker::shared::Shared;
use crate::broker::wire::Api;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Answers a request. Versions up to 3 ask for one key, newer ones for several.
pub(super) fn find_coordinator(
    shared: &Shared,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    if version >= 4 {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| coordinator(shared, key, request.key_type)).collect();
        return FindCoordinatorResponse::default().with_coordinators(coordinators);
    }
    let found = coordinator(shared, request.key, request.key_type);
    FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port)
}

fn coordinator(shared: &Shared, key: StrBytes, key_type: i8) -> Coordinator {
    let refusal = shared.refusal(Api::FindCoordinator, Place::Anywhere);
    let error = match (key_type, refusal) {
        (_, Err(error)) => error,
        (GROUP | TRANSACTION, Ok(())) => {
            return Coordinator::default()
                .with_key(key)
                .with_node_id(NODE_ID.into())
                .with_host(text(&shared.node.host))
                .with_port(shared.node.port);
        }
        (_, Ok(())) => ResponseError::InvalidRequest,
    };
    Coordinator::default()
        .with_key(key)
        .with_node_id((-1).into())
        .with_port(-1)
        .with_error_code(shared.code(error))
        .with_error_message(Some(text(&error.to_string())))
}

/// The largest metadata of a committed offset, in bytes (`offset.metadata.max.bytes`).
const MAX_METADATA: usize = 4096;

/// Handles the commits of clients that assign partitions to themselves, which have no member id and generation -1.
pub(super) fn commit_offsets(shared: &Shared, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let group = check_group(shared, &request);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let committed = group.and_then(|()| commit(shared, &request.group_id, &topic.name, partition));
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(shared.code_of(&committed))
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn check_group(shared: &Shared, request: &OffsetCommitRequest) -> Result<(), ResponseError> {
    if request.generation_id_or_member_epoch < 0 {
        return Ok(());
    }
    let known = shared.read(|cluster| cluster.groups.offsets(&request.group_id).is_some());
    Err(if known { ResponseError::UnknownMemberId } else { ResponseError::IllegalGeneration })
}

fn commit(
    shared: &Shared,
    group: &str,
    topic: &str,
    partition: &OffsetCommitRequestPartition,
) -> Result<(), ResponseError> {
    let index = partition.partition_index;
    shared.refusal(Api::OffsetCommit, Place::Partition(topic, index))?;
    let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
    if metadata.len() > MAX_METADATA {
        return Err(ResponseError::OffsetMetadataTooLarge);
    }

    let committed = Committed {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata.to_owned(),
    };
    shared.write(|cluster| {
        cluster.log(TopicRef::Name(topic), index)?;
        cluster.groups.commit(group, topic, index, committed);
        Ok(())
    })
}

/// Answers a request. Versions up to 7 ask for one group, newer ones for several; null topics ask for all that have an
/// offset.
pub(super) fn fetch_offsets(shared: &Shared, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    if version < 8 {
        let wanted = request.topics.map(|topics| {
            let topics = topics.into_iter();
            topics.map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect()
        });
        let topics = find(shared, &request.group_id, wanted).into_iter().map(|found| in_one_group(shared, found));
        return OffsetFetchResponse::default().with_topics(topics.collect());
    }
    let groups = request.groups.into_iter().map(|group| {
        let wanted = group.topics.map(|topics| {
            let topics = topics.into_iter();
            topics.map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect()
        });
        let topics = find(shared, &group.group_id, wanted).into_iter().map(|found| in_several_groups(shared, found));
        OffsetFetchResponseGroup::default().with_group_id(group.group_id).with_topics(topics.collect())
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

type Found = (String, Vec<(i32, Committed)>);

/// Returns the positions of a group, of all its topics if none are named. A partition without a position has the answer
/// of Kafka: -1.
fn find(shared: &Shared, group: &str, wanted: Option<Vec<(String, Vec<i32>)>>) -> Vec<Found> {
    shared.read(|cluster| {
        let none = Offsets::new();
        let offsets = cluster.groups.offsets(group).unwrap_or(&none);
        match wanted {
            None => offsets
                .iter()
                .map(|(topic, partitions)| {
                    (topic.clone(), partitions.iter().map(|(index, committed)| (*index, committed.clone())).collect())
                })
                .collect(),
            Some(topics) => topics
                .into_iter()
                .map(|(topic, indexes)| {
                    let of = |index| offsets.get(&topic)?.get(&index).cloned();
                    let found = indexes.into_iter().map(|index| (index, of(index).unwrap_or_else(nothing))).collect();
                    (topic, found)
                })
                .collect(),
        }
    })
}

/// Returns the answer for a partition without an offset.
fn nothing() -> Committed {
    Committed { offset: -1, leader_epoch: -1, metadata: String::new() }
}

/// Returns the error code and the offset of a partition, after the injected faults.
fn answered(shared: &Shared, topic: &str, index: i32, committed: Committed) -> (i16, Committed) {
    match shared.refusal(Api::OffsetFetch, Place::Partition(topic, index)) {
        Ok(()) => (0, committed),
        Err(error) => (shared.code(error), nothing()),
    }
}

fn in_one_group(shared: &Shared, (topic, partitions): Found) -> OffsetFetchResponseTopic {
    let partitions = partitions.into_iter().map(|(index, committed)| {
        let (error_code, committed) = answered(shared, &topic, index, committed);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(error_code)
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(text(&committed.metadata)))
    });
    OffsetFetchResponseTopic::default().with_name(topic_name(&topic)).with_partitions(partitions.collect())
}

fn in_several_groups(shared: &Shared, (topic, partitions): Found) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|(index, committed)| {
        let (error_code, committed) = answered(shared, &topic, index, committed);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_error_code(error_code)
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(text(&committed.metadata)))
    });
    OffsetFetchResponseTopics::default().with_name(topic_name(&topic)).with_partitions(partitions.collect())
}
