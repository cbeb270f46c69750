//! The topics and partitions that a request names, for the faults that happen to it.

use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeProducersRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetFetchRequest, ProduceRequest,
};
use uuid::Uuid;

use super::answer::topic_ref;
use crate::broker::cluster::TopicRef;
use crate::broker::faults::Place;
use crate::broker::shared::Shared;
use crate::broker::wire::request::Request;
use crate::broker::wire::{Api, Malformed};

/// A topic, or one of its partitions.
#[derive(Debug)]
pub(super) struct Named {
    topic: String,
    partition: Option<i32>,
}

impl Named {
    pub(super) fn place(&self) -> Place<'_> {
        match self.partition {
            Some(partition) => Place::Partition(&self.topic, partition),
            None => Place::Topic(&self.topic),
        }
    }
}

/// Returns the topics and partitions that a request names.
pub(super) fn of(shared: &Shared, request: &Request) -> Result<Vec<Named>, Malformed> {
    let mut found = Vec::new();
    let mut add = |topic: String, partitions: Vec<i32>| {
        found
            .extend(partitions.into_iter().map(|partition| Named { topic: topic.clone(), partition: Some(partition) }));
    };

    let name = |topic: TopicRef<'_>| shared.read(|cluster| cluster.topic(topic).map(|(name, _)| name.to_owned()));
    match request.api {
        Api::Produce => {
            for topic in request.decode::<ProduceRequest>()?.topic_data {
                if let Ok(name) = name(topic_ref(&topic.name, topic.topic_id)) {
                    add(name, topic.partition_data.iter().map(|data| data.index).collect());
                }
            }
        }
        Api::Fetch => {
            for topic in request.decode::<FetchRequest>()?.topics {
                if let Ok(name) = name(topic_ref(&topic.topic, topic.topic_id)) {
                    add(name, topic.partitions.iter().map(|partition| partition.partition).collect());
                }
            }
        }
        Api::ListOffsets => {
            for topic in request.decode::<ListOffsetsRequest>()?.topics {
                let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
                add(topic.name.to_string(), partitions.collect());
            }
        }
        Api::DeleteRecords => {
            for topic in request.decode::<DeleteRecordsRequest>()?.topics {
                let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
                add(topic.name.to_string(), partitions.collect());
            }
        }
        Api::OffsetCommit => {
            for topic in request.decode::<OffsetCommitRequest>()?.topics {
                let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
                add(topic.name.to_string(), partitions.collect());
            }
        }
        Api::OffsetFetch => {
            let fetch = request.decode::<OffsetFetchRequest>()?;
            for topic in fetch.topics.unwrap_or_default() {
                add(topic.name.to_string(), topic.partition_indexes);
            }
            for topic in fetch.groups.into_iter().flat_map(|group| group.topics.unwrap_or_default()) {
                add(topic.name.to_string(), topic.partition_indexes);
            }
        }
        Api::DescribeProducers => {
            for topic in request.decode::<DescribeProducersRequest>()?.topics {
                add(topic.name.to_string(), topic.partition_indexes);
            }
        }
        Api::AddPartitionsToTxn => {
            for topic in request.decode::<AddPartitionsToTxnRequest>()?.v3_and_below_topics {
                add(topic.name.to_string(), topic.partitions);
            }
        }
        Api::Metadata => {
            for topic in request.decode::<MetadataRequest>()?.topics.unwrap_or_default() {
                let by_id = |id: Uuid| name(TopicRef::Id(id)).ok();
                let topic = topic.name.map_or_else(|| by_id(topic.topic_id), |name| Some(name.to_string()));
                found.extend(topic.map(|topic| Named { topic, partition: None }));
            }
        }
        Api::CreateTopics => {
            let topics = request.decode::<CreateTopicsRequest>()?.topics.into_iter();
            found.extend(topics.map(|topic| Named { topic: topic.name.to_string(), partition: None }));
        }
        Api::DeleteTopics => {
            let delete = request.decode::<DeleteTopicsRequest>()?;
            let states = delete.topics.into_iter().filter_map(|state| match state.name {
                Some(name) => Some(name.to_string()),
                None => name(TopicRef::Id(state.topic_id)).ok(),
            });
            let names = delete.topic_names.iter().map(|name| name.to_string()).chain(states);
            found.extend(names.map(|topic| Named { topic, partition: None }));
        }
        Api::FindCoordinator | Api::ApiVersions | Api::InitProducerId | Api::EndTxn => {}
    }
    Ok(found)
}
