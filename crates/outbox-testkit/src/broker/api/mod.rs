//! One module for each request that is served.

mod add_partitions_to_txn;
mod api_versions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_producers;
mod end_txn;
mod fetch;
mod find_coordinator;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod places;
mod produce;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::cluster::TopicRef;
use super::connection::Answer;
use super::faults::{Place, RequestEffect};
use super::log::Log;
use super::shared::{LEADER_EPOCH, Shared};
use super::wire::request::{Incoming, Request};
use super::wire::{Api, Malformed};

/// Answers the request in a frame.
pub(super) async fn answer(shared: &Arc<Shared>, frame: Bytes) -> Result<Answer, Malformed> {
    let imitation = &shared.settings.imitation;
    let request = match Incoming::open(frame, imitation)? {
        Incoming::Served(request) => request,
        Incoming::TooNewApiVersions(request) => {
            return Ok(Answer::Reply(request.reply_in(&api_versions::unsupported(imitation), 0)?));
        }
    };
    if !shared.faults.has_on_request(request.api) {
        return handle(shared, &request, 0).await;
    }

    let places = places::of(shared, &request)?;
    let places: Vec<_> = places.iter().map(places::Named::place).chain([Place::Anywhere]).collect();
    let Some((effect, rule)) = shared.faults.strike_request(request.api, &places) else {
        return handle(shared, &request, 0).await;
    };
    let throttle = match effect {
        RequestEffect::CloseBefore => {
            rule.happened();
            return Ok(Answer::Close);
        }
        RequestEffect::Throttle(time) => time,
        RequestEffect::CloseAfter | RequestEffect::Delay(_) | RequestEffect::NoAnswer => Duration::ZERO,
    };
    let throttle_ms = i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX);
    let answer = handle(shared, &request, throttle_ms).await?;
    rule.happened();
    Ok(match (effect, answer) {
        (RequestEffect::CloseBefore | RequestEffect::CloseAfter, _) => Answer::Close,
        (RequestEffect::NoAnswer, _) => Answer::Never,
        (RequestEffect::Throttle(time), Answer::Reply(reply)) => Answer::Throttled(reply, time),
        (RequestEffect::Throttle(_), answer) => answer,
        (RequestEffect::Delay(time), answer) => {
            tokio::time::sleep(time).await;
            answer
        }
    })
}

async fn handle(shared: &Arc<Shared>, request: &Request, throttle_ms: i32) -> Result<Answer, Malformed> {
    let version = request.version;
    let reply = match request.api {
        Api::Produce => return produce::answer(shared, request, throttle_ms),
        Api::Fetch => return fetch::answer(shared, request, throttle_ms).await,
        Api::AddPartitionsToTxn => request
            .reply(&add_partitions_to_txn::respond(shared, &request.decode()?).with_throttle_time_ms(throttle_ms)),
        Api::EndTxn => request.reply(&end_txn::respond(shared, &request.decode()?).with_throttle_time_ms(throttle_ms)),
        Api::ApiVersions => request.reply(&api_versions::supported(shared).with_throttle_time_ms(throttle_ms)),
        Api::CreateTopics => request
            .reply(&create_topics::respond(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms)),
        Api::DeleteRecords => {
            request.reply(&delete_records::respond(shared, request.decode()?).with_throttle_time_ms(throttle_ms))
        }
        Api::DeleteTopics => request
            .reply(&delete_topics::respond(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms)),
        Api::DescribeProducers => {
            request.reply(&describe_producers::respond(shared, request.decode()?).with_throttle_time_ms(throttle_ms))
        }
        Api::FindCoordinator => request
            .reply(&find_coordinator::respond(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms)),
        Api::InitProducerId => {
            request.reply(&init_producer_id::respond(shared, &request.decode()?).with_throttle_time_ms(throttle_ms))
        }
        Api::ListOffsets => {
            request.reply(&list_offsets::respond(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms))
        }
        Api::Metadata => {
            request.reply(&metadata::respond(shared, &request.decode()?, version).with_throttle_time_ms(throttle_ms))
        }
        Api::OffsetCommit => {
            request.reply(&offset_commit::respond(shared, request.decode()?).with_throttle_time_ms(throttle_ms))
        }
        Api::OffsetFetch => {
            request.reply(&offset_fetch::respond(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms))
        }
    };
    Ok(Answer::Reply(reply?))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Returns a topic that older versions of a request name, and newer ones identify by its id.
fn topic_ref(name: &TopicName, id: Uuid) -> TopicRef<'_> {
    if id.is_nil() { TopicRef::Name(name.as_str()) } else { TopicRef::Id(id) }
}

/// The records that a reader asks for (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isolation {
    Uncommitted,
    Committed,
}

impl Isolation {
    fn from_level(level: i8) -> Self {
        if level == 1 { Self::Committed } else { Self::Uncommitted }
    }

    /// Returns the end of what a reader gets.
    fn end(self, log: &Log) -> i64 {
        match self {
            Self::Uncommitted => log.end(),
            Self::Committed => log.last_stable(),
        }
    }
}

/// Checks the leader epoch that a client has seen; -1 if it has seen none.
fn check_epoch(seen: i32) -> Result<(), ResponseError> {
    if seen > LEADER_EPOCH { Err(ResponseError::UnknownLeaderEpoch) } else { Ok(()) }
}
