/// A typed event, known to producer and consumer alike.
///
/// The producer needs `Serialize` beside it, the consumer `DeserializeOwned`.
///
/// ```
/// use outbox_core::{DomainEvent, OutboxEvent};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct OrderCreated {
///     order_id: u64,
///     quantity: u32,
/// }
///
/// impl DomainEvent for OrderCreated {
///     const AGGREGATE_TYPE: &'static str = "order";
///     const EVENT_TYPE: &'static str = "OrderCreated";
///
///     fn aggregate_id(&self) -> String {
///         self.order_id.to_string()
///     }
/// }
///
/// let event = OutboxEvent::of(&OrderCreated { order_id: 7, quantity: 2 }).build()?;
/// assert_eq!(event.aggregate_id().as_str(), "7");
/// # Ok::<(), outbox_core::Error>(())
/// ```
pub trait DomainEvent {
    /// The [`AggregateType`](crate::AggregateType); the topic is made of it.
    const AGGREGATE_TYPE: &'static str;

    /// The [`EventType`](crate::EventType), unique within the aggregate type.
    const EVENT_TYPE: &'static str;

    /// The version of the payload's schema that this type reads and writes, from 1.
    const SCHEMA_VERSION: u32 = 1;

    /// The [`AggregateId`](crate::AggregateId): which aggregate the event belongs to.
    fn aggregate_id(&self) -> String;
}
