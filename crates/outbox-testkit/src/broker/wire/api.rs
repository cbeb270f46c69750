use kafka_protocol::messages::ApiKey;

/// A request type of the Kafka protocol that the broker serves, named as in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Api {
    /// API key 0.
    Produce,
    /// API key 1.
    Fetch,
    /// API key 2.
    ListOffsets,
    /// API key 3.
    Metadata,
    /// API key 8.
    OffsetCommit,
    /// API key 9.
    OffsetFetch,
    /// API key 10.
    FindCoordinator,
    /// API key 18.
    ApiVersions,
    /// API key 19.
    CreateTopics,
    /// API key 20.
    DeleteTopics,
    /// API key 21.
    DeleteRecords,
    /// API key 22.
    InitProducerId,
    /// API key 24.
    AddPartitionsToTxn,
    /// API key 26.
    EndTxn,
    /// API key 61.
    DescribeProducers,
}

impl Api {
    pub(in crate::broker) const fn key(self) -> ApiKey {
        match self {
            Self::Produce => ApiKey::Produce,
            Self::Fetch => ApiKey::Fetch,
            Self::ListOffsets => ApiKey::ListOffsets,
            Self::Metadata => ApiKey::Metadata,
            Self::OffsetCommit => ApiKey::OffsetCommit,
            Self::OffsetFetch => ApiKey::OffsetFetch,
            Self::FindCoordinator => ApiKey::FindCoordinator,
            Self::ApiVersions => ApiKey::ApiVersions,
            Self::CreateTopics => ApiKey::CreateTopics,
            Self::DeleteTopics => ApiKey::DeleteTopics,
            Self::DeleteRecords => ApiKey::DeleteRecords,
            Self::InitProducerId => ApiKey::InitProducerId,
            Self::AddPartitionsToTxn => ApiKey::AddPartitionsToTxn,
            Self::EndTxn => ApiKey::EndTxn,
            Self::DescribeProducers => ApiKey::DescribeProducers,
        }
    }
}
