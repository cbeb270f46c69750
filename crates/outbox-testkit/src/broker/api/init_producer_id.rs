use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::broker::shared::Shared;

/// Without a transactional id, each call gives a new producer id with epoch 0, whatever id the client had.
pub(super) fn respond(shared: &Shared, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        return InitProducerIdResponse::default()
            .with_error_code(ResponseError::TransactionalIdAuthorizationFailed.code())
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
    }
    let id = shared.write(|cluster| cluster.next_producer_id());
    InitProducerIdResponse::default().with_producer_id(id.into()).with_producer_epoch(0)
}
