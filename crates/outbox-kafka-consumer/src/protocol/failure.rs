use std::error::Error as StdError;

use deadpool_postgres::tokio_postgres;
use outbox_net::SqlStateClass;

/// Why an event was not handled, as a [`RetryPolicy`](crate::RetryPolicy) is told.
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
        }
    }
}

/// What an error of PostgreSQL means for the event in whose transaction it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SqlFault {
    /// The connection or the server is gone: no fault of the event's.
    Away,
    /// Lost against another transaction: to be tried again at once.
    Conflict,
    /// The data cannot be.
    Data,
    /// Anything else.
    Other,
}

/// Looks for PostgreSQL's word in an error and all that lies below it.
pub(crate) fn sql_fault(error: &(dyn StdError + 'static)) -> SqlFault {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
            if error.is_closed() {
                return SqlFault::Away;
            }
            if let Some(state) = error.code() {
                return of_state(state.code());
            }
        }
        next = error.source();
    }
    SqlFault::Other
}

fn of_state(state: &str) -> SqlFault {
    match SqlStateClass::of(state) {
        class if class.ends_session() => SqlFault::Away,
        SqlStateClass::Conflict => SqlFault::Conflict,
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
            ("57P01", SqlFault::Away),
            ("08006", SqlFault::Away),
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
