use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_protocol::protocol::StrBytes;

use super::text;
use crate::broker::faults::Place;
use crate::broker::shared::{NODE_ID, Shared};
use crate::broker::wire::Api;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Answers a request. Versions up to 3 ask for one key, newer ones for several.
pub(super) fn respond(shared: &Shared, request: FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
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
