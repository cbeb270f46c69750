use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::answer::{Isolation, check_epoch};
use crate::broker::cluster::TopicRef;
use crate::broker::faults::Place;
use crate::broker::log::Log;
use crate::broker::settings::LEADER_EPOCH;
use crate::broker::shared::Shared;
use crate::broker::wire::Api;

/// The end of the log.
const LATEST: i64 = -1;
/// Its start.
const EARLIEST: i64 = -2;
/// The record of the largest timestamp.
const MAX_TIMESTAMP: i64 = -3;
/// The start of the broker's local log, which is the whole log without tiered storage.
const EARLIEST_LOCAL: i64 = -4;
/// The end of the log in tiered storage, which is empty.
const LATEST_TIERED: i64 = -5;

pub(super) fn respond(shared: &Shared, request: ListOffsetsRequest, version: i16) -> ListOffsetsResponse {
    let epoch = if version >= 4 { LEADER_EPOCH } else { -1 };
    let isolation = Isolation::from_level(request.isolation_level);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions =
            topic.partitions.iter().map(|partition| one(shared, &topic.name, partition, isolation, epoch)).collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// Creates an answer; `epoch` is the leader epoch of the offset, -1 in the versions without one.
fn one(
    shared: &Shared,
    topic: &str,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
    epoch: i32,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(wanted.partition_index);
    let refusal = shared.refusal(Api::ListOffsets, Place::Partition(topic, wanted.partition_index));
    let found = refusal.and_then(|()| {
        shared.read(|cluster| {
            let log = cluster.log(TopicRef::Name(topic), wanted.partition_index)?;
            check_epoch(wanted.current_leader_epoch)?;
            find(log, wanted.timestamp, isolation)
        })
    });
    let response = response.with_error_code(shared.code_of(&found));

    match found {
        Ok(Some((timestamp, offset))) => {
            response.with_timestamp(timestamp).with_offset(offset).with_leader_epoch(epoch)
        }
        Ok(None) | Err(_) => response.with_timestamp(-1).with_offset(-1).with_leader_epoch(-1),
    }
}

/// Finds the timestamp (-1 if the offset is not looked for by one) and the offset.
fn find(log: &Log, timestamp: i64, isolation: Isolation) -> Result<Option<(i64, i64)>, ResponseError> {
    Ok(match timestamp {
        LATEST => Some((-1, isolation.end(log))),
        EARLIEST | EARLIEST_LOCAL => Some((-1, log.start())),
        MAX_TIMESTAMP => log.newest(),
        LATEST_TIERED => None,
        0.. => log.first_at(timestamp),
        _ => return Err(ResponseError::UnsupportedVersion),
    })
}
