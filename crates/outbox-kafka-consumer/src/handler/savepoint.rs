use deadpool_postgres::Transaction;
use deadpool_postgres::tokio_postgres::Error;

/// Runs statements of a handler within a savepoint: if they fail, only they are rolled back, and the transaction
/// continues.
///
/// The inner result is that of `statements`. The outer one is an error if PostgreSQL rejects the savepoint itself;
/// return it from the handler. Savepoints may be nested.
///
/// ```
/// # use outbox_core::IncomingEvent;
/// # use outbox_kafka_consumer::{HandlerResult, Received, deadpool_postgres::Transaction, savepoint};
/// # #[derive(serde::Deserialize)] struct OrderCreated { order_id: i64 }
/// # impl IncomingEvent for OrderCreated {
/// #     const AGGREGATE_TYPE: &'static str = "order";
/// #     const EVENT_TYPE: &'static str = "OrderCreated";
/// # }
/// async fn reserve(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
///     let order = event.event().order_id;
///     let reserved = savepoint(tx, tx.execute("INSERT INTO reservation (order_id) VALUES ($1)", &[&order])).await?;
///     if reserved.is_err() {
///         tx.execute("INSERT INTO waiting_list (order_id) VALUES ($1)", &[&order]).await?;
///     }
///     Ok(())
/// }
/// ```
///
/// # Errors
/// The savepoint could not be set, released or rolled back to.
///
/// # Cancellation
/// Dropping the future leaves the transaction within the savepoint. Return an error from the handler then.
pub async fn savepoint<T, E>(
    tx: &Transaction<'_>,
    statements: impl Future<Output = Result<T, E>>,
) -> Result<Result<T, E>, Error> {
    tx.batch_execute("SAVEPOINT outbox_savepoint").await?;
    let outcome = statements.await;
    let end = match outcome {
        Ok(_) => "RELEASE SAVEPOINT outbox_savepoint",
        Err(_) => "ROLLBACK TO SAVEPOINT outbox_savepoint; RELEASE SAVEPOINT outbox_savepoint",
    };
    tx.batch_execute(end).await?;
    Ok(outcome)
}
