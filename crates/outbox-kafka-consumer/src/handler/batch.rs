use deadpool_postgres::Transaction;
use outbox_core::IncomingEvent;
use serde::de::DeserializeOwned;

use super::function::{HandlerFn, StatefulFn, With};
use super::{Configured, HandlerPolicy, HandlerResult};
use crate::Received;

/// Handles many events of one type at once, such as with one statement for many rows.
///
/// Every `async fn(&Transaction<'_>, Vec<Received<E>>) -> HandlerResult` is one, and so is
/// [`with`](super::with)`(state, f)` for an `async fn(&State, &Transaction<'_>, Vec<Received<E>>) -> HandlerResult`.
/// Register it with [`Builder::on_batch`](crate::Builder::on_batch).
///
/// # Delivery
/// The guarantees of a [`Handler`](super::Handler) apply to each event. In addition:
/// - The events are new to the inbox, have one transaction, and are in the order of their topic. Those of one aggregate
///   are in their order. Several of them may be of one aggregate: aggregate them before an `UPDATE … FROM`, which
///   changes each row once.
/// - If it fails, everything is rolled back, and the events are handed over again in smaller parts until the one that
///   fails is alone. Only that one follows its policy, and only then does
///   [`HandlerError::retry_after`](super::HandlerError::retry_after) or [`reject`](super::HandlerError::reject) take
///   effect.
/// - A batch is as large as the events that are waiting, up to
///   [`Builder::max_batch_size`](crate::Builder::max_batch_size) and [`HandlerPolicy::max_batch_size`].
/// - Lock shared rows in one order first, such as that of their keys, so that two calls never wait for each other in a
///   circle.
///
/// ```
/// # use outbox_core::IncomingEvent;
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Received, deadpool_postgres::Transaction};
/// # #[derive(serde::Deserialize)] struct OrderCreated { product_id: i64, quantity: i64 }
/// # impl IncomingEvent for OrderCreated {
/// #     const AGGREGATE_TYPE: &'static str = "order";
/// #     const EVENT_TYPE: &'static str = "OrderCreated";
/// # }
/// async fn reserve(tx: &Transaction<'_>, events: Vec<Received<OrderCreated>>) -> HandlerResult {
///     let (products, quantities): (Vec<i64>, Vec<i64>) =
///         events.iter().map(|event| (event.event().product_id, event.event().quantity)).unzip();
///     let lock = "SELECT FROM stock WHERE product_id = ANY ($1) ORDER BY product_id FOR UPDATE";
///     tx.execute(&tx.prepare_cached(lock).await?, &[&products]).await?;
///     let reserve = "UPDATE stock SET reserved = reserved + quantity
///         FROM (SELECT product, sum(quantity) AS quantity
///               FROM unnest($1::bigint[], $2::bigint[]) AS event (product, quantity) GROUP BY product) AS wanted
///         WHERE product_id = product";
///     tx.execute(&tx.prepare_cached(reserve).await?, &[&products, &quantities]).await?;
///     Ok(())
/// }
///
/// # fn example(builder: Builder) -> Builder {
/// builder.on_batch(reserve)
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of batches of events",
    note = "it is an `async fn(&Transaction<'_>, Vec<Received<E>>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, handler)`"
)]
pub trait BatchHandler<Marker = ()>: Send + Sync + 'static {
    /// The event that it handles.
    type Event: IncomingEvent + DeserializeOwned + Send + 'static;

    /// Handles the events within the transaction.
    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        events: Vec<Received<Self::Event>>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a;

    /// Returns the settings that differ from the builder's; none by default.
    fn policy(&self) -> HandlerPolicy {
        HandlerPolicy::new()
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

impl<S, E, F> BatchHandler<fn(S, E)> for With<S, F>
where
    S: Send + Sync + 'static,
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: for<'a> StatefulFn<'a, S, Vec<Received<E>>>,
{
    type Event = E;

    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        events: Vec<Received<E>>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.function.call(&self.state, tx, events)
    }
}

impl<M: 'static, H: BatchHandler<M>> BatchHandler<(HandlerPolicy, M)> for Configured<H> {
    type Event = H::Event;

    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        events: Vec<Received<Self::Event>>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.handler.handle(tx, events)
    }

    fn policy(&self) -> HandlerPolicy {
        self.policy.clone()
    }
}
