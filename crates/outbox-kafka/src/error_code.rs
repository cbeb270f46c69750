use std::fmt;

use kafka_protocol::error::ResponseError;

/// The code that a broker answers instead of a result. The names are those of Kafka's documentation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i16);

impl ErrorCode {
    /// `UNKNOWN_SERVER_ERROR`, code -1.
    pub const UNKNOWN_SERVER_ERROR: Self = Self(-1);
    /// `OFFSET_OUT_OF_RANGE`, code 1.
    pub const OFFSET_OUT_OF_RANGE: Self = Self(1);
    /// `CORRUPT_MESSAGE`, code 2.
    pub const CORRUPT_MESSAGE: Self = Self(2);
    /// `UNKNOWN_TOPIC_OR_PARTITION`, code 3.
    pub const UNKNOWN_TOPIC_OR_PARTITION: Self = Self(3);
    /// `LEADER_NOT_AVAILABLE`, code 5.
    pub const LEADER_NOT_AVAILABLE: Self = Self(5);
    /// `NOT_LEADER_OR_FOLLOWER`, code 6.
    pub const NOT_LEADER_OR_FOLLOWER: Self = Self(6);
    /// `REQUEST_TIMED_OUT`, code 7.
    pub const REQUEST_TIMED_OUT: Self = Self(7);
    /// `REPLICA_NOT_AVAILABLE`, code 9.
    pub const REPLICA_NOT_AVAILABLE: Self = Self(9);
    /// `MESSAGE_TOO_LARGE`, code 10.
    pub const MESSAGE_TOO_LARGE: Self = Self(10);
    /// `NETWORK_EXCEPTION`, code 13.
    pub const NETWORK_EXCEPTION: Self = Self(13);
    /// `COORDINATOR_LOAD_IN_PROGRESS`, code 14.
    pub const COORDINATOR_LOAD_IN_PROGRESS: Self = Self(14);
    /// `COORDINATOR_NOT_AVAILABLE`, code 15.
    pub const COORDINATOR_NOT_AVAILABLE: Self = Self(15);
    /// `NOT_COORDINATOR`, code 16.
    pub const NOT_COORDINATOR: Self = Self(16);
    /// `INVALID_TOPIC_EXCEPTION`, code 17.
    pub const INVALID_TOPIC_EXCEPTION: Self = Self(17);
    /// `RECORD_LIST_TOO_LARGE`, code 18.
    pub const RECORD_LIST_TOO_LARGE: Self = Self(18);
    /// `NOT_ENOUGH_REPLICAS`, code 19.
    pub const NOT_ENOUGH_REPLICAS: Self = Self(19);
    /// `TOPIC_AUTHORIZATION_FAILED`, code 29.
    pub const TOPIC_AUTHORIZATION_FAILED: Self = Self(29);
    /// `GROUP_AUTHORIZATION_FAILED`, code 30.
    pub const GROUP_AUTHORIZATION_FAILED: Self = Self(30);
    /// `CLUSTER_AUTHORIZATION_FAILED`, code 31.
    pub const CLUSTER_AUTHORIZATION_FAILED: Self = Self(31);
    /// `INVALID_TIMESTAMP`, code 32.
    pub const INVALID_TIMESTAMP: Self = Self(32);
    /// `UNSUPPORTED_SASL_MECHANISM`, code 33.
    pub const UNSUPPORTED_SASL_MECHANISM: Self = Self(33);
    /// `ILLEGAL_SASL_STATE`, code 34.
    pub const ILLEGAL_SASL_STATE: Self = Self(34);
    /// `UNSUPPORTED_VERSION`, code 35.
    pub const UNSUPPORTED_VERSION: Self = Self(35);
    /// `TOPIC_ALREADY_EXISTS`, code 36.
    pub const TOPIC_ALREADY_EXISTS: Self = Self(36);
    /// `INVALID_PARTITIONS`, code 37.
    pub const INVALID_PARTITIONS: Self = Self(37);
    /// `INVALID_REPLICATION_FACTOR`, code 38.
    pub const INVALID_REPLICATION_FACTOR: Self = Self(38);
    /// `INVALID_REPLICA_ASSIGNMENT`, code 39.
    pub const INVALID_REPLICA_ASSIGNMENT: Self = Self(39);
    /// `INVALID_CONFIG`, code 40.
    pub const INVALID_CONFIG: Self = Self(40);
    /// `NOT_CONTROLLER`, code 41.
    pub const NOT_CONTROLLER: Self = Self(41);
    /// `INVALID_REQUEST`, code 42.
    pub const INVALID_REQUEST: Self = Self(42);
    /// `UNSUPPORTED_FOR_MESSAGE_FORMAT`, code 43.
    pub const UNSUPPORTED_FOR_MESSAGE_FORMAT: Self = Self(43);
    /// `POLICY_VIOLATION`, code 44.
    pub const POLICY_VIOLATION: Self = Self(44);
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`, code 45.
    pub const OUT_OF_ORDER_SEQUENCE_NUMBER: Self = Self(45);
    /// `DUPLICATE_SEQUENCE_NUMBER`, code 46.
    pub const DUPLICATE_SEQUENCE_NUMBER: Self = Self(46);
    /// `INVALID_PRODUCER_EPOCH`, code 47.
    pub const INVALID_PRODUCER_EPOCH: Self = Self(47);
    /// `CONCURRENT_TRANSACTIONS`, code 51.
    pub const CONCURRENT_TRANSACTIONS: Self = Self(51);
    /// `TRANSACTIONAL_ID_AUTHORIZATION_FAILED`, code 53.
    pub const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: Self = Self(53);
    /// `SECURITY_DISABLED`, code 54.
    pub const SECURITY_DISABLED: Self = Self(54);
    /// `KAFKA_STORAGE_ERROR`, code 56.
    pub const KAFKA_STORAGE_ERROR: Self = Self(56);
    /// `SASL_AUTHENTICATION_FAILED`, code 58.
    pub const SASL_AUTHENTICATION_FAILED: Self = Self(58);
    /// `UNKNOWN_PRODUCER_ID`, code 59.
    pub const UNKNOWN_PRODUCER_ID: Self = Self(59);
    /// `FENCED_LEADER_EPOCH`, code 74.
    pub const FENCED_LEADER_EPOCH: Self = Self(74);
    /// `UNKNOWN_LEADER_EPOCH`, code 75.
    pub const UNKNOWN_LEADER_EPOCH: Self = Self(75);
    /// `UNSUPPORTED_COMPRESSION_TYPE`, code 76.
    pub const UNSUPPORTED_COMPRESSION_TYPE: Self = Self(76);
    /// `OFFSET_NOT_AVAILABLE`, code 78.
    pub const OFFSET_NOT_AVAILABLE: Self = Self(78);
    /// `INVALID_RECORD`, code 87.
    pub const INVALID_RECORD: Self = Self(87);
    /// `THROTTLING_QUOTA_EXCEEDED`, code 89.
    pub const THROTTLING_QUOTA_EXCEEDED: Self = Self(89);
    /// `PRODUCER_FENCED`, code 90.
    pub const PRODUCER_FENCED: Self = Self(90);
    /// `UNKNOWN_TOPIC_ID`, code 100.
    pub const UNKNOWN_TOPIC_ID: Self = Self(100);
    /// `INCONSISTENT_TOPIC_ID`, code 103.
    pub const INCONSISTENT_TOPIC_ID: Self = Self(103);

    /// Converts a code of the protocol; `None` for the code of success.
    pub const fn from_code(code: i16) -> Option<Self> {
        if code == 0 { None } else { Some(Self(code)) }
    }

    /// Returns whether metadata is out of date: another broker is the leader, or none is, or a topic is not known
    /// everywhere yet.
    pub const fn is_stale_metadata(self) -> bool {
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

    /// Returns whether this code may mean that the broker does not accept the batch's compression. Uncompressed batches
    /// can have the same answer for other reasons.
    ///
    /// Kafka answers UNSUPPORTED_COMPRESSION_TYPE. Event Hubs is reported to answer UNSUPPORTED_FOR_MESSAGE_FORMAT or
    /// INVALID_REQUEST.
    pub const fn may_reject_compression(self) -> bool {
        matches!(
            self,
            Self::UNSUPPORTED_COMPRESSION_TYPE | Self::UNSUPPORTED_FOR_MESSAGE_FORMAT | Self::INVALID_REQUEST
        )
    }

    /// Returns whether an ACL is missing.
    pub const fn is_authorization(self) -> bool {
        matches!(
            self,
            Self::TOPIC_AUTHORIZATION_FAILED | Self::GROUP_AUTHORIZATION_FAILED | Self::CLUSTER_AUTHORIZATION_FAILED
        )
    }

    /// Returns whether the same request may succeed soon, without a change to the request, the rights or the settings.
    ///
    /// That is every code but those named here, so codes of newer brokers are transient.
    pub const fn is_transient(self) -> bool {
        !matches!(
            self,
            Self::OFFSET_OUT_OF_RANGE
                | Self::MESSAGE_TOO_LARGE
                | Self::INVALID_TOPIC_EXCEPTION
                | Self::RECORD_LIST_TOO_LARGE
                | Self::TOPIC_AUTHORIZATION_FAILED
                | Self::GROUP_AUTHORIZATION_FAILED
                | Self::CLUSTER_AUTHORIZATION_FAILED
                | Self::INVALID_TIMESTAMP
                | Self::UNSUPPORTED_SASL_MECHANISM
                | Self::ILLEGAL_SASL_STATE
                | Self::UNSUPPORTED_VERSION
                | Self::TOPIC_ALREADY_EXISTS
                | Self::INVALID_PARTITIONS
                | Self::INVALID_REPLICA_ASSIGNMENT
                | Self::INVALID_CONFIG
                | Self::INVALID_REQUEST
                | Self::UNSUPPORTED_FOR_MESSAGE_FORMAT
                | Self::POLICY_VIOLATION
                | Self::OUT_OF_ORDER_SEQUENCE_NUMBER
                | Self::DUPLICATE_SEQUENCE_NUMBER
                | Self::INVALID_PRODUCER_EPOCH
                | Self::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                | Self::SECURITY_DISABLED
                | Self::SASL_AUTHENTICATION_FAILED
                | Self::UNKNOWN_PRODUCER_ID
                | Self::UNSUPPORTED_COMPRESSION_TYPE
                | Self::INVALID_RECORD
                | Self::PRODUCER_FENCED
        )
    }
}

impl ErrorCode {
    /// Returns Kafka's name of the code, or its number if it has none here.
    pub(crate) fn name(self) -> String {
        self.known_name().unwrap_or_else(|| self.0.to_string())
    }

    fn known_name(self) -> Option<String> {
        let known = match ResponseError::try_from_code(self.0) {
            None | Some(ResponseError::Unknown(_)) => return None,
            Some(known) => known,
        };
        let mut name = String::new();
        for letter in format!("{known:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        Some(name)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known_name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "error code {}", self.0),
        }
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

    #[test]
    fn codes_are_transient_unless_they_are_named() {
        for code in [-1, 3, 5, 6, 7, 38, 56, 78, 89, 100, 9999] {
            assert!(ErrorCode(code).is_transient(), "{code}");
        }
        for code in [1, 10, 17, 29, 31, 35, 44, 58, 76] {
            assert!(!ErrorCode(code).is_transient(), "{code}");
        }
    }
}
