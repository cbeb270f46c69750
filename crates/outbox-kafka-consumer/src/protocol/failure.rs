use std::error::Error as StdError;

use deadpool_postgres::tokio_postgres::{
    self,
    error::{Severity, SqlState},
};
use outbox_net::SqlStateClass;

/// Why an event was not handled, as a [`RetryPolicy`](crate::RetryPolicy) is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler returned an error, or asked for another attempt.
    Failed,
    /// PostgreSQL says that the data cannot be (SQLSTATE class 22): another attempt says the same.
    Data,
    /// The handler said [`reject`](crate::HandlerError::reject).
    Rejected,
    /// The handler panicked.
    Panicked,
    /// The handler took longer than it may.
    TimedOut,
    /// The process ended more than once while it handled this event alone.
    Crashed,
    /// The record or its payload cannot be decoded, or its type is unknown, and the policy rejects such.
    Undecodable,
    /// No handler can take the event yet, and the policy [holds](crate::Misfit::Hold) it. No
    /// [`RetryPolicy`](crate::RetryPolicy) is asked.
    Unhandled,
}

impl FailureKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Data => "data",
            Self::Rejected => "rejected",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed out",
            Self::Crashed => "crashed",
            Self::Undecodable => "undecodable",
            Self::Unhandled => "unhandled",
        }
    }
}

/// The meaning of an error's SQLSTATE for the event whose handler returned it.
///
/// It does not report which server the error is of: whether the store's connection is lost is asked of that connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SqlFault {
    /// Lost against another transaction, or waited too long for its lock: to be tried again at once.
    Conflict,
    /// The data cannot be.
    Data,
    /// Anything else.
    Other,
}

/// Looks for PostgreSQL's word in an error and all that lies below it.
pub(crate) fn sql_fault(error: &(dyn StdError + 'static)) -> SqlFault {
    let mut errors = std::iter::successors(Some(error), |&error| error.source());
    let state = errors.find_map(|error| error.downcast_ref::<tokio_postgres::Error>()?.code());
    state.map_or(SqlFault::Other, |state| of_state(state.code()))
}

/// Returns whether PostgreSQL rejected a COMMIT and kept the session, so that nothing was committed.
///
/// After an error that ends the session the outcome is not known. PgBouncer reports a server that it lost during the
/// COMMIT with the state of a protocol violation.
pub(crate) fn is_rejected_commit(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        error.parsed_severity() == Some(Severity::Error) && *error.code() != SqlState::PROTOCOL_VIOLATION
    })
}

fn of_state(state: &str) -> SqlFault {
    match SqlStateClass::of(state) {
        SqlStateClass::Conflict | SqlStateClass::Locked => SqlFault::Conflict,
        SqlStateClass::Data => SqlFault::Data,
        _ => SqlFault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        for (state, fault) in [
            ("40001", SqlFault::Conflict),
            ("40P01", SqlFault::Conflict),
            ("55P03", SqlFault::Conflict),
            ("57P01", SqlFault::Other),
            ("08006", SqlFault::Other),
            ("22003", SqlFault::Data),
            ("23505", SqlFault::Other),
            ("57014", SqlFault::Other),
            ("25P02", SqlFault::Other),
        ] {
            assert_eq!(of_state(state), fault, "{state}");
        }
        assert_eq!(sql_fault(&std::io::Error::other("no SQL")), SqlFault::Other);
    }
}
