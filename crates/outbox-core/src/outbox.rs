use serde::Serialize;

use crate::{DomainEvent, Error, EventId, OutboxEvent};

/// The outbox of a service, which enqueues events in a transaction `Tx` of the service.
///
/// `Tx` is the driver's transaction handle, such as `&tokio_postgres::Transaction<'_>`, so that a bare connection
/// does not compile. A service that is generic over it:
///
/// ```
/// use outbox_core::{Error, Outbox, OutboxEvent, Pipeline, RecordingOutbox};
///
/// async fn rename<Tx: Send>(outbox: &impl Outbox<Tx>, tx: Tx) -> Result<(), Error> {
///     let event = OutboxEvent::builder("customer", "42", "CustomerRenamed").json(r#"{"name":"Ada"}"#).build()?;
///     outbox.enqueue(tx, &event).await
/// }
///
/// # fn main() -> Result<(), Error> {
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// let outbox = RecordingOutbox::new(Pipeline::recommended());
/// runtime.block_on(rename(&outbox, ()))?;
/// assert_eq!(outbox.events().len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # Delivery
/// - `Ok` says that the event is part of the transaction. It is published if, and only if, the transaction commits;
///   then at least once.
/// - Events of one aggregate are published in the order in which they were enqueued within a transaction, and in the
///   order of commits across transactions. The order of two transactions that write to the same aggregate at the same
///   time is the order of their commits: lock the aggregate's row first if this matters.
/// - An error of [`is_invalid_event`](Error::is_invalid_event) was found before any I/O, and the transaction is as it
///   was. Any other error leaves the transaction in the state that the database gives it: PostgreSQL aborts it.
/// - A dropped future may or may not have stored the event: roll the transaction back.
pub trait Outbox<Tx> {
    /// Adds one event to the transaction.
    ///
    /// # Errors
    /// The event breaks a rule of the pipeline, or the store failed; see [Delivery](#delivery).
    fn enqueue(&self, tx: Tx, event: &OutboxEvent) -> impl Future<Output = Result<(), Error>> + Send;

    /// Adds a typed event to the transaction, and returns its id: [`OutboxEvent::from_event`],
    /// [`build`](crate::EventBuilder::build) and [`enqueue`](Self::enqueue) in one call.
    ///
    /// ```
    /// # use outbox_core::{DomainEvent, Error, EventId, Outbox};
    /// # #[derive(serde::Serialize)]
    /// # struct OrderCreated { order_id: u64 }
    /// # impl DomainEvent for OrderCreated {
    /// #     const AGGREGATE_TYPE: &'static str = "order";
    /// #     const EVENT_TYPE: &'static str = "OrderCreated";
    /// #     fn aggregate_id(&self) -> String { self.order_id.to_string() }
    /// # }
    /// async fn create<Tx: Send>(outbox: &(impl Outbox<Tx> + Sync), tx: Tx) -> Result<EventId, Error> {
    ///     outbox.publish(tx, &OrderCreated { order_id: 7 }).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue), and if the event cannot be built.
    fn publish<E: DomainEvent + Serialize>(
        &self,
        tx: Tx,
        event: &E,
    ) -> impl Future<Output = Result<EventId, Error>> + Send
    where
        Self: Sync,
        Tx: Send,
    {
        let event = OutboxEvent::from_event(event).build();
        async move {
            let event = event?;
            self.enqueue(tx, &event).await?;
            Ok(event.id())
        }
    }

    /// Adds events to the transaction in their order: all of them, or none and an error.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    fn enqueue_all(&self, tx: Tx, events: &[OutboxEvent]) -> impl Future<Output = Result<(), Error>> + Send;
}
