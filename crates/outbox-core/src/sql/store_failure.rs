use std::error::Error as StdError;

use outbox_net::SqlStateClass;

use crate::{Error, StoreFault};

/// The reason why PostgreSQL did not store an event, with what to do: the source of an error of enqueue. Below it is
/// the driver's error `E`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFailure<E: StdError + 'static> {
    /// The table is not there.
    #[error("the outbox table does not exist in this database: apply Migrations::outbox, and check the layout's names")]
    TableMissing(#[source] E),
    /// A column is not there.
    #[error("a column of the layout does not exist in the table: Readiness::check reports which")]
    ColumnMissing(#[source] E),
    /// A column is of another type than the layout says.
    #[error("a column is of another type than the layout says: Readiness::check reports which")]
    OtherType(#[source] E),
    /// The role may not INSERT.
    #[error("this role may not write the outbox: run the script of application_role_sql, and grant its role")]
    MissingPrivilege(#[source] E),
    /// The server is a standby, or transactions are read only.
    #[error(
        "this transaction is read only: connect to the primary (target_session_attrs=read-write), or begin it READ WRITE, \
         see default_transaction_read_only"
    )]
    ReadOnly(#[source] E),
    /// The server's disk is full.
    #[error("the server's disk is full: see the WAL that replication slots hold back, by PipelineMonitor")]
    DiskFull(#[source] E),
    /// An earlier statement failed.
    #[error("an earlier statement of this transaction failed, and PostgreSQL takes no more: roll it back")]
    TransactionAborted(#[source] E),
    /// A row with this id is there.
    #[error("an event with this id is there already: enqueue by idempotent() where that may be")]
    IdTaken(#[source] E),
    /// The table's partitions have no place for the id.
    #[error(
        "the table has no partition for this id: run Maintenance, and refuse such events before by PgOutbox::with_partition_range"
    )]
    NoPartition(#[source] E),
    /// Another reason.
    #[error("PostgreSQL did not store the event")]
    Other(#[source] E),
}

impl<E: StdError + Send + Sync + 'static> StoreFailure<E> {
    /// Creates the error of `enqueue` from PostgreSQL's answer, for implementations of [`Outbox`](crate::Outbox).
    /// `constraint` is the one that the answer names.
    pub fn error(sqlstate: &str, constraint: Option<&str>, source: E) -> Error {
        let failure = match sqlstate {
            "42P01" | "3F000" => Self::TableMissing,
            "42703" => Self::ColumnMissing,
            "42804" => Self::OtherType,
            "42501" => Self::MissingPrivilege,
            "25006" => Self::ReadOnly,
            "53100" => Self::DiskFull,
            "25P02" => Self::TransactionAborted,
            "23505" => Self::IdTaken,
            // PostgreSQL reports a CHECK with the same SQLSTATE, and then names the constraint.
            "23514" if constraint.is_none() => Self::NoPartition,
            _ => Self::Other,
        };
        Error::store(StoreFault::from_sqlstate(sqlstate), failure(source))
    }

    /// Creates the same error as [`error`](Self::error) if PostgreSQL has not answered, for implementations of
    /// [`Outbox`](crate::Outbox).
    pub fn unanswered(fault: StoreFault, source: E) -> Error {
        Error::store(fault, Self::Other(source))
    }
}

impl StoreFault {
    /// Returns what an error of this SQLSTATE means for its transaction (PostgreSQL, appendix "Error Codes").
    #[must_use]
    pub fn from_sqlstate(sqlstate: &str) -> Self {
        match SqlStateClass::from_sqlstate(sqlstate) {
            // idle_in_transaction_session_timeout and transaction_timeout: the transaction took too long, and may be
            // faster in another attempt.
            _ if matches!(sqlstate, "25P03" | "25P04") => Self::Transient,
            SqlStateClass::Aborted => Self::TransactionAborted,
            class if class.is_transient() => Self::Transient,
            _ => Self::Permanent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_was_too_slow_may_succeed_when_it_is_run_again() {
        for sqlstate in ["25P03", "25P04", "40001", "53300"] {
            assert_eq!(StoreFault::from_sqlstate(sqlstate), StoreFault::Transient, "{sqlstate}");
        }
        assert_eq!(StoreFault::from_sqlstate("25P02"), StoreFault::TransactionAborted);
        assert_eq!(StoreFault::from_sqlstate("23502"), StoreFault::Permanent);
    }
}
