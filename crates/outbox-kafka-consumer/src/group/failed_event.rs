use std::fmt;

use deadpool_postgres::tokio_postgres::types::{ToSql, Type};
use outbox_core::time::OffsetDateTime;
use outbox_core::uuid::Uuid;

use crate::FailureKind;

/// The state of a failed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventState {
    /// It waits for another attempt, or behind an earlier event of its key.
    Parked,
    /// Its attempts are used up, or it was rejected: it waits for a decision.
    Dead,
}

impl EventState {
    /// Returns the name, which is also the text in the column `state` of the store: `parked` or `dead`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.stored()
    }

    /// Returns the text in the store.
    pub(crate) fn stored(self) -> &'static &'static str {
        match self {
            Self::Parked => &"parked",
            Self::Dead => &"dead",
        }
    }

    /// Returns the state that a text of the store names.
    pub(crate) fn from_stored(state: &str) -> Self {
        if state == Self::Dead.name() { Self::Dead } else { Self::Parked }
    }
}

impl fmt::Display for EventState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A parked event or a dead letter. `Debug` and [`error`](Self::error) are without its payload.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailedEvent {
    /// The number to [retry](super::Group::retry), [discard](super::Group::discard) or [show](super::Group::show) it
    /// by.
    pub id: i64,
    /// The topic of its record.
    pub topic: String,
    /// The partition of its record.
    pub partition: i32,
    /// The offset of its record.
    pub offset: i64,
    /// The event's id, if the record could be decoded.
    pub event_id: Option<Uuid>,
    /// The event's type, if the record could be decoded.
    pub event_type: Option<String>,
    /// The record's key, which is the aggregate's id.
    pub key: Option<Vec<u8>>,
    /// Whether it is parked or a dead letter.
    pub state: EventState,
    /// The number of attempts.
    pub attempts: u32,
    /// The kind of the last failure.
    pub kind: FailureKind,
    /// The error of the last attempt, with all that lies below it.
    pub error: String,
    /// The time of its first failure.
    pub first_failed_at: OffsetDateTime,
    /// The time at which it failed last.
    pub last_failed_at: OffsetDateTime,
    /// The time of the next attempt; `None` for a dead letter, and for an event that waits behind another one.
    pub next_attempt_at: Option<OffsetDateTime>,
}

/// Selects failed events of a group; all of them by default.
///
/// ```
/// use outbox_kafka_consumer::{FailedEventFilter, EventState};
///
/// let filter = FailedEventFilter::from(EventState::Dead).topic("outbox.events.order").error_contains("gateway");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedEventFilter {
    state: Option<EventState>,
    topic: Option<String>,
    partition: Option<i32>,
    event_type: Option<String>,
    kind: Option<FailureKind>,
    error: Option<String>,
    key: Option<Vec<u8>>,
    failed_since: Option<OffsetDateTime>,
    failed_before: Option<OffsetDateTime>,
}

impl From<EventState> for FailedEventFilter {
    fn from(state: EventState) -> Self {
        Self { state: Some(state), ..Self::default() }
    }
}

impl FailedEventFilter {
    /// Selects all failed events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects events of a topic.
    #[must_use]
    pub fn topic(self, topic: impl Into<String>) -> Self {
        Self { topic: Some(topic.into()), ..self }
    }

    /// Selects events of the partitions with this number.
    #[must_use]
    pub fn partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// Selects events of a type. Events that failed before this column existed have none.
    #[must_use]
    pub fn event_type(self, event_type: impl Into<String>) -> Self {
        Self { event_type: Some(event_type.into()), ..self }
    }

    /// Selects events by the [kind](FailedEvent::kind) of their last failure. [`FailureKind::Other`] selects
    /// those of kinds that this version does not know.
    #[must_use]
    pub fn kind(self, kind: FailureKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Selects events whose last error contains this text.
    #[must_use]
    pub fn error_contains(self, text: impl Into<String>) -> Self {
        Self { error: Some(text.into()), ..self }
    }

    /// Selects events of a record key, which is the aggregate's id.
    #[must_use]
    pub fn key(self, key: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// Selects events that failed last at this time or later.
    #[must_use]
    pub fn failed_since(self, time: OffsetDateTime) -> Self {
        Self { failed_since: Some(time), ..self }
    }

    /// Selects events that failed last before this time.
    #[must_use]
    pub fn failed_before(self, time: OffsetDateTime) -> Self {
        Self { failed_before: Some(time), ..self }
    }

    /// Adds this filter to the condition of a statement. Only the parts that are set are added, so that the planner can
    /// use them.
    pub(crate) fn narrow<'a>(&'a self, condition: &mut Condition<'a>) {
        if let Some(state) = &self.state {
            condition.and("state = ?", Type::TEXT, state.stored());
        }
        if let Some(topic) = &self.topic {
            condition.and("topic = ?", Type::TEXT, topic);
        }
        if let Some(partition) = &self.partition {
            condition.and("partition = ?", Type::INT4, partition);
        }
        if let Some(event_type) = &self.event_type {
            condition.and("event_type = ?", Type::TEXT, event_type);
        }

        match self.kind.map(FailureKind::stored) {
            Some(Some(kind)) => condition.and("kind = ?", Type::TEXT, kind),
            Some(None) => FailureKind::all_stored().for_each(|kind| condition.and("kind <> ?", Type::TEXT, kind)),
            None => {}
        }

        if let Some(error) = &self.error {
            condition.and("position(? IN error) > 0", Type::TEXT, error);
        }
        if let Some(key) = &self.key {
            condition.and("key_digest = sha256(?)", Type::BYTEA, key);
        }
        if let Some(time) = &self.failed_since {
            condition.and("last_failed_at >= ?", Type::TIMESTAMPTZ, time);
        }

        if let Some(time) = &self.failed_before {
            condition.and("last_failed_at < ?", Type::TIMESTAMPTZ, time);
        }
    }
}

/// The condition of a statement, with its parameters.
pub(crate) struct Condition<'a> {
    pub(crate) sql: String,
    pub(crate) types: Vec<Type>,
    pub(crate) values: Vec<&'a (dyn ToSql + Sync)>,
}

impl<'a> Condition<'a> {
    pub(crate) fn new(of: &'a String) -> Self {
        Self { sql: "consumer_group = $1".to_owned(), types: vec![Type::TEXT], values: vec![of] }
    }

    /// Adds a term, in which `?` is the value.
    pub(crate) fn and(&mut self, term: &str, kind: Type, value: &'a (dyn ToSql + Sync)) {
        self.types.push(kind);
        self.values.push(value);
        self.sql.push_str(" AND ");
        self.sql.push_str(&term.replace('?', &format!("${}", self.values.len())));
    }
}
