use std::error::Error as StdError;
use std::fmt;

use crate::handler::HandlerError;
use crate::received::Place;

/// Why a consumer cannot be built, or has stopped.
///
/// `Display` tells of this layer only, with topic, partition and offset; [`source`](StdError::source) holds the rest.
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
         writes such records, or move next_offset of its row in consumer_position beyond it"
    )]
    Record { topic: String, partition: i32, offset: i64, reason: String },
    #[error("the handler of event {id} failed (topic {topic}, partition {partition}, offset {offset})")]
    Handler { id: outbox_core::uuid::Uuid, topic: String, partition: i32, offset: i64 },
    #[error("another consumer of the group has moved the position of topic {topic}, partition {partition}")]
    Fenced { topic: String, partition: i32 },
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

    /// `doing` completes the sentence "Kafka failed to …".
    pub(crate) fn kafka(doing: impl Into<String>) -> Self {
        Self::new(Kind::Kafka(doing.into()))
    }

    /// `doing` completes the sentence "the store failed to …".
    pub(crate) fn store(doing: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Store(doing.into())).caused_by(source)
    }

    pub(crate) fn record(topic: &str, partition: i32, offset: i64, reason: impl Into<String>) -> Self {
        Self::new(Kind::Record { topic: topic.to_owned(), partition, offset, reason: reason.into() })
    }

    pub(crate) fn handler(id: outbox_core::uuid::Uuid, place: &Place, source: HandlerError) -> Self {
        let (topic, partition, offset) = (place.topic.to_string(), place.partition, place.offset);
        Self::new(Kind::Handler { id, topic, partition, offset }).caused_by(source.into_source())
    }

    pub(crate) fn fenced(topic: &str, partition: i32) -> Self {
        Self::new(Kind::Fenced { topic: topic.to_owned(), partition })
    }

    pub(crate) fn task(what: impl Into<String>) -> Self {
        Self::new(Kind::Task(what.into()))
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Whether the consumer could not be built.
    #[must_use]
    pub fn is_build(&self) -> bool {
        matches!(self.0.kind, Kind::Build(_))
    }

    /// Whether it is about one record (or the position of it) that nobody can get past without a decision.
    #[must_use]
    pub fn is_record(&self) -> bool {
        matches!(self.0.kind, Kind::Record { .. })
    }

    /// Whether trying again may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, Kind::Kafka(_) | Kind::Store(_) | Kind::Handler { .. } | Kind::Fenced { .. })
    }

    /// Topic, partition and offset, where it is about a record.
    #[must_use]
    pub fn position(&self) -> Option<(&str, i32, i64)> {
        match &self.0.kind {
            Kind::Record { topic, partition, offset, .. } | Kind::Handler { topic, partition, offset, .. } => {
                Some((topic, *partition, *offset))
            }
            _ => None,
        }
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

/// An error with all that lies below it, for a log line.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
