use std::error::Error as StdError;

use deadpool_postgres::tokio_postgres;
use outbox_net::SqlStateClass;

/// Why an event was not handled. A [`RetryPolicy`](crate::RetryPolicy) receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler returned an error, or asked for another attempt.
    Failed,
    /// PostgreSQL rejects the data (SQLSTATE class 22), so another attempt fails as well.
    Data,
    /// The handler returned [`reject`](crate::HandlerError::reject).
    Rejected,
    /// The handler panicked.
    Panicked,
    /// The handler took longer than it may.
    TimedOut,
    /// The process ended more than once while it handled this event alone.
    Crashed,
    /// The record or its payload cannot be decoded, or its type is unknown, and the policy rejects such records.
    Undecodable,
    /// No handler can take the event yet, and the policy [holds](crate::RecordPolicy::Park) it. No
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
/// The error may be of any server. A statement on the store's connection shows whether that connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlFault {
    /// It lost against another transaction, or waited too long for a lock: it is called again at once.
    Conflict,
    /// PostgreSQL rejects the data.
    Data,
    /// Anything else.
    Other,
}

/// Looks for an error of PostgreSQL in an error and its sources.
pub fn sql_fault(error: &(dyn StdError + 'static)) -> SqlFault {
    let mut errors = std::iter::successors(Some(error), |&error| error.source());
    errors.find_map(fault_of).unwrap_or(SqlFault::Other)
}

fn fault_of(error: &(dyn StdError + 'static)) -> Option<SqlFault> {
    if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
        return error.code().map(|state| of_state(state.code()));
    }
    #[cfg(feature = "sqlx")]
    if let Some(error) = error.downcast_ref::<sqlx::Error>() {
        return error.as_database_error()?.code().map(|state| of_state(&state));
    }
    None
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
    fn states_are_classified() {
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
