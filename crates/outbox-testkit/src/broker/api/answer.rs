//! Parts that the answers to several requests have in common.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::broker::cluster::TopicRef;
use crate::broker::log::Log;
use crate::broker::settings::LEADER_EPOCH;

/// The outcome of a request.
#[derive(Debug)]
pub(in crate::broker) enum Answer {
    /// It is answered with this frame.
    Reply(Bytes),
    /// It is answered, and the connection is not read for a while, as with a Kafka client that exceeds its quota.
    Throttled(Bytes, Duration),
    /// The request has no answer (`acks=0`).
    Silence,
    /// Neither the request nor a later one of its connection is answered.
    Never,
    /// The connection is closed without an answer.
    Close,
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// Returns a topic that older versions of a request name, and newer ones identify by its id.
pub(super) fn topic_ref(name: &TopicName, id: Uuid) -> TopicRef<'_> {
    if id.is_nil() { TopicRef::Name(name.as_str()) } else { TopicRef::Id(id) }
}

/// The isolation level of a fetch (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Isolation {
    Uncommitted,
    Committed,
}

impl Isolation {
    pub(super) fn from_level(level: i8) -> Self {
        if level == 1 { Self::Committed } else { Self::Uncommitted }
    }

    /// Returns the end of the records that a reader gets.
    pub(super) fn end(self, log: &Log) -> i64 {
        match self {
            Self::Uncommitted => log.end(),
            Self::Committed => log.last_stable(),
        }
    }
}

/// Checks the leader epoch that a client has seen; -1 if it has seen none.
pub(super) fn check_epoch(seen: i32) -> Result<(), ResponseError> {
    if seen > LEADER_EPOCH { Err(ResponseError::UnknownLeaderEpoch) } else { Ok(()) }
}
