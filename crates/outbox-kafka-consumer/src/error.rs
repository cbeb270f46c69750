use std::error::Error as StdError;
use std::fmt;

/// The reason why a consumer cannot be built, has stopped, or rejects an operation.
///
/// `Display` reports this layer only, with topic, partition and offset; [`source`](StdError::source) holds the rest.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("the consumer cannot be built: {0}")]
    Build(String),
    #[error("Kafka failed to {0}")]
    Kafka(String),
    #[error("the store failed to {0}")]
    Store(String),
    #[error(
        "topic {topic}, partition {partition}, offset {offset}: {reason}. The group stays at this offset: repair what \
         writes such records, or move the position beyond it with Group::move_position"
    )]
    Record { topic: String, partition: i32, offset: i64, reason: String, earliest: Option<i64> },
    #[error(
        "topic {topic}, partition {partition}, offset {offset}: {handler} changed {settings} of its database session, which \
         SET and set_config(…, false) do for all later transactions of the connection: use SET LOCAL or \
         set_config(…, true). The event is handled, the session has its settings back, and the partition pauses before it \
         continues with the next event"
    )]
    Session { topic: String, partition: i32, offset: i64, handler: String, settings: String },
    #[error("another consumer of the group has taken the partition, or its position was moved")]
    Fenced,
    #[error("{0}")]
    Setup(String),
    #[error("{0}")]
    Refused(String),
    #[error("a task of the consumer ended: {0}")]
    Task(String),
}

impl Error {
    fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, source: None }))
    }

    pub(crate) fn build(what: impl Into<String>) -> Self {
        Self::new(Kind::Build(what.into()))
    }

    /// Creates an error of Kafka; `doing` completes the sentence "Kafka failed to …".
    pub(crate) fn kafka(doing: impl Into<String>) -> Self {
        Self::new(Kind::Kafka(doing.into()))
    }

    /// Creates an error of the store; `doing` completes the sentence "the store failed to …".
    pub(crate) fn store(doing: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Store(doing.into())).caused_by(source)
    }

    pub(crate) fn not_ours(topic: &str, partition: i32) -> Self {
        let place = format!("topic {topic}, partition {partition}");
        Self::new(Kind::Store(format!("find the position and this consumer's lease of {place}")))
    }

    pub(crate) fn record(topic: &str, partition: i32, offset: i64, reason: impl Into<String>) -> Self {
        Self::new(Kind::Record { topic: topic.to_owned(), partition, offset, reason: reason.into(), earliest: None })
    }

    /// Creates the error of a topic that does not hold the offset; it begins at `earliest`.
    pub(crate) fn lost(topic: &str, partition: i32, offset: i64, earliest: i64, reason: String) -> Self {
        Self::new(Kind::Record { topic: topic.to_owned(), partition, offset, reason, earliest: Some(earliest) })
    }

    /// Returns where the topic begins, if this is about a position that it does not hold.
    pub(crate) fn lost_position(&self) -> Option<i64> {
        match self.0.kind {
            Kind::Record { earliest, .. } => earliest,
            _ => None,
        }
    }

    /// Creates the error of a handler, with its event, that has changed these settings of its session beyond its
    /// transaction.
    pub(crate) fn session(place: (&str, i32, i64), handler: String, settings: &[String]) -> Self {
        let (topic, partition, offset) = (place.0.to_owned(), place.1, place.2);
        Self::new(Kind::Session { topic, partition, offset, handler, settings: settings.join(", ") })
    }

    pub(crate) fn fenced() -> Self {
        Self::new(Kind::Fenced)
    }

    /// Creates an error of the set-up: `what` is missing or wrong, with its remedy.
    pub(crate) fn setup(what: impl Into<String>) -> Self {
        Self::new(Kind::Setup(what.into()))
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::new(Kind::Refused(why.into()))
    }

    pub(crate) fn task(what: impl Into<String>) -> Self {
        Self::new(Kind::Task(what.into()))
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns whether the consumer could not be built.
    #[must_use]
    pub fn is_build(&self) -> bool {
        matches!(self.0.kind, Kind::Build(_))
    }

    /// Returns whether the consumer's tables are missing, have another version, or do not grant the role its
    /// privileges. `Display` contains the remedy.
    #[must_use]
    pub fn is_setup(&self) -> bool {
        matches!(self.0.kind, Kind::Setup(_))
    }

    /// Returns whether the error is about a record, or its position, that stops the partition until an operator
    /// decides.
    #[must_use]
    pub fn is_record(&self) -> bool {
        matches!(self.0.kind, Kind::Record { .. })
    }

    /// Returns whether a handler has changed settings of its database session beyond its transaction, by SET. `Display`
    /// contains the handler and the names of the settings.
    #[must_use]
    pub fn is_session_changed(&self) -> bool {
        matches!(self.0.kind, Kind::Session { .. })
    }

    /// Returns whether a [`Group`](crate::Group) rejected an operation.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.0.kind, Kind::Refused(_))
    }

    /// Returns whether trying again may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, Kind::Kafka(_) | Kind::Store(_) | Kind::Fenced)
    }

    /// Returns whether Kafka rejected the consumer's credentials, certificate or privileges, or the consumer rejected
    /// the broker's certificate. The consumer retries, so a corrected password, token or ACL needs no restart.
    #[must_use]
    pub fn is_security(&self) -> bool {
        std::iter::successors(self.source(), |&cause| cause.source()).any(is_security)
    }

    pub(crate) fn is_fenced(&self) -> bool {
        matches!(self.0.kind, Kind::Fenced)
    }

    pub(crate) fn is_store(&self) -> bool {
        matches!(self.0.kind, Kind::Store(_))
    }

    /// Returns topic, partition and offset, if the error is about a record.
    #[must_use]
    pub fn position(&self) -> Option<(&str, i32, i64)> {
        match &self.0.kind {
            Kind::Record { topic, partition, offset, .. } | Kind::Session { topic, partition, offset, .. } => {
                Some((topic, *partition, *offset))
            }
            _ => None,
        }
    }
}

fn is_security(cause: &(dyn StdError + 'static)) -> bool {
    use rskafka::client::error::{Error as KafkaError, ProtocolError};
    match cause.downcast_ref() {
        Some(KafkaError::ServerError { protocol_error, .. }) => matches!(
            protocol_error,
            ProtocolError::TopicAuthorizationFailed
                | ProtocolError::GroupAuthorizationFailed
                | ProtocolError::ClusterAuthorizationFailed
        ),
        _ => cause.downcast_ref().is_some_and(outbox_kafka::Error::is_security),
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.0.kind).field("source", &self.0.source).finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
