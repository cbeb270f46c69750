use crate::session::fault_of;

/// The reason why PostgreSQL did not store an event, with what to do: the source of an error of enqueue.
///
/// ```
/// # use outbox_pg::StoreFailure;
/// fn is_read_only(error: &outbox_core::Error) -> bool {
///     let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<StoreFailure>());
///     matches!(cause, Some(StoreFailure::ReadOnly(_)))
/// }
/// ```
pub type StoreFailure = outbox_core::sql::StoreFailure<tokio_postgres::Error>;

/// Converts a driver error into the error that `enqueue` returns.
pub(crate) fn stored(error: tokio_postgres::Error) -> outbox_core::Error {
    let Some(answer) = error.as_db_error() else { return StoreFailure::unanswered(fault_of(&error), error) };
    let (code, constraint) = (answer.code().code().to_owned(), answer.constraint().map(str::to_owned));
    StoreFailure::error(&code, constraint.as_deref(), error)
}
