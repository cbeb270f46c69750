use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse};

use crate::broker::faults::Place;
use crate::broker::log::Outcome;
use crate::broker::shared::{Shared, now_ms};
use crate::broker::wire::Api;

/// Answers a request in the versions up to 4, after which the producer keeps its epoch.
pub(super) fn respond(shared: &Shared, request: &EndTxnRequest) -> EndTxnResponse {
    let outcome = if request.committed { Outcome::Commit } else { Outcome::Abort };
    let producer = (request.producer_id.0, request.producer_epoch);
    let refusal = shared.refusal(Api::EndTxn, Place::Anywhere);
    let ended = refusal.and_then(|()| {
        shared.write(|cluster| {
            let partitions = cluster.transactions.end(&request.transactional_id, producer, outcome)?;
            cluster.write_markers(&partitions, producer, outcome, now_ms());
            Ok(())
        })
    });
    shared.announce();
    EndTxnResponse::default().with_error_code(shared.code_of(&ended))
}
