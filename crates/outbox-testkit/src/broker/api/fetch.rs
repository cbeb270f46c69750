use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use tokio::time::{Instant, timeout_at};

use super::answer::{Isolation, check_epoch, topic_ref};
use crate::broker::api::Answer;
use crate::broker::cluster::{Cluster, TopicRef};
use crate::broker::faults::Place;
use crate::broker::log::Minimum;
use crate::broker::shared::Shared;
use crate::broker::wire::request::Request;
use crate::broker::wire::{Api, Malformed};

/// Answers as soon as there are `min_bytes`, an error, or `max_wait_ms` have passed.
///
/// There are no fetch sessions, which the session id 0 of the answer shows.
pub(super) async fn answer(shared: &Arc<Shared>, request: &Request, throttle_ms: i32) -> Result<Answer, Malformed> {
    let fetch: FetchRequest = request.decode()?;
    // The epochs 0 and -1 mark full requests; others continue a session.
    if !matches!(fetch.session_epoch, -1 | 0) {
        let error = ResponseError::FetchSessionIdNotFound;
        return Ok(Answer::Reply(request.reply(&FetchResponse::default().with_error_code(error.code()))?));
    }

    let wait = Duration::from_millis(u64::try_from(fetch.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait;
    let refused = strike(shared, &fetch);
    let mut announcements = shared.announcements();
    let responses = loop {
        let collected = shared.read(|cluster| collect(shared, cluster, &fetch, &refused));
        let min_bytes = usize::try_from(fetch.min_bytes).unwrap_or(0);
        if collected.errors > 0 || collected.partitions == 0 || collected.bytes >= min_bytes {
            break collected.responses;
        }
        // An error means that the time is over. The sender lives as long as `shared`.
        if timeout_at(deadline, announcements.changed()).await.is_err() {
            break collected.responses;
        }
    };

    let response = FetchResponse::default().with_responses(responses).with_throttle_time_ms(throttle_ms);
    Ok(Answer::Reply(request.reply(&response)?))
}

/// The injected errors, with the indexes of topic and partition in the request.
type Refused = Vec<((usize, usize), ResponseError)>;

fn strike(shared: &Shared, fetch: &FetchRequest) -> Refused {
    let mut refused = Refused::new();
    for (at, topic) in fetch.topics.iter().enumerate() {
        let wanted = topic_ref(&topic.topic, topic.topic_id);
        let Ok(name) = shared.read(|cluster| cluster.topic(wanted).map(|(name, _)| name.to_owned())) else {
            continue;
        };
        for (index, partition) in topic.partitions.iter().enumerate() {
            let refusal = shared.refusal(Api::Fetch, Place::Partition(&name, partition.partition));
            refused.extend(refusal.err().map(|error| ((at, index), error)));
        }
    }
    refused
}

struct Collected {
    responses: Vec<FetchableTopicResponse>,
    partitions: usize,
    errors: usize,
    bytes: usize,
}

/// Reads the present records. The first batch is returned whole even if it is larger than the requested size.
fn collect(shared: &Shared, cluster: &Cluster, fetch: &FetchRequest, refused: &Refused) -> Collected {
    let mut collected = Collected { responses: Vec::new(), partitions: 0, errors: 0, bytes: 0 };
    let max_bytes = usize::try_from(fetch.max_bytes).unwrap_or(0);
    let isolation = Isolation::from_level(fetch.isolation_level);

    for (at, topic) in fetch.topics.iter().enumerate() {
        let wanted = topic_ref(&topic.topic, topic.topic_id);
        let mut partitions = Vec::with_capacity(topic.partitions.len());

        for (index, partition) in topic.partitions.iter().enumerate() {
            let room = max_bytes.saturating_sub(collected.bytes);
            let minimum = if collected.bytes == 0 { Minimum::OneBatch } else { Minimum::Nothing };
            let refused = refused.iter().find(|(place, _)| *place == (at, index)).map(|(_, error)| *error);
            let read = match refused {
                Some(error) => Err(error),
                None => read(cluster, wanted, partition, isolation, (room, minimum)),
            };

            let data = PartitionData::default().with_partition_index(partition.partition);
            collected.partitions += 1;

            partitions.push(match read {
                Ok(found) => {
                    collected.bytes += found.slice.len();
                    data.with_high_watermark(found.end)
                        .with_last_stable_offset(found.last_stable)
                        .with_log_start_offset(found.start)
                        .with_aborted_transactions(found.aborted)
                        .with_records(Some(found.slice))
                }
                Err(error) => {
                    collected.errors += 1;
                    data.with_error_code(shared.code(error)).with_high_watermark(-1).with_aborted_transactions(None)
                }
            });
        }

        collected.responses.push(
            FetchableTopicResponse::default()
                .with_topic(topic.topic.clone())
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions),
        );
    }
    collected
}

struct Found {
    start: i64,
    end: i64,
    last_stable: i64,
    aborted: Option<Vec<AbortedTransaction>>,
    slice: Bytes,
}

fn read(
    cluster: &Cluster,
    topic: TopicRef<'_>,
    wanted: &FetchPartition,
    isolation: Isolation,
    (room, minimum): (usize, Minimum),
) -> Result<Found, ResponseError> {
    let log = cluster.log(topic, wanted.partition)?;
    check_epoch(wanted.current_leader_epoch)?;
    let max_bytes = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(room);
    let slice = log.read(wanted.fetch_offset, isolation.end(log), max_bytes, minimum)?;
    let aborted = log.aborted_from(wanted.fetch_offset).map(|(producer_id, first_offset)| {
        AbortedTransaction::default().with_producer_id(producer_id.into()).with_first_offset(first_offset)
    });
    let aborted = (isolation == Isolation::Committed).then(|| aborted.collect());
    Ok(Found { start: log.start(), end: log.end(), last_stable: log.last_stable(), aborted, slice })
}
