use std::error::Error as StdError;
use std::fmt;

use deadpool_postgres::tokio_postgres;
use outbox_net::SqlStateClass;

/// The reason why an event was not handled. A [`RetryPolicy`](crate::RetryPolicy) receives it.
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
    /// Another transaction has locked a row or a table that the handler needs. No attempt is counted, and no
    /// [`RetryPolicy`](crate::RetryPolicy) is asked.
    Locked,
    /// The event did not fail: it waits behind an earlier event of its key.
    Behind,
    /// A newer version of this crate stored a kind that this one does not know.
    Other,
}

/// The kinds that are stored, with their names in the store.
static NAMES: [(FailureKind, &str); 10] = [
    (FailureKind::Failed, "failed"),
    (FailureKind::Data, "data"),
    (FailureKind::Rejected, "rejected"),
    (FailureKind::Panicked, "panicked"),
    (FailureKind::TimedOut, "timed out"),
    (FailureKind::Crashed, "crashed"),
    (FailureKind::Undecodable, "undecodable"),
    (FailureKind::Unhandled, "unhandled"),
    (FailureKind::Locked, "locked"),
    (FailureKind::Behind, "behind"),
];

impl FailureKind {
    /// Returns the name, which is also the text in the column `kind` of the store, such as `timed out`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.stored().map_or("other", |name| *name)
    }

    /// Returns the kind of this [name](Self::name); `None` if there is no such kind.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, stored)| *stored == name).map(|(kind, _)| *kind)
    }

    /// Returns the text in the store; `None` for [`Other`](Self::Other), which is any text that is not known.
    pub(crate) fn stored(self) -> Option<&'static &'static str> {
        NAMES.iter().find(|(kind, _)| *kind == self).map(|(_, name)| name)
    }

    /// Returns all texts in the store that are known.
    pub(crate) fn all_stored() -> impl Iterator<Item = &'static &'static str> {
        NAMES.iter().map(|(_, name)| name)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The meaning of an error's SQLSTATE for the event whose handler returned it.
///
/// The error may be of any server. A statement on the store's connection shows whether that connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlFault {
    /// It lost against another transaction: it is called again at once.
    Conflict,
    /// It waited too long for a lock that another transaction holds.
    Locked,
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
    match SqlStateClass::from_sqlstate(state) {
        SqlStateClass::Conflict => SqlFault::Conflict,
        SqlStateClass::Locked => SqlFault::Locked,
        SqlStateClass::Data => SqlFault::Data,
        _ => SqlFault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_name() {
        for name in FailureKind::all_stored() {
            assert_eq!(FailureKind::from_name(name).map(FailureKind::name), Some(*name));
        }
        assert_eq!((FailureKind::from_name("other"), FailureKind::Other.name()), (None, "other"));
    }

    #[test]
    fn states_are_classified() {
        for (state, fault) in [
            ("40001", SqlFault::Conflict),
            ("40P01", SqlFault::Conflict),
            ("55P03", SqlFault::Locked),
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
