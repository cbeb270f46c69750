//! One module for each request that is served.

mod api_versions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_producers;
mod fetch;
mod find_coordinator;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_fetch;
mod produce;

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::cluster::TopicRef;
use super::connection::Answer;
use super::shared::{LEADER_EPOCH, Shared};
use super::wire::Malformed;
use super::wire::request::Incoming;

/// Answers the request in a frame.
pub(super) async fn answer(shared: &Arc<Shared>, frame: Bytes) -> Result<Answer, Malformed> {
    let request = match Incoming::open(frame)? {
        Incoming::Served(request) => request,
        Incoming::TooNewApiVersions(request) => {
            return Ok(Answer::Reply(request.reply_in(&api_versions::unsupported(), 0)?));
        }
    };
    let version = request.version;
    let reply = match request.key {
        ApiKey::Produce => return produce::answer(shared, &request),
        ApiKey::Fetch => return fetch::answer(shared, &request).await,
        ApiKey::ApiVersions => request.reply(&api_versions::supported()),
        ApiKey::CreateTopics => request.reply(&create_topics::respond(shared, request.decode()?, version)),
        ApiKey::DeleteRecords => request.reply(&delete_records::respond(shared, request.decode()?)),
        ApiKey::DeleteTopics => request.reply(&delete_topics::respond(shared, request.decode()?, version)),
        ApiKey::DescribeProducers => request.reply(&describe_producers::respond(shared, request.decode()?)),
        ApiKey::FindCoordinator => request.reply(&find_coordinator::respond(shared, request.decode()?, version)),
        ApiKey::InitProducerId => request.reply(&init_producer_id::respond(shared, &request.decode()?)),
        ApiKey::ListOffsets => request.reply(&list_offsets::respond(shared, request.decode()?, version)),
        ApiKey::Metadata => request.reply(&metadata::respond(shared, &request.decode()?, version)),
        ApiKey::OffsetCommit => request.reply(&offset_commit::respond(shared, request.decode()?)),
        ApiKey::OffsetFetch => request.reply(&offset_fetch::respond(shared, request.decode()?, version)),
        key => Err(Malformed::NotServed(key as i16, version)),
    };
    Ok(Answer::Reply(reply?))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A topic that older versions of a request name, and newer ones identify by its id.
fn topic_ref(name: &TopicName, id: Uuid) -> TopicRef<'_> {
    if id.is_nil() { TopicRef::Name(name.as_str()) } else { TopicRef::Id(id) }
}

/// Checks the leader epoch that a client has seen; -1 if it has seen none.
fn check_epoch(seen: i32) -> Result<(), ResponseError> {
    if seen > LEADER_EPOCH { Err(ResponseError::UnknownLeaderEpoch) } else { Ok(()) }
}

/// The error code of an answer: 0 for none.
fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}
