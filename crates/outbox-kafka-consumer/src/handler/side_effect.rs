use outbox_core::IncomingEvent;
use serde::de::DeserializeOwned;

use super::function::With;
use super::{Configured, HandlerPolicy, HandlerResult};
use crate::Received;

/// A handler with effects outside of PostgreSQL: a mail, a call of another service.
///
/// Every `async fn(Received<E>) -> HandlerResult` is one, and so is [`with`](super::with)`(state, f)` for an
/// `async fn(&State, Received<E>) -> HandlerResult`.
///
/// # Delivery
/// At least once: it is called before the fact that it was called is stored, so that a crash or a lost connection
/// between the two repeats it. The other side can recognise a repetition by the event's id. After a take-over, the last
/// call of an owner that hangs may still run while the next owner makes the same call. All other guarantees of a
/// [`Handler`](super::Handler) apply here, too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of events outside of a transaction",
    note = "it is an `async fn(Received<E>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, handler)`"
)]
pub trait SideEffectHandler<Marker = ()>: Send + Sync + 'static {
    /// The event that it handles.
    type Event: IncomingEvent + DeserializeOwned + Send + 'static;

    /// Handles one event.
    fn handle(&self, event: Received<Self::Event>) -> impl Future<Output = HandlerResult> + Send;

    /// Returns the settings that differ from the builder's; none by default.
    fn policy(&self) -> HandlerPolicy {
        HandlerPolicy::new()
    }
}

impl<E, F, Fut> SideEffectHandler<fn(E)> for F
where
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: Fn(Received<E>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send,
{
    type Event = E;

    fn handle(&self, event: Received<E>) -> impl Future<Output = HandlerResult> + Send {
        self(event)
    }
}

/// A function outside of any transaction, whose future borrows its argument.
pub trait SideEffectFn<'a, A>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = HandlerResult> + Send + 'a;

    /// Calls it.
    fn call(&self, argument: A) -> Self::Future;
}

impl<'a, A, F, Fut> SideEffectFn<'a, A> for F
where
    A: 'a,
    F: Fn(A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, argument: A) -> Fut {
        self(argument)
    }
}

/// The same as [`SideEffectFn`], with state before the argument.
pub trait StatefulSideEffectFn<'a, S, A>: Send + Sync + 'static {
    /// The future that the function returns.
    type Future: Future<Output = HandlerResult> + Send + 'a;

    /// Calls it.
    fn call(&self, state: &'a S, argument: A) -> Self::Future;
}

impl<'a, S, A, F, Fut> StatefulSideEffectFn<'a, S, A> for F
where
    S: 'a,
    A: 'a,
    F: Fn(&'a S, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'a,
{
    type Future = Fut;

    fn call(&self, state: &'a S, argument: A) -> Fut {
        self(state, argument)
    }
}

impl<S, E, F> SideEffectHandler<fn(S, E)> for With<S, F>
where
    S: Send + Sync + 'static,
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: for<'a> StatefulSideEffectFn<'a, S, Received<E>>,
{
    type Event = E;

    fn handle(&self, event: Received<E>) -> impl Future<Output = HandlerResult> + Send {
        self.function.call(&self.state, event)
    }
}

impl<M: 'static, H: SideEffectHandler<M>> SideEffectHandler<(HandlerPolicy, M)> for Configured<H> {
    type Event = H::Event;

    fn handle(&self, event: Received<Self::Event>) -> impl Future<Output = HandlerResult> + Send {
        self.handler.handle(event)
    }

    fn policy(&self) -> HandlerPolicy {
        self.policy.clone()
    }
}
