//! The requests that are served, in which versions, and how they are laid out (Kafka's message definitions).

use super::Malformed;
use super::api::Api;
use super::shape::{Encoding, Field, Kind, Tags, Walk};
use crate::broker::imitation::Imitation;
use Kind::{Bytes, Fixed, Scalars, Structs, Text, Texts};

/// One request that is served.
#[derive(Debug)]
pub(in crate::broker) struct Schema {
    pub(in crate::broker) api: Api,
    oldest: i16,
    newest: i16,
    fields: &'static [Field],
    flexible: i16,
}

impl Schema {
    pub(in crate::broker) fn of(key: i16) -> Option<&'static Self> {
        SERVED.iter().find(|schema| schema.api.key() as i16 == key)
    }

    /// Returns the oldest and the newest version that are served; `None` if the imitated broker lacks the API.
    pub(in crate::broker) fn versions(&self, imitation: &Imitation) -> Option<(i16, i16)> {
        imitation.left_of(self.api, self.oldest, self.newest)
    }

    /// Checks the lengths in the body of a request.
    pub(in crate::broker) fn check(&self, body: &[u8], version: i16) -> Result<(), Malformed> {
        self.walk(body, version).map(drop)
    }

    /// Walks the body of a request, and returns the number of bytes after it.
    fn walk(&self, body: &[u8], version: i16) -> Result<usize, Malformed> {
        let mut walk = Walk::new(body, version, self.encoding(version), self.tags());
        walk.structure(self.fields)?;
        Ok(walk.remaining())
    }

    fn encoding(&self, version: i16) -> Encoding {
        if version >= self.flexible { Encoding::Flexible } else { Encoding::Classic }
    }

    fn tags(&self) -> Tags {
        // Tags 0 and 1 are a follower's: cluster and replica, directory and high watermark.
        if self.api == Api::Fetch { Tags::From(2) } else { Tags::Any }
    }
}

const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);

const fn all(kind: Kind) -> Field {
    versions(kind, 0, i16::MAX)
}

const fn since(kind: Kind, since: i16) -> Field {
    versions(kind, since, i16::MAX)
}

const fn until(kind: Kind, until: i16) -> Field {
    versions(kind, 0, until)
}

const fn versions(kind: Kind, since: i16, until: i16) -> Field {
    Field::new(kind, since, until)
}

const fn served(api: Api, versions: (i16, i16), flexible: i16, fields: &'static [Field]) -> Schema {
    Schema { api, oldest: versions.0, newest: versions.1, flexible, fields }
}

pub(in crate::broker) const SERVED: &[Schema] = &[
    served(Api::Produce, (3, 13), 9, &[all(Text), all(I16), all(I32), all(Structs(PRODUCE_TOPIC))]),
    served(Api::Fetch, (4, 18), 12, FETCH),
    served(
        Api::ListOffsets,
        (1, 10),
        6,
        &[all(I32), since(I8, 2), all(Structs(&[all(Text), all(Structs(LIST_PARTITION))])), since(I32, 10)],
    ),
    served(
        Api::Metadata,
        (0, 13),
        9,
        &[all(Structs(&[since(UUID, 10), all(Text)])), since(I8, 4), versions(I8, 8, 10), since(I8, 8)],
    ),
    served(Api::OffsetCommit, (2, 9), 8, OFFSET_COMMIT),
    served(Api::OffsetFetch, (1, 9), 6, OFFSET_FETCH),
    served(Api::FindCoordinator, (0, 6), 3, &[until(Text, 3), since(I8, 1), since(Texts, 4)]),
    served(Api::ApiVersions, (0, 4), 3, &[since(Text, 3), since(Text, 3)]),
    served(Api::CreateTopics, (2, 7), 5, &[all(Structs(CREATE_TOPIC)), all(I32), all(I8)]),
    served(Api::DeleteTopics, (1, 6), 4, &[since(Structs(&[all(Text), all(UUID)]), 6), until(Texts, 5), all(I32)]),
    served(Api::DeleteRecords, (0, 2), 2, &[all(Structs(&[all(Text), all(Structs(&[all(I32), all(I64)]))])), all(I32)]),
    served(Api::InitProducerId, (0, 5), 2, &[all(Text), all(I32), since(I64, 3), since(I16, 3)]),
    served(
        Api::AddPartitionsToTxn,
        (0, 3),
        3,
        &[all(Text), all(I64), all(I16), all(Structs(&[all(Text), all(Scalars(4))]))],
    ),
    served(Api::EndTxn, (0, 4), 3, &[all(Text), all(I64), all(I16), all(I8)]),
    served(Api::DescribeProducers, (0, 0), 0, &[all(Structs(&[all(Text), all(Scalars(4))]))]),
];

