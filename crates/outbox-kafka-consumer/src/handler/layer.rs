use std::fmt;
use std::marker::PhantomData;

use deadpool_postgres::Transaction;

use super::HandlerResult;
use super::call::{Call, HandlerTx};
use super::function::{HandlerFn, StatefulFn, With};
use super::side_effect::{SideEffectFn, StatefulSideEffectFn};
use crate::Received;
use crate::driver::{NoTransaction, TokioPostgres};

/// Middleware: a function around each call of a handler, in the handler's transaction.
///
/// Every `async fn(&Transaction<'_>, Next<'_>) -> HandlerResult` is one, and so is [`with`](super::with)`(state, f)`
/// for an `async fn(&State, &Transaction<'_>, Next<'_>) -> HandlerResult`. Register it with
/// [`Builder::layer`](crate::Builder::layer). `Marker` only keeps these apart: leave it out.
///
/// ```
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Next, deadpool_postgres::Transaction};
/// async fn set_tenant(tx: &Transaction<'_>, next: Next<'_>) -> HandlerResult {
///     let tenant = next.event().envelope().headers.get("tenant").unwrap_or_default();
///     tx.execute("SELECT set_config('app.tenant', $1, true)", &[&tenant]).await?;
///     next.run(tx).await
/// }
///
/// # fn example(builder: Builder) -> Builder {
/// builder.layer(set_tenant)
/// # }
/// ```
///
/// # Calls
/// - It is called once for each call of a handler: with one event for [`on`](crate::Builder::on),
///   [`on_raw`](crate::Builder::on_raw) and [`otherwise`](crate::Builder::otherwise), and once for a whole batch for
///   [`on_batch`](crate::Builder::on_batch). An event with two handlers has two calls.
/// - Of several layers, the first that was registered is the outermost.
/// - Handlers outside of a transaction have layers of their own: see [`SideEffectLayer`].
///
/// # Delivery
/// The guarantees of a [`Handler`](super::Handler) apply here, too. In addition:
/// - Its statements commit together with the handler's, and are rolled back with them. They happen once for each event.
/// - Its result is that of the handler. An error fails the event, or the batch. `Ok` records the event as handled, also
///   if the layer did not run [`Next::run`], or ignored its error. After an error of a statement, roll back to a
///   savepoint first: PostgreSQL commits nothing of a transaction that it has aborted.
/// - Return the handler's error as it is, so that its [`retry_after`](super::HandlerError::retry_after) or
///   [`reject`](super::HandlerError::reject) keeps its effect.
/// - A payload is read in the innermost call: an event whose payload cannot be read reaches the layers, and
///   [`Next::run`] returns the error.
/// - It is part of the handler's timeout, and a panic in it counts as a failure of the event.
/// - `SET LOCAL` lasts until the end of the transaction, which other events share: set everything in each call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer around handlers",
    note = "a layer is an `async fn(&Transaction<'_>, Next<'_>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, layer)`"
)]
pub trait Layer<Marker = ()>: Send + Sync + 'static {
    /// Calls the layer, which calls [`Next::run`].
    fn call<'a>(&'a self, tx: &'a Transaction<'a>, next: Next<'a>) -> impl Future<Output = HandlerResult> + Send + 'a;
}

/// The rest of a call: the layers further in, and the handler.
///
/// `D` is the driver of the transaction.
#[must_use = "the handler is called by run()"]
pub struct Next<'a, D = TokioPostgres> {
    call: Call<'a>,
    driver: PhantomData<fn() -> D>,
}

/// The rest of a call of a handler outside of any transaction.
pub type SideEffectNext<'a> = Next<'a, NoTransaction>;

impl<'a, D> Next<'a, D> {
    pub(super) fn new(call: Call<'a>) -> Self {
        Self { call, driver: PhantomData }
    }

    /// Returns the events of the call: one, or several for a batch handler.
    #[must_use]
    pub fn events(&self) -> &[Received<()>] {
        self.call.events()
    }

    /// Returns the first event of the call, which is the only one unless the handler takes batches.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "every call has an event")]
    pub fn event(&self) -> &Received<()> {
        &self.events()[0]
    }
}

