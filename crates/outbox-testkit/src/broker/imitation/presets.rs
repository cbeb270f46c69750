use kafka_protocol::ResponseError;

use super::Imitation;
use crate::broker::log::Codec;
use crate::broker::wire::Api;

/// The newest version of each API of a release; APIs that it lacks are -1.
type Ceilings = &'static [(Api, i16)];

impl Imitation {
    /// Imitates the API versions of Apache Kafka 2.4: no topic ids, and no DescribeProducers.
    ///
    /// Source: `validVersions` in the message definitions of `kafka-clients` 2.4.1.
    pub fn kafka_2_4() -> Self {
        Self::up_to(&[
            (Api::Produce, 8),
            (Api::Fetch, 11),
            (Api::ListOffsets, 5),
            (Api::Metadata, 9),
            (Api::OffsetCommit, 8),
            (Api::OffsetFetch, 6),
            (Api::FindCoordinator, 3),
            (Api::ApiVersions, 3),
            (Api::CreateTopics, 5),
            (Api::DeleteTopics, 4),
            (Api::DeleteRecords, 1),
            (Api::InitProducerId, 2),
            (Api::DescribeProducers, -1),
        ])
    }

    /// Imitates the API versions of Apache Kafka 2.8: topic ids in Metadata, but not in Fetch and Produce.
    ///
    /// Source: `validVersions` in the message definitions of `kafka-clients` 2.8.2.
    pub fn kafka_2_8() -> Self {
        Self::up_to(&[
            (Api::Produce, 9),
            (Api::Fetch, 12),
            (Api::ListOffsets, 6),
            (Api::Metadata, 11),
            (Api::OffsetCommit, 8),
            (Api::OffsetFetch, 7),
            (Api::FindCoordinator, 3),
            (Api::ApiVersions, 3),
            (Api::CreateTopics, 7),
            (Api::DeleteTopics, 6),
            (Api::DeleteRecords, 2),
            (Api::InitProducerId, 4),
            (Api::DescribeProducers, 0),
        ])
    }

    /// Imitates the API versions of Apache Kafka 3.9, the last release line before 4.0.
    ///
    /// Source: `validVersions` in the message definitions of `kafka-clients` 3.9.1.
    pub fn kafka_3_9() -> Self {
        Self::up_to(&[
            (Api::Produce, 11),
            (Api::Fetch, 17),
            (Api::ListOffsets, 9),
            (Api::Metadata, 12),
            (Api::OffsetCommit, 9),
            (Api::OffsetFetch, 9),
            (Api::FindCoordinator, 6),
            (Api::ApiVersions, 4),
            (Api::CreateTopics, 7),
            (Api::DeleteTopics, 6),
            (Api::DeleteRecords, 2),
            (Api::InitProducerId, 5),
            (Api::DescribeProducers, 0),
        ])
    }

    /// Imitates the Kafka endpoint of Azure Event Hubs in the Premium tier, as far as its behaviour is published.
    ///
    /// | behaviour | source |
    /// | --- | --- |
    /// | API versions, no DeleteRecords | the ApiVersions answer in [aiokafka#945] |
    /// | no DescribeProducers | not among the APIs in [event-hubs-for-kafka#209] |
    /// | a newer ApiVersions request closes the connection | [franz-go#1025], [kafka-python#2602] |
    /// | gzip only, others are answered with UNSUPPORTED_FOR_MESSAGE_FORMAT (43) | [azure-docs#123980], [tempo#7690], [franz-go#144] |
    /// | a request above 1,046,528 bytes closes the connection | [recommended configurations] |
    ///
    /// The service may change at any time; these reports are from 2022 to 2026.
    ///
    /// [aiokafka#945]: https://github.com/aio-libs/aiokafka/issues/945
    /// [event-hubs-for-kafka#209]: https://github.com/Azure/azure-event-hubs-for-kafka/issues/209
    /// [franz-go#1025]: https://github.com/twmb/franz-go/issues/1025
    /// [kafka-python#2602]: https://github.com/dpkp/kafka-python/issues/2602
    /// [azure-docs#123980]: https://github.com/MicrosoftDocs/azure-docs/pull/123980
    /// [tempo#7690]: https://github.com/grafana/tempo/issues/7690
    /// [franz-go#144]: https://github.com/twmb/franz-go/issues/144
    /// [recommended configurations]: https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations
    pub fn azure_event_hubs_premium() -> Self {
        let versions = Self::up_to(&[
            (Api::Produce, 7),
            (Api::Fetch, 6),
            (Api::ListOffsets, 7),
            (Api::Metadata, 5),
            (Api::OffsetCommit, 8),
            (Api::OffsetFetch, 8),
            (Api::FindCoordinator, 4),
            (Api::ApiVersions, 3),
            (Api::CreateTopics, 6),
            (Api::DeleteTopics, 2),
            (Api::DeleteRecords, -1),
            (Api::InitProducerId, 1),
            (Api::DescribeProducers, -1),
        ]);
        versions
            .closes_on_newer_api_versions()
            .compression([Codec::Gzip])
            .compression_error(ResponseError::UnsupportedForMessageFormat)
            .max_request_bytes(1_046_528)
    }

    /// Imitates Azure Event Hubs in the Standard tier: as [Premium](Self::azure_event_hubs_premium), without any
    /// compression (source: [azure-docs#123980]).
    ///
    /// [azure-docs#123980]: https://github.com/MicrosoftDocs/azure-docs/pull/123980
    pub fn azure_event_hubs_standard() -> Self {
        Self::azure_event_hubs_premium().compression([])
    }

    /// Imitates WarpStream: no DeleteRecords, no DescribeProducers, and KAFKA_STORAGE_ERROR (56) as its error for
    /// everything that is to be retried.
    ///
    /// Sources: the [list of supported messages], and [brod#667] for the error.
    ///
    /// [list of supported messages]: https://docs.warpstream.com/warpstream/reference/protocol-and-feature-support
    /// [brod#667]: https://github.com/kafka4beam/brod/pull/667
    pub fn warpstream() -> Self {
        let present = Self::new().without_api(Api::DeleteRecords).without_api(Api::DescribeProducers);
        present.generic_error(ResponseError::KafkaStorageError)
    }

    /// Imitates Redpanda before version 25.3: no topic ids, Fetch up to version 11, Produce up to version 7, and no
    /// time in the answer to a repeated batch.
    ///
    /// Sources: the request handlers in [`src/v/kafka/server/handlers`] and [redpanda#26968], which added topic ids.
    /// The versions of other APIs are those of Apache Kafka here.
    ///
    /// [`src/v/kafka/server/handlers`]: https://github.com/redpanda-data/redpanda/tree/v24.1.1/src/v/kafka/server/handlers
    /// [redpanda#26968]: https://github.com/redpanda-data/redpanda/pull/26968
    pub fn redpanda_before_topic_ids() -> Self {
        Self::up_to(&[(Api::Produce, 7), (Api::Fetch, 11), (Api::Metadata, 8)])
            .without_topic_ids()
            .without_repeat_timestamps()
    }

    fn up_to(ceilings: Ceilings) -> Self {
        ceilings.iter().fold(Self::new(), |imitation, (api, newest)| imitation.versions(*api, 0..=*newest))
    }
}