const PRODUCE_TOPIC: &[Field] = &[until(Text, 12), since(UUID, 13), all(Structs(&[all(I32), all(Bytes)]))];

const FETCH: &[Field] = &[
    until(I32, 14),
    all(I32),
    all(I32),
    all(I32),
    all(I8),
    since(I32, 7),
    since(I32, 7),
    all(Structs(&[until(Text, 12), since(UUID, 13), all(Structs(FETCH_PARTITION))])),
    since(Structs(&[until(Text, 12), since(UUID, 13), all(Scalars(4))]), 7),
    since(Text, 11),
];

const FETCH_PARTITION: &[Field] = &[all(I32), since(I32, 9), all(I64), since(I32, 12), since(I64, 5), all(I32)];

const LIST_PARTITION: &[Field] = &[all(I32), since(I32, 4), all(I64)];

const OFFSET_COMMIT: &[Field] = &[
    all(Text),
    all(I32),
    all(Text),
    since(Text, 7),
    until(I64, 4),
    all(Structs(&[all(Text), all(Structs(&[all(I32), all(I64), since(I32, 6), all(Text)]))])),
];

const OFFSET_FETCH: &[Field] = &[
    until(Text, 7),
    until(Structs(OFFSET_FETCH_TOPIC), 7),
    since(Structs(&[all(Text), since(Text, 9), since(I32, 9), all(Structs(OFFSET_FETCH_TOPIC))]), 8),
    since(I8, 7),
];

const OFFSET_FETCH_TOPIC: &[Field] = &[all(Text), all(Scalars(4))];