impl Next<'_> {
    /// Calls the handler, with the layers further in, in the layer's own transaction.
    ///
    /// # Errors
    /// The handler failed, its payload could not be read, or `tx` is another transaction.
    pub async fn run(self, tx: &Transaction<'_>) -> HandlerResult {
        self.call.run(HandlerTx::TokioPostgres(tx)).await
    }
}

#[cfg(feature = "sqlx")]
impl Next<'_, crate::Sqlx> {
    /// Calls the handler, with the layers further in, in the layer's own transaction or a savepoint of it.
    ///
    /// # Errors
    /// The handler failed, its payload could not be read, or `tx` is another transaction.
    pub async fn run(self, tx: &mut ::sqlx::Transaction<'_, ::sqlx::Postgres>) -> HandlerResult {
        self.call.run(HandlerTx::Sqlx(tx)).await
    }
}

impl Next<'_, NoTransaction> {
    /// Calls the handler, with the layers further in.
    ///
    /// # Errors
    /// The handler failed, or its payload could not be read.
    pub async fn run(self) -> HandlerResult {
        self.call.run(HandlerTx::Outside).await
    }
}

impl<D> fmt::Debug for Next<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("events", &self.events().len()).finish_non_exhaustive()
    }
}

impl<F: for<'a> HandlerFn<'a, Next<'a>>> Layer<fn()> for F {
    fn call<'a>(&'a self, tx: &'a Transaction<'a>, next: Next<'a>) -> impl Future<Output = HandlerResult> + Send + 'a {
        HandlerFn::call(self, tx, next)
    }
}

impl<S, F> Layer<fn(S)> for With<S, F>
where
    S: Send + Sync + 'static,
    F: for<'a> StatefulFn<'a, S, Next<'a>>,
{
    fn call<'a>(&'a self, tx: &'a Transaction<'a>, next: Next<'a>) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.function.call(&self.state, tx, next)
    }
}

/// Middleware around each call of a [handler with effects elsewhere](super::SideEffectHandler), outside of any
/// transaction.
///
/// Every `async fn(SideEffectNext<'_>) -> HandlerResult` is one, and so is [`with`](super::with)`(state, f)` for an
/// `async fn(&State, SideEffectNext<'_>) -> HandlerResult`. Register it with
/// [`Builder::layer_side_effect`](crate::Builder::layer_side_effect).
///
/// # Delivery
/// It is called at least once for each event, before the fact is stored that the event was handled. Its result is that
/// of the handler: `Ok` records the event as handled, also if the layer did not run [`Next::run`].
///
/// ```
/// # use outbox_kafka_consumer::{Builder, HandlerResult, SideEffectNext};
/// async fn measured(next: SideEffectNext<'_>) -> HandlerResult {
///     let begun = std::time::Instant::now();
///     let handled = next.run().await;
///     println!("{:?}", begun.elapsed());
///     handled
/// }
///
/// # fn example(builder: Builder) -> Builder {
/// builder.layer_side_effect(measured)
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer around handlers outside of a transaction",
    note = "it is an `async fn(SideEffectNext<'_>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, layer)`"
)]
pub trait SideEffectLayer<Marker = ()>: Send + Sync + 'static {
    /// Calls the layer, which calls [`Next::run`].
    fn call<'a>(&'a self, next: SideEffectNext<'a>) -> impl Future<Output = HandlerResult> + Send + 'a;
}

impl<F: for<'a> SideEffectFn<'a, SideEffectNext<'a>>> SideEffectLayer<fn()> for F {
    fn call<'a>(&'a self, next: SideEffectNext<'a>) -> impl Future<Output = HandlerResult> + Send + 'a {
        SideEffectFn::call(self, next)
    }
}

impl<S, F> SideEffectLayer<fn(S)> for With<S, F>
where
    S: Send + Sync + 'static,
    F: for<'a> StatefulSideEffectFn<'a, S, SideEffectNext<'a>>,
{
    fn call<'a>(&'a self, next: SideEffectNext<'a>) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.function.call(&self.state, next)
    }
}
