use std::error::Error as StdError;
use std::time::Duration;

use deadpool_postgres::tokio_postgres;
use deadpool_postgres::tokio_postgres::error::{Severity, SqlState};

/// An error of a driver, or no answer in time.
#[derive(Debug)]
pub enum PgError {
    TokioPostgres(tokio_postgres::Error),
    #[cfg(feature = "sqlx")]
    Sqlx(::sqlx::Error),
    NoAnswer(NoAnswer),
}

/// The error after a statement that PostgreSQL did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL did not answer within {0:?}")]
pub struct NoAnswer(Duration);

impl PgError {
    pub fn no_answer(within: Duration) -> Self {
        Self::NoAnswer(NoAnswer(within))
    }

    /// Returns whether PostgreSQL reported this state.
    pub fn is_state(&self, state: &SqlState) -> bool {
        match self {
            Self::TokioPostgres(error) => error.code() == Some(state),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(error) => {
                error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == state.code())
            }
            Self::NoAnswer(_) => false,
        }
    }

    /// Returns whether PostgreSQL did not answer in time.
    pub(crate) fn is_no_answer(&self) -> bool {
        matches!(self, Self::NoAnswer(_))
    }

    /// Returns whether PostgreSQL rejected a COMMIT and kept the session, so that nothing was committed.
    ///
    /// After an error that ends the session the outcome is not known. PgBouncer reports a server that it lost during
    /// the COMMIT with the state of a protocol violation.
    pub fn is_rejected_commit(&self) -> bool {
        if self.is_state(&SqlState::PROTOCOL_VIOLATION) {
            return false;
        }
        match self {
            Self::TokioPostgres(error) => {
                error.as_db_error().is_some_and(|error| error.parsed_severity() == Some(Severity::Error))
            }
            #[cfg(feature = "sqlx")]
            Self::Sqlx(error) => is_rejected_by_sqlx(error),
            Self::NoAnswer(_) => false,
        }
    }

    /// Returns the error of the driver.
    pub fn as_source(&self) -> &(dyn StdError + 'static) {
        match self {
            Self::TokioPostgres(error) => error,
            #[cfg(feature = "sqlx")]
            Self::Sqlx(error) => error,
            Self::NoAnswer(error) => error,
        }
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::TokioPostgres(error)
    }
}

#[cfg(feature = "sqlx")]
impl From<::sqlx::Error> for PgError {
    fn from(error: ::sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}

/// The source is the driver's own error, so that a chain of errors contains it.
impl From<PgError> for Box<dyn StdError + Send + Sync> {
    fn from(error: PgError) -> Self {
        match error {
            PgError::TokioPostgres(error) => error.into(),
            #[cfg(feature = "sqlx")]
            PgError::Sqlx(error) => error.into(),
            PgError::NoAnswer(error) => error.into(),
        }
    }
}

/// Returns whether the COMMIT has certainly not happened, and the session is there.
#[cfg(feature = "sqlx")]
fn is_rejected_by_sqlx(error: &::sqlx::Error) -> bool {
    use ::sqlx::postgres::{PgDatabaseError, PgSeverity};

    match error {
        ::sqlx::Error::InvalidArgument(_) => true,
        error => error
            .as_database_error()
            .and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
            .is_some_and(|error| matches!(error.severity(), PgSeverity::Error)),
    }
}
