//! Requests of idempotent and transactional producers, and about them.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, DescribeProducersRequest, DescribeProducersResponse,
    EndTxnRequest, EndTxnResponse, InitProducerIdRequest, InitProducerIdResponse,
};

use super::answer::text;
use crate::broker::cluster::TopicRef;
use crate::broker::faults::Place;
use crate::broker::log::Outcome;
use crate::broker::settings::now_ms;
use crate::broker::shared::Shared;
use crate::broker::transactions::Partitions;
use crate::broker::wire::Api;

/// Answers a request. Without a transactional id, each call gives a new producer id with epoch 0, whatever id the
/// client had.
///
/// With one, each call returns the next epoch, and aborts the open transaction of the previous epoch.
pub(super) fn init_producer_id(shared: &Shared, request: &InitProducerIdRequest) -> InitProducerIdResponse {
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

/// Answers a request. Clients send the versions up to 3; newer ones are between brokers.
pub(super) fn add_partitions(shared: &Shared, request: &AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
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

/// Answers a request in the versions up to 4, after which the producer keeps its epoch.
pub(super) fn end(shared: &Shared, request: &EndTxnRequest) -> EndTxnResponse {
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

pub(super) fn describe_producers(shared: &Shared, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            let producers = producers(shared, &topic.name, *index);
            PartitionResponse::default()
                .with_partition_index(*index)
                .with_error_code(shared.code_of(&producers))
                .with_error_message(producers.as_ref().err().map(|error| text(&error.to_string())))
                .with_active_producers(producers.unwrap_or_default())
        });
        let partitions = partitions.collect();
        TopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn producers(shared: &Shared, topic: &str, partition: i32) -> Result<Vec<ProducerState>, ResponseError> {
    shared.refusal(Api::DescribeProducers, Place::Partition(topic, partition))?;
    shared.read(|cluster| {
        let log = cluster.log(TopicRef::Name(topic), partition)?;
        let state = log.producers().map(|(id, producer)| {
            ProducerState::default()
                .with_producer_id(id.into())
                .with_producer_epoch(i32::from(producer.epoch))
                .with_last_sequence(producer.last_sequence())
                .with_last_timestamp(producer.last_timestamp)
                .with_coordinator_epoch(-1)
                .with_current_txn_start_offset(log.open_since(id).unwrap_or(-1))
        });
        Ok(state.collect())
    })
}
