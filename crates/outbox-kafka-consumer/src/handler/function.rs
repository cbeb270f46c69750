use deadpool_postgres::Transaction;
use outbox_core::IncomingEvent;
use serde::de::DeserializeOwned;

use super::{BatchHandler, Handler, HandlerResult};
use crate::Received;

/// A function whose future borrows the transaction. Naming the future is what lets it be boxed as `Send`.
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

impl<E, F> Handler<fn(E)> for F
where
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: for<'a> HandlerFn<'a, Received<E>>,
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

impl<E, F> BatchHandler<fn(E)> for F
where
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: for<'a> HandlerFn<'a, Vec<Received<E>>>,
{
    type Event = E;

    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        events: Vec<Received<E>>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.call(tx, events)
    }
}
