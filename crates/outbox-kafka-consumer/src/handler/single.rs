use deadpool_postgres::Transaction;
use outbox_core::IncomingEvent;
use serde::de::DeserializeOwned;

use super::function::{HandlerFn, StatefulFn, With};
use super::{Configured, HandlerPolicy, HandlerResult};
use crate::Received;

/// A handler of the events of one type.
///
/// Every `async fn(&Transaction<'_>, Received<E>) -> HandlerResult` is a handler, and so is
/// [`with`](super::with)`(state, f)` for an `async fn(&State, &Transaction<'_>, Received<E>) -> HandlerResult`.
/// Implement it for a type of your own if that is clearer. `Marker` only keeps these apart: leave it out.
///
/// # Delivery
/// - The handler's statements and the fact that its event was handled commit in one transaction, after it returned
///   `Ok`. So each event takes effect once, even if its record is delivered twice. Do not commit or roll back yourself:
///   a COMMIT fails, and either pauses the partition at the event.
/// - Change settings such as role and `search_path` by `SET LOCAL` or `set_config(…, true)`. An event whose handler
///   does gets its own transaction, unless it sets them back. `SET` outlives the transaction: the consumer undoes it,
///   closes the connection, and pauses the partition after the event. Custom settings such as `app.tenant` are only
///   checked if [`Builder::custom_settings`](crate::Builder::custom_settings) names them.
/// - The transaction is shared with other events that came at the same time; what it locks is kept until they are done.
///   A statement waits at most 100 ms for a lock while several events share it, and for nearly a quarter of the
///   [lease](crate::Builder::lease_ttl) if an event is alone. After a conflict, or if an event fails,
///   the events are handed over again in smaller transactions.
/// - An event is handed over again after an error, a crash or a lost connection, and then the effects of the earlier
///   attempt are not in the database. Effects outside of the transaction are repeated.
/// - Events of one aggregate come in order, one after the other. Those of different aggregates come at the same time.
/// - A statement, or a pause between two, may take nearly half of the [lease](crate::Builder::lease_ttl).
/// - The future may be dropped at any await when the consumer stops; the transaction is then rolled back.
/// - A handler must not block its thread, which other tasks of the runtime share, those that renew the leases among
///   them: use `tokio::task::spawn_blocking`. If it blocks for longer than the lease, other consumers take the
///   partitions over, and the event is handled again.
///
/// # Another event in the same transaction
/// A handler may enqueue events; they are published if, and only if, its effect commits:
/// ```
/// # use outbox_core::{IncomingEvent, OutboxEvent};
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Received, deadpool_postgres::Transaction, with};
/// # use outbox_pg::PgOutbox;
/// # #[derive(serde::Deserialize)] struct OrderCreated { order_id: i64 }
/// # impl IncomingEvent for OrderCreated {
/// #     const AGGREGATE_TYPE: &'static str = "order";
/// #     const EVENT_TYPE: &'static str = "OrderCreated";
/// # }
/// async fn bill(outbox: &PgOutbox, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
///     let order = event.event().order_id;
///     tx.execute("INSERT INTO bill (order_id) VALUES ($1)", &[&order]).await?;
///     let billed = OutboxEvent::builder("bill", order.to_string(), "Billed").caused_by(event.envelope());
///     outbox.enqueue(tx, &billed.build()?).await?;
///     Ok(())
/// }
///
/// # fn example(builder: Builder, outbox: PgOutbox) -> Builder {
/// builder.on(with(outbox, bill))
/// # }
/// ```
///
/// # All events of an aggregate
/// The event may be an enum of events: the handler is then called for each of its event types.
/// ```
/// # use outbox_core::IncomingEvent;
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Received, deadpool_postgres::Transaction};
/// #[derive(IncomingEvent, serde::Deserialize)]
/// #[event(aggregate_type = "order")]
/// enum OrderEvent {
///     #[event(event_type = "OrderCreated")]
///     Created { order_id: i64, quantity: i32 },
///     #[event(event_type = "OrderCancelled")]
///     Cancelled { order_id: i64 },
/// }
///
/// async fn stock(tx: &Transaction<'_>, event: Received<OrderEvent>) -> HandlerResult {
///     let (order, reserved) = match event.event() {
///         OrderEvent::Created { order_id, quantity } => (order_id, *quantity),
///         OrderEvent::Cancelled { order_id } => (order_id, 0),
///     };
///     tx.execute("UPDATE stock SET reserved = $2 WHERE order_id = $1", &[order, &reserved]).await?;
///     Ok(())
/// }
///
/// # fn example(builder: Builder) -> Builder {
/// builder.on(stock)
/// # }
/// ```
///
/// # What does not compile
/// A handler has to be `Send`:
/// ```compile_fail
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Received, deadpool_postgres::Transaction};
/// async fn not_send(_: &Transaction<'_>, event: Received<()>) -> HandlerResult {
///     let local = std::rc::Rc::new(1);
///     std::future::ready(()).await;
///     drop(local);
///     Ok(())
/// }
/// # fn example(builder: Builder) {
/// builder.on_raw("order", "OrderCreated", not_send);
/// # }
/// ```
/// It has to take the transaction:
/// ```compile_fail
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Received};
/// async fn no_transaction(event: Received<()>) -> HandlerResult {
///     Ok(())
/// }
/// # fn example(builder: Builder) {
/// builder.on_raw("order", "OrderCreated", no_transaction);
/// # }
/// ```
/// And its event has to be an [`IncomingEvent`]:
/// ```compile_fail
/// # use outbox_kafka_consumer::{Builder, HandlerResult, Received, deadpool_postgres::Transaction};
/// async fn no_event(_: &Transaction<'_>, event: Received<String>) -> HandlerResult {
///     Ok(())
/// }
/// # fn example(builder: Builder) {
/// builder.on(no_event);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of events",
    note = "a handler is an `async fn(&Transaction<'_>, Received<E>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, handler)`"
)]
pub trait Handler<Marker = ()>: Send + Sync + 'static {
    /// The event that it handles.
    type Event: IncomingEvent + DeserializeOwned + Send + 'static;

    /// Handles one event within the transaction.
    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        event: Received<Self::Event>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a;

    /// Returns the settings that differ from the builder's; none by default.
    fn policy(&self) -> HandlerPolicy {
        HandlerPolicy::new()
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

impl<S, E, F> Handler<fn(S, E)> for With<S, F>
where
    S: Send + Sync + 'static,
    E: IncomingEvent + DeserializeOwned + Send + 'static,
    F: for<'a> StatefulFn<'a, S, Received<E>>,
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

impl<M: 'static, H: Handler<M>> Handler<(HandlerPolicy, M)> for Configured<H> {
    type Event = H::Event;

    fn handle<'a>(
        &'a self,
        tx: &'a Transaction<'a>,
        event: Received<Self::Event>,
    ) -> impl Future<Output = HandlerResult> + Send + 'a {
        self.handler.handle(tx, event)
    }

    fn policy(&self) -> HandlerPolicy {
        self.policy.clone()
    }
}
