//! One module for each request that is served.

mod answer;
mod api_versions;
mod fetch;
mod groups;
mod list_offsets;
mod metadata;
mod places;
mod produce;
mod topics;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub(super) use self::answer::Answer;
use super::faults::{Place, RequestEffect};
use super::shared::Shared;
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
    let reply =
        match request.api {
            Api::Produce => return produce::answer(shared, request, throttle_ms),
            Api::Fetch => return fetch::answer(shared, request, throttle_ms).await,
            Api::AddPartitionsToTxn => request
                .reply(&transactions::add_partitions(shared, &request.decode()?).with_throttle_time_ms(throttle_ms)),
            Api::EndTxn => {
                request.reply(&transactions::end(shared, &request.decode()?).with_throttle_time_ms(throttle_ms))
            }
            Api::ApiVersions => request.reply(&api_versions::supported(shared).with_throttle_time_ms(throttle_ms)),
            Api::CreateTopics => request
                .reply(&topics::create_topics(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms)),
            Api::DeleteRecords => {
                request.reply(&topics::delete_records(shared, request.decode()?).with_throttle_time_ms(throttle_ms))
            }
            Api::DeleteTopics => request
                .reply(&topics::delete_topics(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms)),
            Api::DescribeProducers => request
                .reply(&transactions::describe_producers(shared, request.decode()?).with_throttle_time_ms(throttle_ms)),
            Api::FindCoordinator => request.reply(
                &groups::find_coordinator(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms),
            ),
            Api::InitProducerId => request
                .reply(&transactions::init_producer_id(shared, &request.decode()?).with_throttle_time_ms(throttle_ms)),
            Api::ListOffsets => request
                .reply(&list_offsets::respond(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms)),
            Api::Metadata => request
                .reply(&metadata::respond(shared, &request.decode()?, version).with_throttle_time_ms(throttle_ms)),
            Api::OffsetCommit => {
                request.reply(&groups::commit_offsets(shared, request.decode()?).with_throttle_time_ms(throttle_ms))
            }
            Api::OffsetFetch => request
                .reply(&groups::fetch_offsets(shared, request.decode()?, version).with_throttle_time_ms(throttle_ms)),
        };
    Ok(Answer::Reply(reply?))
}
