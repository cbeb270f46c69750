use outbox_core::StoreFault;

/// The reason why PostgreSQL did not store an event, with what to do: the source of an error of enqueue.
///
/// ```
/// # use outbox_sqlx::StoreFailure;
/// fn is_read_only(error: &outbox_core::Error) -> bool {
///     let cause = std::error::Error::source(error).and_then(|source| source.downcast_ref::<StoreFailure>());
///     matches!(cause, Some(StoreFailure::ReadOnly(_)))
/// }
/// ```
pub type StoreFailure = outbox_core::sql::StoreFailure<sqlx::Error>;

/// Converts a driver error into the error that `enqueue` returns.
pub(crate) fn stored(error: sqlx::Error) -> outbox_core::Error {
    let answer = error.as_database_error();
    if let Some((code, answer)) = answer.and_then(|answer| Some((answer.code()?.into_owned(), answer))) {
        let constraint = answer.constraint().map(str::to_owned);
        return StoreFailure::error(&code, constraint.as_deref(), error);
    }
    // Other errors within a transaction concern its connection, or a value that could not be written.
    let is_io = matches!(error, sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed);
    StoreFailure::unanswered(if is_io { StoreFault::Transient } else { StoreFault::Permanent }, error)
}
