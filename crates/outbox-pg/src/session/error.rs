use std::error::Error as StdError;

use outbox_core::StoreFault;
use tokio_postgres::error::SqlState;

/// The error of a driver.
#[derive(Debug)]
pub(crate) enum DriverError {
    TokioPostgres(tokio_postgres::Error),
    #[cfg(feature = "sqlx")]
    Sqlx(::sqlx::Error),
    /// A query that always returns a row has returned none.
    NoRow,
}

impl DriverError {
    /// Returns the SQLSTATE, if PostgreSQL answered.
    pub(crate) fn code(&self) -> Option<SqlState> {
        match self {
            Self::TokioPostgres(error) => error.code().cloned(),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(error) => error.as_database_error()?.code().map(|code| SqlState::from_code(&code)),
            Self::NoRow => None,
        }
    }

    /// Returns what a failed statement means for its transaction.
    pub(crate) fn fault(&self) -> StoreFault {
        let is_io = match self {
            Self::TokioPostgres(error) => return fault_of(error),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(error) => {
                if let Some(code) = self.code() {
                    return StoreFault::from_sqlstate(code.code());
                }
                use ::sqlx::Error::{Io, PoolClosed, PoolTimedOut, WorkerCrashed};
                matches!(error, Io(_) | PoolClosed | PoolTimedOut | WorkerCrashed)
            }
            Self::NoRow => false,
        };
        if is_io { StoreFault::Transient } else { StoreFault::Permanent }
    }
}

/// Returns what a failed statement means for its transaction.
pub(crate) fn fault_of(error: &tokio_postgres::Error) -> StoreFault {
    let Some(code) = error.code() else {
        // Without a SQLSTATE it is the connection, or a value that the driver could not write.
        let is_io = error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>());
        return if is_io { StoreFault::Transient } else { StoreFault::Permanent };
    };
    StoreFault::from_sqlstate(code.code())
}

impl From<tokio_postgres::Error> for DriverError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::TokioPostgres(error)
    }
}

#[cfg(feature = "sqlx")]
impl From<::sqlx::Error> for DriverError {
    fn from(error: ::sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}

/// The source is the driver's own error, so that a chain of errors contains it.
impl From<DriverError> for Box<dyn StdError + Send + Sync> {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::TokioPostgres(error) => error.into(),
            #[cfg(feature = "sqlx")]
            DriverError::Sqlx(error) => error.into(),
            DriverError::NoRow => "PostgreSQL returned no row".into(),
        }
    }
}
