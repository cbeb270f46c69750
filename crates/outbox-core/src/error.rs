use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::string::FromUtf8Error;

use crate::json_fault::JsonFault;

/// A failure in this crate, or in an implementation of [`Outbox`](crate::Outbox).
///
/// One opaque type: ask it with the predicates. `Display` reports this layer only, with the field, the value and the
/// rule; [`source`](StdError::source) holds the cause.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// Other contradictions of the same configuration.
    others: Vec<Error>,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("{field} = {value:?} is refused: {rule}")]
    Rule { field: String, value: String, rule: String },
    #[error("connector configuration: {}: {reason}", assignment(.key, .value))]
    Config { key: String, value: String, reason: String },
    #[error("table layout: column {column:?}: {reason}")]
    Layout { column: String, reason: String },
    #[error("the record cannot be decoded: {part}: {reason}")]
    Decode { part: String, reason: String },
    #[error("the row cannot be encoded: column {column:?}: {reason}")]
    Encode { column: String, reason: String },
    #[error("a transformation of the connector drops the record")]
    Filtered(DroppedBy),
    #[error("the outbox could not store the event ({fault})")]
    Store { fault: StoreFault },
}

/// The meaning of a failed store for the caller; see [`Error::store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFault {
    /// The same transaction, run again from its start, may succeed: serialization failure, deadlock, lost connection.
    Transient,
    /// An earlier statement has already aborted the transaction; this statement was not executed.
    TransactionAborted,
    /// The event is in the outbox already, and the caller asked for an error. The transaction continues.
    AlreadyEnqueued,
    /// Trying again changes nothing: a missing table, a missing privilege, a value that the table refuses.
    Permanent,
}

impl fmt::Display for StoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient: run the whole transaction again",
            Self::TransactionAborted => "an earlier error has aborted this transaction: roll it back",
            Self::AlreadyEnqueued => "it is there already: nothing was added",
            Self::Permanent => "permanent: see the cause",
        })
    }
}

/// The reason why a transformation drops a record; see [`Error::dropped_by`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DroppedBy {
    /// A `Filter` drops it.
    Filter,
    /// It has no value: a tombstone, or an event with a NULL payload. Another EventRouter and `ExtractNewRecordState`
    /// drop such records.
    NullValue,
}

/// Returns a key with its value, if there is one.
fn assignment(key: &str, value: &str) -> String {
    if value.is_empty() { key.to_owned() } else { format!("{key} = {value:?}") }
}

impl Error {
    fn new(kind: Kind) -> Self {
        Self(Box::new(Inner { kind, source: None, others: Vec::new() }))
    }

