use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::broker::faults::Place;
use crate::broker::shared::{Shared, now_ms};
use crate::broker::wire::Api;

/// Answers a request. Without a transactional id, each call gives a new producer id with epoch 0, whatever id the
/// client had.
///
/// With one, each call gives the next epoch, and aborts the transaction that the epoch before has left open.
pub(super) fn respond(shared: &Shared, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    let refusal = shared.refusal(Api::InitProducerId, Place::Anywhere);
    let given = refusal.and_then(|()| init(shared, request));
    let (id, epoch) = given.unwrap_or((-1, -1));
    InitProducerIdResponse::default()
        .with_error_code(shared.code_of(&given))
        .with_producer_id(id.into())
        .with_producer_epoch(epoch)
}

fn init(shared: &Shared, request: &InitProducerIdRequest) -> Result<(i64, i16), ResponseError> {
    let Some(transactional_id) = &request.transactional_id else {
        return Ok((shared.write(|cluster| cluster.next_producer_id()), 0));
    };
    let claimed = (request.producer_id.0, request.producer_epoch);
    let claimed = (claimed.0 >= 0).then_some(claimed);
    let given = shared.write(|cluster| cluster.init_transactional(transactional_id, claimed, now_ms()));
    shared.announce();
    given
}
