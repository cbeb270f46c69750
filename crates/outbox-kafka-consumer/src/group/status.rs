use outbox_core::time::OffsetDateTime;
use outbox_core::uuid::Uuid;

/// One partition of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionStatus {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The consumer that has its lease now, by the id that it logs.
    pub owner: Option<Uuid>,
    /// The next offset to read. It is updated about a second after events are handled.
    pub position: i64,
    /// One after the last record: from Kafka after [`Group::kafka`](super::Group::kafka), or else as a consumer saw it
    /// last.
    pub end: Option<i64>,
    /// The number of parked events.
    pub parked: u64,
    /// The number of dead letters.
    pub dead: u64,
    /// Whether the group or the topic is paused.
    pub is_paused: bool,
    /// The reason why the partition is paused at a record, or waits for Kafka or PostgreSQL.
    pub last_error: Option<String>,
    /// The time at which the position moved last.
    pub updated_at: OffsetDateTime,
}

impl PartitionStatus {
    /// Returns how many offsets there are from the position to the end.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.end.map(|end| u64::try_from(end.saturating_sub(self.position)).unwrap_or(0))
    }
}

/// The part of a group that is paused or resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PauseTarget {
    /// Everything that the group reads.
    Group,
    /// All partitions of a topic.
    Topic(String),
    /// The events of one type in a topic, and so their handler. A partition waits at its next event of that type.
    EventType {
        /// The topic.
        topic: String,
        /// The event's type.
        event_type: String,
    },
}

impl PauseTarget {
    pub(crate) fn from_stored(topic: String, event_type: String) -> Self {
        match (topic.is_empty(), event_type.is_empty()) {
            (true, true) => Self::Group,
            (false, true) => Self::Topic(topic),
            (_, false) => Self::EventType { topic, event_type },
        }
    }
}

/// A pause of a group, a topic or an event type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pause {
    /// The part that is paused.
    pub target: PauseTarget,
    /// The reason that was given.
    pub reason: String,
    /// The time at which the pause began.
    pub since: OffsetDateTime,
    /// The time at which it ends by itself: the [circuit breaker](crate::CircuitBreaker)'s.
    pub until: Option<OffsetDateTime>,
}

/// A requested retry or discard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The number that [`Group::retry`](super::Group::retry) returned.
    pub id: i64,
    /// The failed event.
    pub held: i64,
    /// The requested action.
    pub action: RequestAction,
    /// The time of the request.
    pub requested_at: OffsetDateTime,
    /// The outcome, and its time; `None` until the owner of the partition has carried out the request.
    pub outcome: Option<(RequestOutcome, OffsetDateTime)>,
}

/// The action that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestAction {
    /// The event is to be handled again.
    Retry,
    /// The event is to be discarded.
    Discard,
}

impl RequestAction {
    /// Returns the name, which is also the text in the column `action` of the store: `retry` or `discard`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
        }
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The event's attempts are reset, and it is handled in its turn. If it fails, it is parked again.
    Retried,
    /// The event was discarded.
    Discarded,
    /// The event was handled or discarded before.
    NotHeld,
}