    /// Creates the error of a store that refused or failed, for implementations of [`Outbox`](crate::Outbox).
    pub fn store(fault: StoreFault, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Box::new(Inner { kind: Kind::Store { fault }, source: Some(source.into()), others: Vec::new() }))
    }

    /// Creates the error of a store that has no place for the event and to which nothing was sent, for implementations
    /// of [`Outbox`](crate::Outbox).
    pub fn refused(field: &str, value: &str, rule: impl Into<String>) -> Self {
        Self::rule(field, value, rule)
    }

    pub(crate) fn rule(field: impl Into<String>, value: &str, rule: impl Into<String>) -> Self {
        Self::new(Kind::Rule { field: field.into(), value: excerpt(value), rule: rule.into() })
    }

    pub(crate) fn config(key: impl Into<String>, value: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Kind::Config { key: key.into(), value: value.into(), reason: reason.into() })
    }

    pub(crate) fn layout(column: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Kind::Layout { column: column.into(), reason: reason.into() })
    }

    pub(crate) fn decode(part: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Kind::Decode { part: part.into(), reason: reason.into() })
    }

    pub(crate) fn encode(column: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Kind::Encode { column: column.into(), reason: reason.into() })
    }

    pub(crate) fn dropped(by: DroppedBy) -> Self {
        Self::new(Kind::Filtered(by))
    }

    /// Adds other contradictions of the same configuration.
    pub(crate) fn with_others(mut self, others: Vec<Self>) -> Self {
        self.0.others = others;
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(without_values(source.into()));
        self
    }

    /// Returns whether an event (or one of its parts) broke a rule; [`field`](Self::field), [`value`](Self::value) and
    /// [`broken_rule`](Self::broken_rule) then say which. Nothing was written.
    #[must_use]
    pub fn is_invalid_event(&self) -> bool {
        matches!(self.0.kind, Kind::Rule { .. })
    }

    /// Returns whether connector configuration and table layout contradict each other or themselves.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self.0.kind, Kind::Config { .. } | Kind::Layout { .. })
    }

    /// Returns every contradiction of a configuration, this error first. For other errors, that is the error alone.
    pub fn contradictions(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.0.others)
    }

    /// Returns whether the pipeline does not write such a record.
    #[must_use]
    pub fn is_undecodable(&self) -> bool {
        matches!(self.0.kind, Kind::Decode { .. })
    }

    /// Returns whether a row cannot become a record; the real connector's task would fail at it.
    #[must_use]
    pub fn is_unencodable(&self) -> bool {
        matches!(self.0.kind, Kind::Encode { .. })
    }

    /// Returns whether a transformation after the EventRouter drops the record, as the configuration wants.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        self.dropped_by().is_some()
    }

    /// Returns why a transformation drops the record, if one does.
    #[must_use]
    pub fn dropped_by(&self) -> Option<DroppedBy> {
        match self.0.kind {
            Kind::Filtered(by) => Some(by),
            _ => None,
        }
    }

    /// Returns whether the whole transaction may succeed when it is run again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.store_fault() == Some(StoreFault::Transient)
    }

    /// Returns whether the event is in the outbox already, and the caller requested an error.
    #[must_use]
    pub fn is_already_enqueued(&self) -> bool {
        self.store_fault() == Some(StoreFault::AlreadyEnqueued)
    }

    /// Returns what a failed store means, if the store failed.
    #[must_use]
    pub fn store_fault(&self) -> Option<StoreFault> {
        match self.0.kind {
            Kind::Store { fault } => Some(fault),
            _ => None,
        }
    }

    /// Returns the event field, configuration key, column or part of a record that it is about.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Rule { field, .. } => Some(field),
            Kind::Config { key, .. } => Some(key),
            Kind::Layout { column, .. } | Kind::Encode { column, .. } => Some(column),
            Kind::Decode { part, .. } => Some(part),
            Kind::Filtered(_) | Kind::Store { .. } => None,
        }
    }

    /// Returns the offending value, shortened to 80 characters. Never a payload or a header's value.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Rule { value, .. } | Kind::Config { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Returns the rule that was broken, or the reason of a contradiction.
    #[must_use]
    pub fn broken_rule(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Rule { rule, .. } => Some(rule),
            Kind::Config { reason, .. }
            | Kind::Layout { reason, .. }
            | Kind::Decode { reason, .. }
            | Kind::Encode { reason, .. } => Some(reason),
            Kind::Filtered(_) | Kind::Store { .. } => None,
        }
    }
}

/// Returns the error without values. The unreadable value may be a payload, which must not be in an error.
fn without_values(source: Box<dyn StdError + Send + Sync>) -> Box<dyn StdError + Send + Sync> {
    let source = match source.downcast::<serde_json::Error>() {
        Ok(json) => return Box::new(JsonFault::of(&json)),
        Err(source) => source,
    };
    match source.downcast::<FromUtf8Error>() {
        Ok(text) => Box::new(text.utf8_error()),
        Err(source) => source,
    }
}

fn excerpt(value: &str) -> String {
    match value.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error = f.debug_struct("Error");
        error.field("kind", &self.0.kind).field("source", &self.0.source);
        if !self.0.others.is_empty() {
            error.field("others", &self.0.others);
        }
        error.finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.kind.fmt(f)?;
        self.0.others.iter().try_for_each(|other| write!(f, "; {other}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
