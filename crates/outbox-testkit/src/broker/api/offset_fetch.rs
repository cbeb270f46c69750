use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::{text, topic_name};
use crate::broker::faults::Place;
use crate::broker::groups::{Committed, Offsets};
use crate::broker::shared::Shared;
use crate::broker::wire::Api;

/// Answers a request. Versions up to 7 ask for one group, newer ones for several; null topics ask for all that have an
/// offset.
pub(super) fn respond(shared: &Shared, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
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

/// Returns what is answered for a partition without an offset.
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
