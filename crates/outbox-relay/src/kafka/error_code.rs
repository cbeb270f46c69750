use std::fmt;

use kafka_protocol::error::ResponseError;

/// What a broker answers with in place of a result. The names are those of Kafka's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ErrorCode(pub(crate) i16);

impl ErrorCode {
    pub(crate) const OFFSET_OUT_OF_RANGE: Self = Self(1);
    pub(crate) const CORRUPT_MESSAGE: Self = Self(2);
    pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: Self = Self(3);
    pub(crate) const LEADER_NOT_AVAILABLE: Self = Self(5);
    pub(crate) const NOT_LEADER_OR_FOLLOWER: Self = Self(6);
    pub(crate) const REQUEST_TIMED_OUT: Self = Self(7);
    pub(crate) const REPLICA_NOT_AVAILABLE: Self = Self(9);
    pub(crate) const MESSAGE_TOO_LARGE: Self = Self(10);
    pub(crate) const NETWORK_EXCEPTION: Self = Self(13);
    pub(crate) const COORDINATOR_LOAD_IN_PROGRESS: Self = Self(14);
    pub(crate) const COORDINATOR_NOT_AVAILABLE: Self = Self(15);
    pub(crate) const NOT_COORDINATOR: Self = Self(16);
    pub(crate) const INVALID_TOPIC_EXCEPTION: Self = Self(17);
    pub(crate) const RECORD_LIST_TOO_LARGE: Self = Self(18);
    pub(crate) const NOT_ENOUGH_REPLICAS: Self = Self(19);
    pub(crate) const TOPIC_AUTHORIZATION_FAILED: Self = Self(29);
    pub(crate) const CLUSTER_AUTHORIZATION_FAILED: Self = Self(31);
    pub(crate) const INVALID_TIMESTAMP: Self = Self(32);
    pub(crate) const UNSUPPORTED_VERSION: Self = Self(35);
    pub(crate) const TOPIC_ALREADY_EXISTS: Self = Self(36);
    pub(crate) const NOT_CONTROLLER: Self = Self(41);
    pub(crate) const INVALID_REQUEST: Self = Self(42);
    pub(crate) const UNSUPPORTED_FOR_MESSAGE_FORMAT: Self = Self(43);
    pub(crate) const POLICY_VIOLATION: Self = Self(44);
    pub(crate) const OUT_OF_ORDER_SEQUENCE_NUMBER: Self = Self(45);
    pub(crate) const DUPLICATE_SEQUENCE_NUMBER: Self = Self(46);
    pub(crate) const INVALID_PRODUCER_EPOCH: Self = Self(47);
    pub(crate) const CONCURRENT_TRANSACTIONS: Self = Self(51);
    pub(crate) const UNKNOWN_PRODUCER_ID: Self = Self(59);
    pub(crate) const FENCED_LEADER_EPOCH: Self = Self(74);
    pub(crate) const UNKNOWN_LEADER_EPOCH: Self = Self(75);
    pub(crate) const UNSUPPORTED_COMPRESSION_TYPE: Self = Self(76);
    pub(crate) const INVALID_RECORD: Self = Self(87);
    pub(crate) const THROTTLING_QUOTA_EXCEEDED: Self = Self(89);
    pub(crate) const PRODUCER_FENCED: Self = Self(90);
    pub(crate) const UNKNOWN_TOPIC_ID: Self = Self(100);
    pub(crate) const INCONSISTENT_TOPIC_ID: Self = Self(103);

    /// `None` for the code that says that all went well.
    pub(crate) const fn of(code: i16) -> Option<Self> {
        if code == 0 { None } else { Some(Self(code)) }
    }

    /// Some other broker leads by now, or none does, or a topic is not known everywhere yet: metadata is out of date.
    pub(crate) const fn is_stale_metadata(self) -> bool {
        matches!(
            self,
            Self::UNKNOWN_TOPIC_OR_PARTITION
                | Self::LEADER_NOT_AVAILABLE
                | Self::NOT_LEADER_OR_FOLLOWER
                | Self::REPLICA_NOT_AVAILABLE
                | Self::FENCED_LEADER_EPOCH
                | Self::UNKNOWN_LEADER_EPOCH
                | Self::UNKNOWN_TOPIC_ID
                | Self::INCONSISTENT_TOPIC_ID
        )
    }

    /// A request that changes nothing may do better later.
    pub(crate) const fn is_transient(self) -> bool {
        self.is_stale_metadata()
            || matches!(
                self,
                Self::REQUEST_TIMED_OUT
                    | Self::NETWORK_EXCEPTION
                    | Self::COORDINATOR_LOAD_IN_PROGRESS
                    | Self::COORDINATOR_NOT_AVAILABLE
                    | Self::NOT_COORDINATOR
                    | Self::NOT_CONTROLLER
                    | Self::CONCURRENT_TRANSACTIONS
                    | Self::THROTTLING_QUOTA_EXCEEDED
            )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = match ResponseError::try_from_code(self.0) {
            None | Some(ResponseError::Unknown(_)) => return write!(f, "error code {}", self.0),
            Some(known) => known,
        };
        let camel = format!("{known:?}");
        for (place, letter) in camel.char_indices() {
            if letter.is_ascii_uppercase() && place > 0 {
                f.write_str("_")?;
            }
            write!(f, "{}", letter.to_ascii_uppercase())?;
        }
        write!(f, " ({})", self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_show_kafkas_names() {
        assert_eq!(ErrorCode::NOT_LEADER_OR_FOLLOWER.to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
        assert_eq!(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.to_string(), "OUT_OF_ORDER_SEQUENCE_NUMBER (45)");
        assert_eq!(ErrorCode(9999).to_string(), "error code 9999");
    }
}
