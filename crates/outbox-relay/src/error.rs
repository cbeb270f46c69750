use std::error::Error as StdError;
use std::fmt;

use outbox_core::uuid::Uuid;

use crate::Lsn;
use crate::position::RowPosition;

/// The reason why the relay has stopped. Transient errors are not among these: the relay retries.
///
/// `Display` reports this layer only; [`source`](StdError::source) holds the rest.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("the relay's settings do not work: {0}")]
    Settings(String),
    #[error("the WAL cannot be read")]
    Wal,
    #[error("the {0} is missing: start the relay with --create, or create it by hand")]
    Missing(&'static str),
    #[error("rows of the outbox would be lost: {0}")]
    Unpublished(String),
    #[error("the relay stops before the transaction committed at {commit}, and the slot stays before it")]
    Forbidden { commit: Lsn },
    #[error("Kafka failed to {0}")]
    Kafka(String),
    #[error(
        "the row {at} (event {event}) cannot be written: {reason}. Everything before it is written, and the slot stays before \
         its transaction: repair what refuses the row, write such rows to a topic for dead letters (--dead-letter-topic), or \
         leave this row out (--skip {at})",
        event = Named(.event)
    )]
    Poison { at: RowPosition, event: Option<Uuid>, reason: String },
}

struct Named<'a>(&'a Option<Uuid>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => id.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

impl Error {
    fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, source: None }))
    }

    pub(crate) fn settings(what: impl Into<String>) -> Self {
        Self::new(Kind::Settings(what.into()))
    }

    pub(crate) fn wal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Wal).caused_by(source)
    }

    /// Creates a publication or a slot that does not exist, with the command that creates it as the source.
    pub(crate) fn missing(what: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Missing(what)).caused_by(source)
    }

    pub(crate) fn unpublished(problem: String) -> Self {
        Self::new(Kind::Unpublished(problem))
    }

    /// Creates an error of Kafka; `doing` completes the sentence "Kafka failed to …".
    pub(crate) fn kafka(doing: impl Into<String>, source: outbox_kafka::Error) -> Self {
        Self::new(Kind::Kafka(doing.into())).caused_by(source)
    }

    pub(crate) fn poison(at: RowPosition, event: Option<Uuid>, reason: impl Into<String>) -> Self {
        Self::new(Kind::Poison { at, event, reason: reason.into() })
    }

    /// Creates the error of a change at which the relay stops by configuration.
    pub(crate) fn forbidden(commit: Lsn) -> Self {
        Self::new(Kind::Forbidden { commit })
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns whether a row of the outbox can never become a record; [`row`](Self::row) says which.
    #[must_use]
    pub fn is_poison(&self) -> bool {
        matches!(self.0.kind, Kind::Poison { .. })
    }

    /// Returns whether one change in the WAL is the reason: everything before it can be written and confirmed.
    pub(crate) fn is_at_change(&self) -> bool {
        matches!(self.0.kind, Kind::Poison { .. } | Kind::Forbidden { .. })
    }

    /// Returns the commit of the row's transaction, its place among the transaction's inserts into the outbox, and its
    /// event.
    #[must_use]
    pub fn row(&self) -> Option<(Lsn, u32, Option<Uuid>)> {
        match &self.0.kind {
            Kind::Poison { at, event, .. } => Some((at.position().commit, at.position().index, *event)),
            _ => None,
        }
    }

    /// Returns the position of the row that can never become a record, as [`RelaySettingsBuilder::skip`] takes it.
    ///
    /// [`RelaySettingsBuilder::skip`]: crate::RelaySettingsBuilder::skip
    #[must_use]
    pub fn position(&self) -> Option<&RowPosition> {
        match &self.0.kind {
            Kind::Poison { at, .. } => Some(at),
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
