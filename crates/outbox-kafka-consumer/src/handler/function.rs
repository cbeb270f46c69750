use deadpool_postgres::Transaction;

use super::HandlerResult;

/// A function whose future borrows the transaction. The future has a name, so that it can be boxed as `Send`.
pub trait HandlerFn<'a, A>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = HandlerResult> + Send + 'a;

    /// Calls it with an event, or with several.
    fn call(&self, tx: &'a Transaction<'a>, events: A) -> Self::Future;
}

impl<'a, A, F, Fut> HandlerFn<'a, A> for F
where
    A: 'a,
    F: Fn(&'a Transaction<'a>, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, tx: &'a Transaction<'a>, events: A) -> Fut {
        self(tx, events)
    }
}

/// A handler with state, made by [`with`].
#[derive(Clone, Debug)]
pub struct With<S, F> {
    pub(super) state: S,
    pub(super) function: F,
}

/// Gives a handler its state: `with(state, f)` calls `f(&state, tx, event)`.
///
/// ```
/// # use outbox_core::IncomingEvent;
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Received, deadpool_postgres::Transaction, with};
/// # #[derive(serde::Deserialize)] struct Refunded;
/// # impl IncomingEvent for Refunded {
/// #     const AGGREGATE_TYPE: &'static str = "order";
/// #     const EVENT_TYPE: &'static str = "Refunded";
/// # }
/// struct Ledger {
///     account: i64,
/// }
///
/// async fn refund(ledger: &Ledger, tx: &Transaction<'_>, event: Received<Refunded>) -> HandlerResult {
///     let id = event.envelope().id;
///     tx.execute("INSERT INTO refund VALUES ($1, $2) ON CONFLICT DO NOTHING", &[&id, &ledger.account]).await?;
///     Ok(())
/// }
///
/// # fn example(builder: Builder) -> Builder {
/// builder.on(with(Ledger { account: 7 }, refund))
/// # }
/// ```
pub fn with<S, F>(state: S, function: F) -> With<S, F> {
    With { state, function }
}

/// The same as [`HandlerFn`], with state before the transaction.
pub trait StatefulFn<'a, S, A>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = HandlerResult> + Send + 'a;

    /// Calls it with an event, or with several.
    fn call(&self, state: &'a S, tx: &'a Transaction<'a>, events: A) -> Self::Future;
}

impl<'a, S, A, F, Fut> StatefulFn<'a, S, A> for F
where
    S: 'a,
    A: 'a,
    F: Fn(&'a S, &'a Transaction<'a>, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, state: &'a S, tx: &'a Transaction<'a>, events: A) -> Fut {
        self(state, tx, events)
    }
}
