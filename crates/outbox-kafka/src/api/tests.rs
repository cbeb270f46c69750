use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{TopicName, api_versions_response, produce_response};
use uuid::Uuid;

use super::*;

fn text() -> StrBytes {
    StrBytes::from_static_str("some text")
}

fn name_until(version: i16, until: i16) -> TopicName {
    if version <= until { TopicName(text()) } else { TopicName::default() }
}

fn id_since(version: i16, since: i16) -> Uuid {
    if version >= since { Uuid::max() } else { Uuid::nil() }
}

/// Checks that the answer that a closure makes for each version is walked to its last byte, and no shorter one is.
fn agrees<A: Api>(answer: impl Fn(i16) -> A::Response)
where
    A::Response: Encodable,
{
    for version in A::VERSIONS {
        let mut bytes = BytesMut::new();
        answer(version).encode(&mut bytes, version).unwrap();
        for length in 0..=bytes.len() {
            let mut walk = walk::<A>(&bytes[..length], version);
            let walked = walk.structure(A::ANSWER);
            assert_eq!(walked.is_ok(), length == bytes.len(), "{} {version}: {length} of {}", A::NAME, bytes.len());
            assert!(walked.is_err() || walk.remaining() == 0, "{} {version}", A::NAME);
        }
    }
}

#[test]
fn the_fields_of_small_answers_agree_with_the_codec() {
    agrees::<ApiVersionsRequest>(|version| {
        use api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
        let answer = ApiVersionsResponse::default().with_api_keys(vec![ApiVersion::default(); 3]);
        if version < 3 {
            return answer;
        }
        let supported = SupportedFeatureKey::default().with_name(text());
        let finalized = FinalizedFeatureKey::default().with_name(text());
        let answer = answer.with_supported_features(vec![supported; 2]).with_finalized_features(vec![finalized; 2]);
        answer.with_finalized_features_epoch(7).with_zk_migration_ready(true)
    });

    agrees::<InitProducerIdRequest>(|_| InitProducerIdResponse::default());
    agrees::<FindCoordinatorRequest>(|_| FindCoordinatorResponse::default().with_host(text()));
    agrees::<SaslHandshakeRequest>(|_| SaslHandshakeResponse::default().with_mechanisms(vec![text(); 2]));
    agrees::<SaslAuthenticateRequest>(|_| {
        SaslAuthenticateResponse::default()
            .with_auth_bytes(Bytes::from_static(b"bytes"))
            .with_error_message(Some(text()))
    });

    agrees::<ListOffsetsRequest>(|_| {
        let topic =
            ListOffsetsTopicResponse::default().with_partitions(vec![ListOffsetsPartitionResponse::default(); 2]);
        ListOffsetsResponse::default().with_topics(vec![topic.with_name(TopicName(text())); 2])
    });

    agrees::<OffsetCommitRequest>(|_| {
        let partitions = vec![OffsetCommitResponsePartition::default(); 2];
        let topic = OffsetCommitResponseTopic::default().with_partitions(partitions);
        OffsetCommitResponse::default().with_topics(vec![topic.with_name(TopicName(text())); 2])
    });
}

#[test]
fn the_fields_of_answers_about_topics_agree_with_the_codec() {
    agrees::<MetadataRequest>(|version| {
        let nodes = vec![1.into(), 2.into()];
        let partition = MetadataResponsePartition::default().with_replica_nodes(nodes.clone()).with_isr_nodes(nodes);
        let topic = MetadataResponseTopic::default().with_name(Some(TopicName(text())));
        let topic = topic.with_topic_id(id_since(version, 10)).with_partitions(vec![partition; 2]);
        let broker = MetadataResponseBroker::default().with_host(text()).with_rack(Some(text()));
        MetadataResponse::default().with_brokers(vec![broker; 2]).with_topics(vec![topic; 2])
    });
    agrees::<CreateTopicsRequest>(|version| {
        let topic = CreatableTopicResult::default().with_name(TopicName(text())).with_topic_id(id_since(version, 7));
        let config = CreatableTopicConfigs::default().with_name(text()).with_value(Some(text()));
        let topic =
            if version < 5 { topic } else { topic.with_configs(Some(vec![config; 2])).with_topic_config_error_code(3) };
        CreateTopicsResponse::default().with_topics(vec![topic; 2])
    });
    agrees::<DescribeConfigsRequest>(|_| {
        let synonym = DescribeConfigsSynonym::default().with_name(text());
        let config = DescribeConfigsResourceResult::default().with_name(text()).with_synonyms(vec![synonym; 2]);
        let result = DescribeConfigsResult::default().with_resource_name(text()).with_configs(vec![config; 2]);
        DescribeConfigsResponse::default().with_results(vec![result; 2])
    });
}

#[test]
fn the_fields_of_answers_with_records_agree_with_the_codec() {
    agrees::<ProduceRequest>(|version| {
        let partition = PartitionProduceResponse::default();
        let partition = match version {
            ..8 => partition,
            8.. => {
                let error = BatchIndexAndErrorMessage::default().with_batch_index_error_message(Some(text()));
                partition.with_record_errors(vec![error; 2]).with_error_message(Some(text()))
            }
        };

        let leader = produce_response::LeaderIdAndEpoch::default().with_leader_epoch(7);
        let partition = if version < 10 { partition } else { partition.with_current_leader(leader) };
        let topic = TopicProduceResponse::default().with_partition_responses(vec![partition; 2]);
        let topic = topic.with_name(name_until(version, 12)).with_topic_id(id_since(version, 13));
        let node = produce_response::NodeEndpoint::default().with_host(text());
        let answer = ProduceResponse::default().with_responses(vec![topic; 2]);
        if version < 10 { answer } else { answer.with_node_endpoints(vec![node; 2]) }
    });
    agrees::<FetchRequest>(|version| {
        let partition =
            PartitionData::default().with_aborted_transactions(Some(vec![AbortedTransaction::default(); 2]));
        let partition = partition.with_records(Some(Bytes::from_static(&[7; 200])));
        let partition = if version < 12 {
            partition
        } else {
            partition.with_diverging_epoch(EpochEndOffset::default().with_epoch(7))
        };
        let topic = FetchableTopicResponse::default().with_partitions(vec![partition; 2]);
        let topic = topic.with_topic(name_until(version, 12)).with_topic_id(id_since(version, 13));
        let answer = FetchResponse::default().with_responses(vec![topic; 2]);

        if version < 16 {
            answer
        } else {
            answer.with_node_endpoints(vec![NodeEndpoint::default().with_host(text()); 2])
        }
    });
}

#[test]
fn counts_that_the_bytes_do_not_bear_out_are_errors() {
    for version in MetadataRequest::VERSIONS {
        let mut answer = BytesMut::zeroed(4);
        let is_flexible = MetadataRequest::header_version(version) >= 2;
        // No tags of the header, no throttling, and 2,147,483,647 brokers.
        answer.extend_from_slice(if is_flexible {
            b"\0\0\0\0\0\xff\xff\xff\xff\x0f"
        } else {
            b"\0\0\0\0\x7f\xff\xff\xff"
        });
        assert!(decode::<MetadataRequest>(answer.freeze(), version).is_err(), "{version}");
    }
}
