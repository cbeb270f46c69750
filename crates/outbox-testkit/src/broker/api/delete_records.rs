use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::broker::faults::Place;
use crate::broker::shared::Shared;
use crate::broker::wire::Api;

/// The offset that stands for the end of the log.
const ALL: i64 = -1;

pub(super) fn respond(shared: &Shared, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let deleted = delete(shared, &topic.name, partition.partition_index, partition.offset);
            DeleteRecordsPartitionResult::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(shared.code_of(&deleted))
                .with_low_watermark(deleted.unwrap_or(-1))
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
    });
    let topics = topics.collect();
    shared.announce();
    DeleteRecordsResponse::default().with_topics(topics)
}

/// Deletes records, and returns the first offset that can be read now.
fn delete(shared: &Shared, topic: &str, partition: i32, offset: i64) -> Result<i64, ResponseError> {
    shared.refusal(Api::DeleteRecords, Place::Partition(topic, partition))?;
    shared.write(|cluster| {
        let log = cluster.log_mut(topic, partition)?;
        log.delete_before(if offset == ALL { log.end() } else { offset })?;
        Ok(log.start())
    })
}
