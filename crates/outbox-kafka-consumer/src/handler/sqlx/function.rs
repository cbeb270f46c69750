use outbox_core::IncomingEvent;
use serde::de::DeserializeOwned;
use sqlx::{Postgres, Transaction};

use super::{BatchHandler, Handler, RawHandler};
use crate::Received;
use crate::handler::function::With;
use crate::handler::{Configured, HandlerPolicy, HandlerResult};

/// A function of a transaction. `T` is `&mut Transaction<'_, Postgres>`, for all lifetimes.
pub trait HandlerFn<T, A>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = HandlerResult> + Send;

    /// Calls it with an event, or with several.
    fn call(&self, tx: T, events: A) -> Self::Future;
}

impl<T, A, F, Fut> HandlerFn<T, A> for F
where
    F: Fn(T, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send,
{
    type Future = Fut;

    fn call(&self, tx: T, events: A) -> Fut {
        self(tx, events)
    }
}

/// The same as [`HandlerFn`], with state before the transaction. `S` is `&State`.
pub trait StatefulFn<S, T, A>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = HandlerResult> + Send;

    /// Calls it with an event, or with several.
    fn call(&self, state: S, tx: T, events: A) -> Self::Future;
}

impl<S, T, A, F, Fut> StatefulFn<S, T, A> for F
where
    F: Fn(S, T, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send,
{
    type Future = Fut;

    fn call(&self, state: S, tx: T, events: A) -> Fut {
        self(state, tx, events)
    }
}

impl<E, F> Handler<fn(E)> for F
where
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: for<'a, 't> HandlerFn<&'a mut Transaction<'t, Postgres>, Received<E>>,
{
    type Event = E;

    async fn handle(&self, tx: &mut Transaction<'_, Postgres>, event: Received<E>) -> HandlerResult {
        self.call(tx, event).await
    }
}

impl<E, F> BatchHandler<fn(E)> for F
where
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: for<'a, 't> HandlerFn<&'a mut Transaction<'t, Postgres>, Vec<Received<E>>>,
{
    type Event = E;

    async fn handle(&self, tx: &mut Transaction<'_, Postgres>, events: Vec<Received<E>>) -> HandlerResult {
        self.call(tx, events).await
    }
}

impl<F: for<'a, 't> HandlerFn<&'a mut Transaction<'t, Postgres>, Received<()>>> RawHandler<fn()> for F {
    async fn handle(&self, tx: &mut Transaction<'_, Postgres>, event: Received<()>) -> HandlerResult {
        self.call(tx, event).await
    }
}

impl<S, E, F> Handler<fn(S, E)> for With<S, F>
where
    S: Send + Sync + 'static,
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: for<'a, 't> StatefulFn<&'a S, &'a mut Transaction<'t, Postgres>, Received<E>>,
{
    type Event = E;

    async fn handle(&self, tx: &mut Transaction<'_, Postgres>, event: Received<E>) -> HandlerResult {
        self.function.call(&self.state, tx, event).await
    }
}

impl<S, E, F> BatchHandler<fn(S, E)> for With<S, F>
where
    S: Send + Sync + 'static,
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: for<'a, 't> StatefulFn<&'a S, &'a mut Transaction<'t, Postgres>, Vec<Received<E>>>,
{
    type Event = E;

    async fn handle(&self, tx: &mut Transaction<'_, Postgres>, events: Vec<Received<E>>) -> HandlerResult {
        self.function.call(&self.state, tx, events).await
    }
}

impl<S, F> RawHandler<fn(S)> for With<S, F>
where
    S: Send + Sync + 'static,
    F: for<'a, 't> StatefulFn<&'a S, &'a mut Transaction<'t, Postgres>, Received<()>>,
{
    async fn handle(&self, tx: &mut Transaction<'_, Postgres>, event: Received<()>) -> HandlerResult {
        self.function.call(&self.state, tx, event).await
    }
}

impl<M: 'static, H: Handler<M>> Handler<(HandlerPolicy, M)> for Configured<H> {
    type Event = H::Event;

    fn handle(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        event: Received<Self::Event>,
    ) -> impl Future<Output = HandlerResult> + Send {
        self.handler.handle(tx, event)
    }

    fn policy(&self) -> HandlerPolicy {
        self.policy.clone()
    }
}

impl<M: 'static, H: BatchHandler<M>> BatchHandler<(HandlerPolicy, M)> for Configured<H> {
    type Event = H::Event;

    fn handle(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        events: Vec<Received<Self::Event>>,
    ) -> impl Future<Output = HandlerResult> + Send {
        self.handler.handle(tx, events)
    }

    fn policy(&self) -> HandlerPolicy {
        self.policy.clone()
    }
}

impl<M: 'static, H: RawHandler<M>> RawHandler<(HandlerPolicy, M)> for Configured<H> {
    fn handle(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        event: Received<()>,
    ) -> impl Future<Output = HandlerResult> + Send {
        self.handler.handle(tx, event)
    }

    fn policy(&self) -> HandlerPolicy {
        self.policy.clone()
    }
}
