use deadpool_postgres::Transaction;
use outbox_core::DomainEvent;
use serde::de::DeserializeOwned;

use super::{Handler, HandlerResult};
use crate::Received;

/// A function whose future borrows the transaction. Naming the future is what lets it be boxed as `Send`.
pub trait HandlerFn<'a, E>: Send + Sync + 'static {
    /// What the function returns.
    type Future: Future<Output = HandlerResult> + Send + 'a;

    /// Calls it.
    fn call(&self, tx: &'a Transaction<'a>, event: Received<E>) -> Self::Future;
}

impl<'a, E, F, Fut> HandlerFn<'a, E> for F
where
    E: 'a,
    F: Fn(&'a Transaction<'a>, Received<E>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, tx: &'a Transaction<'a>, event: Received<E>) -> Fut {
        self(tx, event)
    }
}

impl<E, F> Handler<fn(E)> for F
where
    E: DomainEvent + DeserializeOwned + Send + 'static,
    F: for<'a> HandlerFn<'a, E>,
{
    type Event = E;

    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        event: Received<E>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.call(tx, event)
    }
}