const CREATE_TOPIC: &[Field] =
    &[all(Text), all(I32), all(I16), all(Structs(&[all(I32), all(Scalars(4))])), all(Structs(&[all(Text), all(Text)]))];

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
    use kafka_protocol::messages::create_topics_request::{
        CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
    };
    use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
    use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
    use kafka_protocol::messages::describe_producers_request::TopicRequest;
    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
    use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    use kafka_protocol::messages::offset_fetch_request::*;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::messages::*;
    use kafka_protocol::protocol::{Encodable, StrBytes};
    use uuid::Uuid;

    use super::*;

    fn text() -> StrBytes {
        StrBytes::from_static_str("some text")
    }

    fn name() -> TopicName {
        TopicName(text())
    }

    /// Checks that the request that a closure makes for each version is walked to its last byte, and no shorter one is.
    fn agrees<T: Encodable>(api: Api, request: impl Fn(i16) -> T) {
        let schema = Schema::of(api.key() as i16).unwrap();
        for version in schema.oldest..=schema.newest {
            let mut bytes = BytesMut::new();
            request(version).encode(&mut bytes, version).unwrap();
            for length in 0..=bytes.len() {
                let walked = schema.walk(&bytes[..length], version);
                assert_eq!(walked.is_ok(), length == bytes.len(), "{api:?} {version} {length}");
                assert!(walked.is_err() || walked.is_ok_and(|left| left == 0), "{api:?} {version}");
            }
        }
    }

    #[test]
    fn schemas_agree_with_the_codec() {
        let id = |version, since| if version >= since { Uuid::max() } else { Uuid::nil() };
        let named = |version, until| if version <= until { name() } else { TopicName::default() };
        agrees(Api::ApiVersions, |_| ApiVersionsRequest::default());
        agrees(Api::Produce, |version| {
            let data = PartitionProduceData::default().with_records(Some(bytes::Bytes::from_static(&[7; 200])));
            let topic = TopicProduceData::default().with_partition_data(vec![data.clone(), data.with_records(None)]);
            let topic = topic.with_topic_id(id(version, 13)).with_name(named(version, 12));
            ProduceRequest::default().with_topic_data(vec![topic])
        });

        agrees(Api::Fetch, |version| {
            let topic = FetchTopic::default().with_partitions(vec![FetchPartition::default(); 2]);
            let topic = topic.with_topic_id(id(version, 13)).with_topic(named(version, 12));
            let forgotten = ForgottenTopic::default().with_partitions(vec![1, 2]);
            let forgotten = forgotten.with_topic_id(id(version, 13)).with_topic(named(version, 12));
            let forgotten = if version >= 7 { vec![forgotten] } else { vec![] };
            FetchRequest::default().with_topics(vec![topic]).with_forgotten_topics_data(forgotten)
        });

        agrees(Api::ListOffsets, |_| {
            let topic = ListOffsetsTopic::default().with_partitions(vec![ListOffsetsPartition::default(); 2]);
            ListOffsetsRequest::default().with_topics(vec![topic.with_name(name())])
        });
        agrees(Api::Metadata, |version| {
            let topic = MetadataRequestTopic::default().with_name(Some(name())).with_topic_id(id(version, 10));
            MetadataRequest::default().with_topics(Some(vec![topic; 2]))
        });

        agrees(Api::OffsetCommit, |_| {
            let partition = OffsetCommitRequestPartition::default().with_committed_metadata(Some(text()));
            let topic = OffsetCommitRequestTopic::default().with_name(name()).with_partitions(vec![partition; 2]);
            OffsetCommitRequest::default().with_group_id(GroupId(text())).with_topics(vec![topic])
        });

        agrees(Api::OffsetFetch, |version| {
            if version < 8 {
                let topic = OffsetFetchRequestTopic::default().with_name(name()).with_partition_indexes(vec![1, 2]);
                return OffsetFetchRequest::default().with_group_id(GroupId(text())).with_topics(Some(vec![topic]));
            }
            let topic = OffsetFetchRequestTopics::default().with_name(name()).with_partition_indexes(vec![1, 2]);
            let group =
                OffsetFetchRequestGroup::default().with_group_id(GroupId(text())).with_topics(Some(vec![topic]));
            OffsetFetchRequest::default().with_groups(vec![group; 2])
        });

        agrees(Api::FindCoordinator, |version| match version {
            0..4 => FindCoordinatorRequest::default().with_key(text()),
            _ => FindCoordinatorRequest::default().with_coordinator_keys(vec![text(); 2]),
        });

        agrees(Api::CreateTopics, |_| {
            let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![1.into(), 2.into()]);
            let config = CreatableTopicConfig::default().with_name(text()).with_value(Some(text()));
            let topic = CreatableTopic::default().with_name(name()).with_assignments(vec![assignment; 2]);
            CreateTopicsRequest::default().with_topics(vec![topic.with_configs(vec![config; 2])])
        });
        agrees(Api::DeleteTopics, |version| match version {
            0..6 => DeleteTopicsRequest::default().with_topic_names(vec![name(), name()]),
            _ => DeleteTopicsRequest::default().with_topics(vec![DeleteTopicState::default().with_name(Some(name()))]),
        });
        agrees(Api::DeleteRecords, |_| {
            let topic = DeleteRecordsTopic::default().with_partitions(vec![DeleteRecordsPartition::default(); 2]);
            DeleteRecordsRequest::default().with_topics(vec![topic.with_name(name())])
        });

        agrees(Api::InitProducerId, |_| InitProducerIdRequest::default());
        agrees(Api::AddPartitionsToTxn, |_| {
            let topic = AddPartitionsToTxnTopic::default().with_name(name()).with_partitions(vec![1, 2]);
            AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(TransactionalId(text()))
                .with_v3_and_below_topics(vec![topic; 2])
        });

        agrees(Api::EndTxn, |_| EndTxnRequest::default().with_transactional_id(TransactionalId(text())));
        agrees(Api::DescribeProducers, |_| {
            let topic = TopicRequest::default().with_name(name()).with_partition_indexes(vec![1, 2]);
            DescribeProducersRequest::default().with_topics(vec![topic])
        });
    }

    #[test]
    fn versions_are_within_those_of_the_codec() {
        for schema in SERVED {
            let codec = schema.api.key().valid_versions();
            assert!(codec.min <= schema.oldest && schema.newest <= codec.max, "{:?}", schema.api);
            for version in schema.oldest..=schema.newest {
                let flexible = schema.api.key().request_header_version(version) == 2;
                assert_eq!(schema.encoding(version) == Encoding::Flexible, flexible, "{:?} {version}", schema.api);
            }
        }
    }
}
