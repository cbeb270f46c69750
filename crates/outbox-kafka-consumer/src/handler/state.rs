use deadpool_postgres::Transaction;
use outbox_core::DomainEvent;
use serde::de::DeserializeOwned;

use super::{Handler, HandlerResult};
use crate::Received;

/// A handler with state, made by [`with`].
#[derive(Clone, Debug)]
pub struct With<S, F> {
    pub(super) state: S,
    pub(super) function: F,
}

/// Gives a handler its state: `with(state, f)` calls `f(&state, tx, event)`.
///
/// ```
/// # use outbox_core::DomainEvent;
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Received, deadpool_postgres::Transaction, with};
/// # #[derive(serde::Deserialize)] struct Refunded;
/// # impl DomainEvent for Refunded {
/// #     const AGGREGATE_TYPE: &'static str = "order";
/// #     const EVENT_TYPE: &'static str = "Refunded";
/// #     fn aggregate_id(&self) -> String { String::new() }
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

/// As [`HandlerFn`](super::HandlerFn), with state before the transaction.
pub trait StatefulFn<'a, S, E>: Send + Sync + 'static {
    /// What the function returns.
    type Future: Future<Output = HandlerResult> + Send + 'a;

    /// Calls it.
    fn call(&self, state: &'a S, tx: &'a Transaction<'a>, event: Received<E>) -> Self::Future;
}

impl<'a, S, E, F, Fut> StatefulFn<'a, S, E> for F
where
    S: 'a,
    E: 'a,
    F: Fn(&'a S, &'a Transaction<'a>, Received<E>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, state: &'a S, tx: &'a Transaction<'a>, event: Received<E>) -> Fut {
        self(state, tx, event)
    }
}

impl<S, E, F> Handler<fn(S, E)> for With<S, F>
where
    S: Send + Sync + 'static,
    E: DomainEvent + DeserializeOwned + Send + 'static,
    F: for<'a> StatefulFn<'a, S, E>,
{
    type Event = E;

    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        event: Received<E>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.function.call(&self.state, tx, event)
    }
}
