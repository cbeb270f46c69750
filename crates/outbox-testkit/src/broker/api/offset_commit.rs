use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::broker::cluster::TopicRef;
use crate::broker::faults::Place;
use crate::broker::groups::Committed;
use crate::broker::shared::Shared;
use crate::broker::wire::Api;

/// Bytes of what a client may note next to an offset (`offset.metadata.max.bytes`).
const MAX_METADATA: usize = 4096;

/// Takes the commits of clients that assign partitions to themselves: those have no member id and generation -1.
pub(super) fn respond(shared: &Shared, request: OffsetCommitRequest) -> OffsetCommitResponse {
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
