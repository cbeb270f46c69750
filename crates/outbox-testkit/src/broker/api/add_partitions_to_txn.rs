use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use crate::broker::cluster::TopicRef;
use crate::broker::faults::Place;
use crate::broker::shared::Shared;
use crate::broker::transactions::Partitions;
use crate::broker::wire::Api;

/// Answers a request. Clients send the versions up to 3, which clients send; newer ones are between brokers.
pub(super) fn respond(shared: &Shared, request: &AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    let topics = &request.v3_and_below_topics;
    let partitions: Partitions = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.to_string(), *partition)))
        .collect();
    let exists =
        |topic: &str, partition| shared.read(|cluster| cluster.log(TopicRef::Name(topic), partition).map(|_log| ()));
    let refused: BTreeMap<_, _> = partitions
        .iter()
        .filter_map(|(topic, partition)| {
            let refusal = shared.refusal(Api::AddPartitionsToTxn, Place::Partition(topic, *partition));
            let error = exists(topic, *partition).and(refusal).err()?;
            Some(((topic.clone(), *partition), error))
        })
        .collect();

    // Partitions are added together or not at all.
    let added = if refused.is_empty() {
        let producer = (request.v3_and_below_producer_id.0, request.v3_and_below_producer_epoch);
        shared.write(|cluster| cluster.transactions.add(&request.v3_and_below_transactional_id, producer, partitions))
    } else {
        Err(ResponseError::OperationNotAttempted)
    };
    let results = topics.iter().map(|topic| {
        let results = topic.partitions.iter().map(|partition| {
            let error = refused.get(&(topic.name.to_string(), *partition));
            let outcome = error.map_or(added, |error| Err(*error));
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(shared.code_of(&outcome))
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(results.collect())
    });
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results.collect())
}
