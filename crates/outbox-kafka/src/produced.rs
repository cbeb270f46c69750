use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;

use super::api::Api;
use super::error::{Error, Kind};
use super::{ErrorCode, Topic};

/// The outcome of a batch.
#[derive(Clone, Debug)]
pub enum Produced {
    /// It is in the log once, at this offset. A broker that already has the batch answers in the same way, and compares
    /// only the sequences. So the records are certainly there only if the same sequences of a producer always belong to
    /// the same records.
    ///
    /// Kafka distinguishes the two, though its protocol does not promise it: if a topic keeps the producer's
    /// timestamps, Kafka reports no time for an appended batch, and the newest timestamp for a repeated one.
    Appended {
        /// The offset of the batch's first record.
        base_offset: i64,
        /// The broker's `LogAppendTime`, in milliseconds since 1970.
        time: Option<i64>,
    },
    /// It was in the log already, too long ago for the broker to report where. Kafka 4.3 was never seen to answer so.
    Duplicate,
    /// Its sequence does not continue the producer's last one in the partition; nothing was appended. A part of the
    /// batch may be in the log, so the log must be read. Brokers before Kafka 2.5 answer the same for a producer that
    /// they have forgotten.
    OutOfOrderSequence,
    /// The producer's id continues with a larger epoch elsewhere; nothing was appended.
    InvalidEpoch,
    /// Nothing was appended, because of the records themselves: the same records are rejected again.
    Rejected {
        /// The reason.
        error: Error,
        /// The records at fault, if the broker named them.
        records: Vec<RejectedRecord>,
    },
    /// This attempt appended nothing: it was not sent, or the broker reports so. An earlier attempt may have appended
    /// the batch.
    Retriable(Error),
    /// The outcome is unknown: the batch may be appended, also later. Send the same batch again, or read the log.
    Unknown(Error),
}

/// A record that caused the rejection of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Its place in the batch, from 0.
    pub index: u32,
    /// The broker's message, if there is one.
    pub message: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Duplicate,
    OutOfOrderSequence,
    InvalidEpoch,
    Rejected,
    Retriable,
    Unknown,
}

impl Meaning {
    /// Decides what a broker's code means for a batch.
    fn of(code: ErrorCode, base_offset: i64) -> Self {
        match code {
            ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Self::Duplicate,
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID => Self::OutOfOrderSequence,
            ErrorCode::INVALID_PRODUCER_EPOCH | ErrorCode::PRODUCER_FENCED => Self::InvalidEpoch,
            ErrorCode::MESSAGE_TOO_LARGE
            | ErrorCode::RECORD_LIST_TOO_LARGE
            | ErrorCode::INVALID_TOPIC_EXCEPTION
            | ErrorCode::INVALID_TIMESTAMP
            | ErrorCode::INVALID_RECORD => Self::Rejected,
            // A leader that steps down while it waits for its followers answers the same for a batch that it has
            // appended, and that the next leader may have. It then reports the offset.
            _ if base_offset >= 0 => Self::Unknown,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
            | ErrorCode::LEADER_NOT_AVAILABLE
            | ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::REPLICA_NOT_AVAILABLE
            | ErrorCode::NOT_ENOUGH_REPLICAS
            | ErrorCode::CORRUPT_MESSAGE
            | ErrorCode::FENCED_LEADER_EPOCH
            | ErrorCode::UNKNOWN_LEADER_EPOCH
            | ErrorCode::THROTTLING_QUOTA_EXCEEDED
            | ErrorCode::UNKNOWN_TOPIC_ID
            | ErrorCode::INCONSISTENT_TOPIC_ID
            // Privileges, policies and settings of the broker: the records are not at fault.
            | ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
            | ErrorCode::UNSUPPORTED_VERSION
            | ErrorCode::INVALID_REQUEST
            | ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT
            | ErrorCode::POLICY_VIOLATION
            | ErrorCode::UNSUPPORTED_COMPRESSION_TYPE => Self::Retriable,
            // NOT_ENOUGH_REPLICAS_AFTER_APPEND, REQUEST_TIMED_OUT, KAFKA_STORAGE_ERROR, and unknown codes.
            _ => Self::Unknown,
        }
    }
}

impl Produced {
    /// Converts a partition's part of an answer into the outcome that decides what the producer does next.
    pub(super) fn of_answer(answer: &PartitionProduceResponse, topic: &Topic, broker: &str) -> Self {
        let Some(code) = ErrorCode::from_code(answer.error_code) else {
            let time = (answer.log_append_time_ms >= 0).then_some(answer.log_append_time_ms);
            return Self::Appended { base_offset: answer.base_offset, time };
        };
        let error = Error::code_of(code, answer.error_message.as_deref())
            .by(ProduceRequest::NAME)
            .at(broker)
            .of_partition(topic.name(), answer.index);
        match Meaning::of(code, answer.base_offset) {
            Meaning::Duplicate => Self::Duplicate,
            Meaning::OutOfOrderSequence => Self::OutOfOrderSequence,
            Meaning::InvalidEpoch => Self::InvalidEpoch,
            Meaning::Retriable => Self::Retriable(error),
            Meaning::Unknown => Self::Unknown(error),
            Meaning::Rejected => {
                let records = answer.record_errors.iter().filter_map(|record| {
                    let message = record.batch_index_error_message.as_ref().map(|message| message.as_str().into());
                    Some(RejectedRecord { index: u32::try_from(record.batch_index).ok()?, message })
                });
                Self::Rejected { error, records: records.collect() }
            }
        }
    }

    /// Creates the outcome of a batch that was never sent.
    pub(super) fn not_sent(error: Error) -> Self {
        let rejected = match error.kind() {
            Kind::Code(code, _) => Meaning::of(*code, -1) == Meaning::Rejected,
            Kind::Encode => true,
            _ => false,
        };
        if rejected { Self::Rejected { error, records: Vec::new() } } else { Self::Retriable(error) }
    }

    /// Returns whether another broker may have become the leader of the partition.
    pub(super) fn is_stale_metadata(&self) -> bool {
        match self {
            Self::Retriable(error) | Self::Unknown(error) => error.code().is_none_or(ErrorCode::is_stale_metadata),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_appended_is_unknown() {
        for code in [-1, 7, 20, 56, 9999] {
            assert_eq!(Meaning::of(ErrorCode(code), -1), Meaning::Unknown, "{code}");
        }
        for code in [3, 5, 6, 19, 29, 31, 35, 42, 43, 44, 74, 76, 100] {
            assert_eq!(Meaning::of(ErrorCode(code), -1), Meaning::Retriable, "{code}");
            assert_eq!(Meaning::of(ErrorCode(code), 17), Meaning::Unknown, "{code}");
        }
        for code in [10, 17, 18, 32, 87] {
            assert_eq!(Meaning::of(ErrorCode(code), -1), Meaning::Rejected, "{code}");
        }
    }
}
