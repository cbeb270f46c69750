use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};

use super::text;
use crate::broker::cluster::TopicRef;
use crate::broker::faults::Place;
use crate::broker::shared::Shared;
use crate::broker::wire::Api;

pub(super) fn respond(shared: &Shared, request: DescribeProducersRequest) -> DescribeProducersResponse {
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
