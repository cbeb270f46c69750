use outbox_core::StoreFault;
use tokio_postgres::error::SqlState;

use crate::error::fault_of;

/// Why PostgreSQL did not store an event, with what to do: the source of an error of enqueue.
///
/// ```
/// # use outbox_pg::StoreFailure;
/// fn is_read_only(error: &outbox_core::Error) -> bool {
///     let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<StoreFailure>());
///     matches!(cause, Some(StoreFailure::ReadOnly(_)))
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFailure {
    /// The table is not there.
    #[error("the outbox table does not exist in this database: apply Migrations::outbox, and check the layout's names")]
    TableMissing(#[source] tokio_postgres::Error),
    /// A column is not there.
    #[error("a column of the layout does not exist in the table: Readiness::check tells which")]
    ColumnMissing(#[source] tokio_postgres::Error),
    /// A column is of another type than the layout says.
    #[error("a column is of another type than the layout says: Readiness::check tells which")]
    OtherType(#[source] tokio_postgres::Error),
    /// The role may not INSERT.
    #[error("this role may not write the outbox: run the script of application_role_sql, and grant its role")]
    MissingRight(#[source] tokio_postgres::Error),
    /// The server is a standby, or transactions are read only.
    #[error(
        "this transaction is read only: connect to the primary (target_session_attrs=read-write), or begin it READ WRITE, \
         see default_transaction_read_only"
    )]
    ReadOnly(#[source] tokio_postgres::Error),
    /// The server's disk is full.
    #[error("the server's disk is full: see the WAL that replication slots hold back, by PipeMonitor")]
    DiskFull(#[source] tokio_postgres::Error),
    /// An earlier statement failed.
    #[error("an earlier statement of this transaction failed, and PostgreSQL takes no more: roll it back")]
    TransactionAborted(#[source] tokio_postgres::Error),
    /// A row with this id is there.
    #[error("an event with this id is there already: use PgOutbox::idempotent where that may be")]
    IdTaken(#[source] tokio_postgres::Error),
    /// The table's partitions have no place for the id.
    #[error("the table has no partition for this id: run Maintenance, and let PgOutbox::within see to it")]
    NoPartition(#[source] tokio_postgres::Error),
    /// Another reason.
    #[error("PostgreSQL did not store the event")]
    Other(#[source] tokio_postgres::Error),
}

/// The error of enqueue that it is.
pub(crate) fn stored(error: tokio_postgres::Error) -> outbox_core::Error {
    let fault: StoreFault = fault_of(&error);
    outbox_core::Error::store(fault, StoreFailure::from(error))
}

impl StoreFailure {
    fn from(error: tokio_postgres::Error) -> Self {
        let failure = match error.code() {
            Some(code) if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME => {
                Self::TableMissing
            }
            Some(code) if *code == SqlState::UNDEFINED_COLUMN => Self::ColumnMissing,
            Some(code) if *code == SqlState::DATATYPE_MISMATCH => Self::OtherType,
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Self::MissingRight,
            Some(code) if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly,
            Some(code) if *code == SqlState::DISK_FULL => Self::DiskFull,
            Some(code) if *code == SqlState::IN_FAILED_SQL_TRANSACTION => Self::TransactionAborted,
            Some(code) if *code == SqlState::UNIQUE_VIOLATION => Self::IdTaken,
            // PostgreSQL says so of a CHECK as well, which then has a name.
            Some(code) if *code == SqlState::CHECK_VIOLATION && is_unnamed(&error) => Self::NoPartition,
            _ => Self::Other,
        };
        failure(error)
    }
}

fn is_unnamed(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| error.constraint().is_none())
}
