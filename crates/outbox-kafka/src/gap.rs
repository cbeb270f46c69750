//! Abilities that brokers lack.

use std::fmt;

/// Something that a broker lacks, compared with Apache Kafka 4.
///
/// `Display` names what is missing and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Gap {
    /// No version of InitProducerId, so no idempotent produce (KIP-98). Needed.
    InitProducerId,
    /// No version of Produce with record batches (5 or later). Needed.
    Produce,
    /// No version of Fetch with record batches (4 or later). Needed.
    Fetch,
    /// No version of ListOffsets with a single offset (1 or later). Needed.
    ListOffsets,
    /// No version of CreateTopics with the broker's defaults (4 or later).
    CreateTopics,
    /// No topic ids (KIP-516): Metadata before version 10, or ids that are all zeros.
    TopicIds,
    /// No zstd (KIP-110): Produce before version 7, or Fetch before version 10.
    Zstd,
    /// No name of the record at fault in a rejected batch (KIP-467): Produce before version 8.
    RecordErrors,
    /// No time in the answer to a repeated batch. Only a repeated batch shows it.
    RepeatTimestamps,
}

impl Gap {
    pub(crate) const ALL: [Self; 9] = [
        Self::InitProducerId,
        Self::Produce,
        Self::Fetch,
        Self::ListOffsets,
        Self::CreateTopics,
        Self::TopicIds,
        Self::Zstd,
        Self::RecordErrors,
        Self::RepeatTimestamps,
    ];

    /// Returns the missing ability, by its name in Kafka's protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InitProducerId => "InitProducerId",
            Self::Produce => "Produce (5 or later)",
            Self::Fetch => "Fetch (4 or later)",
            Self::ListOffsets => "ListOffsets (1 or later)",
            Self::CreateTopics => "CreateTopics (4 or later)",
            Self::TopicIds => "topic ids",
            Self::Zstd => "zstd",
            Self::RecordErrors => "record_errors in Produce answers",
            Self::RepeatTimestamps => "timestamps in answers to repeated batches",
        }
    }

    /// Returns what follows from the gap, and the remedy if there is one.
    pub const fn consequence(self) -> &'static str {
        match self {
            Self::InitProducerId => {
                "without idempotent produce a repeated batch is appended twice: use a broker, or a tier of the service, \
                 with idempotent producers"
            }
            Self::Produce => "record batches cannot be written: use Kafka 1.0 or later",
            Self::Fetch => "record batches cannot be read: use Kafka 0.11 or later",
            Self::ListOffsets => "the ends of logs cannot be found: use Kafka 0.10.1 or later",
            Self::CreateTopics => "missing topics are not created: create each topic before its first event",
            Self::TopicIds => {
                "a topic that is deleted and created again is not noticed: stop the relay before you re-create a topic"
            }
            Self::Zstd => "zstd is replaced by another compression: set compression.type to gzip, lz4 or snappy",
            Self::RecordErrors => {
                "the record at fault in a rejected batch is unknown: the batch is divided until it is found"
            }
            Self::RepeatTimestamps => "a repeated batch looks like a new one: batches are read back after a restart",
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.consequence())
    }
}
