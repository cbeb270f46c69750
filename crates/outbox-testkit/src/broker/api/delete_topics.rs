use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use uuid::Uuid;

use super::{text, topic_name};
use crate::broker::cluster::TopicRef;
use crate::broker::faults::Place;
use crate::broker::shared::Shared;
use crate::broker::wire::Api;

/// Answers a request. Versions up to 5 name the topics, newer ones have the name or the id of each.
pub(super) fn respond(shared: &Shared, request: DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
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
