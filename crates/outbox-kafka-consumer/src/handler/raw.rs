use deadpool_postgres::Transaction;

use super::function::{HandlerFn, StatefulFn, With};
use super::{Configured, HandlerPolicy, HandlerResult};
use crate::Received;

/// A handler that reads the payload of an event itself, from [`Received::envelope`](crate::Received::envelope).
///
/// Every `async fn(&Transaction<'_>, Received<()>) -> HandlerResult` is one, and so is [`with`](super::with)`(state,
/// f)`. The guarantees of a [`Handler`](super::Handler) apply here, too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no raw handler of events",
    note = "a raw handler is an `async fn(&Transaction<'_>, Received<()>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, handler)`"
)]
pub trait RawHandler<Marker = ()>: Send + Sync + 'static {
    /// Handles one event within the transaction.
    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        event: Received<()>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a;

    /// Returns the settings that differ from the builder's; none by default.
    fn policy(&self) -> HandlerPolicy {
        HandlerPolicy::new()
    }
}

impl<F: for<'a> HandlerFn<'a, Received<()>>> RawHandler<fn()> for F {
    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        event: Received<()>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.call(tx, event)
    }
}

impl<S, F> RawHandler<fn(S)> for With<S, F>
where
    S: Send + Sync + 'static,
    F: for<'a> StatefulFn<'a, S, Received<()>>,
{
    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        event: Received<()>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.function.call(&self.state, tx, event)
    }
}

impl<M: 'static, H: RawHandler<M>> RawHandler<(HandlerPolicy, M)> for Configured<H> {
    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        event: Received<()>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.handler.handle(tx, event)
    }

    fn policy(&self) -> HandlerPolicy {
        self.policy.clone()
    }
}
