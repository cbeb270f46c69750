use std::error::Error as StdError;
use std::fmt;

use outbox_core::StoreFault;
use tokio_postgres::error::SqlState;

use crate::Problem;
use crate::session::DriverError;

/// A failure of the outbox's table, publication or slot.
///
/// `Display` reports this layer only; [`source`](StdError::source) holds the error of PostgreSQL.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// The SQLSTATE, if PostgreSQL answered.
    code: Option<SqlState>,
    is_transient: bool,
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("PostgreSQL failed to {0}")]
    Database(String),
    #[error("migration {component} {version}: {reason}")]
    Migration { component: String, version: i32, reason: String },
    #[error("the file {0} could not be written")]
    File(String),
    #[error("another instance has taken the maintainer's lease, as this one was too slow: run it again")]
    LeaseLost,
    #[cfg(any(feature = "deadpool", feature = "sqlx"))]
    #[error("the pool gave no connection to PostgreSQL")]
    Pool,
    #[error("{0}")]
    Configuration(String),
    #[error("the outbox is not ready: {}", list(.0))]
    NotReady(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Error {
    fn new(kind: Kind) -> Self {
        let is_transient = matches!(kind, Kind::LeaseLost);
        Self(Box::new(Inner { kind, source: None, code: None, is_transient }))
    }

    /// Creates an error of PostgreSQL; `doing` completes the sentence "PostgreSQL failed to …".
    pub(crate) fn database(doing: impl Into<String>, error: impl Into<DriverError>) -> Self {
        let error = error.into();
        let (code, is_transient) = (error.code(), error.fault() == StoreFault::Transient);
        Self(Box::new(Inner { kind: Kind::Database(doing.into()), source: Some(error.into()), code, is_transient }))
    }

    pub(crate) fn migration(component: &str, version: i32, reason: impl Into<String>) -> Self {
        Self::new(Kind::Migration { component: component.to_owned(), version, reason: reason.into() })
    }

    pub(crate) fn file(path: String, source: std::io::Error) -> Self {
        Self(Box::new(Inner {
            kind: Kind::File(path),
            source: Some(Box::new(source)),
            code: None,
            is_transient: false,
        }))
    }

    #[cfg(any(feature = "deadpool", feature = "sqlx"))]
    pub(crate) fn pool(source: impl StdError + Send + Sync + 'static) -> Self {
        Self(Box::new(Inner { kind: Kind::Pool, source: Some(Box::new(source)), code: None, is_transient: true }))
    }

    pub(crate) fn lease_lost() -> Self {
        Self::new(Kind::LeaseLost)
    }

    pub(crate) fn configuration(reason: impl Into<String>) -> Self {
        Self::new(Kind::Configuration(reason.into()))
    }

    pub(crate) fn not_ready(problems: Vec<Problem>) -> Self {
        Self::new(Kind::NotReady(problems))
    }

    /// Returns whether the table, the publication or the slot is missing or not as the pipeline needs it.
    #[must_use]
    pub fn is_not_ready(&self) -> bool {
        matches!(self.0.kind, Kind::NotReady(_))
    }

    /// Returns whether this pipeline does not support the operation.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self.0.kind, Kind::Configuration(_))
    }

    /// Returns whether applied migrations conflict with those of this library.
    #[must_use]
    pub fn is_migration_conflict(&self) -> bool {
        matches!(self.0.kind, Kind::Migration { .. })
    }

    /// Returns whether trying again may succeed: a lost connection, a deadlock, a server that is starting or stopping.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.is_transient
    }

    /// Returns the SQLSTATE, where PostgreSQL gave one.
    #[must_use]
    pub fn code(&self) -> Option<&SqlState> {
        self.0.code.as_ref()
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
