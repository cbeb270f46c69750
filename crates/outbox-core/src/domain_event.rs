use crate::event::names::{short_text, topic_legal};

/// A typed event, known to producer and consumer alike.
///
/// The producer needs `Serialize` in addition, the consumer `DeserializeOwned`. A service that only consumes an event
/// implements [`IncomingEvent`] instead.
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
///
/// Code that uses an event whose constants break a rule does not build:
///
/// ```compile_fail,E0080
/// # use outbox_core::{DomainEvent, OutboxEvent};
/// #[derive(serde::Serialize)]
/// struct Renamed;
///
/// impl DomainEvent for Renamed {
///     const AGGREGATE_TYPE: &'static str = "customer record"; // no topic has a space in its name
///     const EVENT_TYPE: &'static str = "Renamed";
///
///     fn aggregate_id(&self) -> String {
///         "42".into()
///     }
/// }
///
/// let event = OutboxEvent::of(&Renamed);
/// ```
///
/// ```compile_fail,E0080
/// # use outbox_core::{DomainEvent, OutboxEvent};
/// # #[derive(serde::Serialize)]
/// # struct Renamed;
/// # impl DomainEvent for Renamed {
/// #     const AGGREGATE_TYPE: &'static str = "customer";
/// const EVENT_TYPE: &'static str = ""; // says nothing
/// #     fn aggregate_id(&self) -> String { "42".into() }
/// # }
/// # let event = OutboxEvent::of(&Renamed);
/// ```
///
/// ```compile_fail,E0080
/// # use outbox_core::{DomainEvent, OutboxEvent};
/// # #[derive(serde::Serialize)]
/// # struct Renamed;
/// # impl DomainEvent for Renamed {
/// #     const AGGREGATE_TYPE: &'static str = "customer";
/// #     const EVENT_TYPE: &'static str = "Renamed";
/// const SCHEMA_VERSION: u32 = 0; // they begin at 1
/// #     fn aggregate_id(&self) -> String { "42".into() }
/// # }
/// # let event = OutboxEvent::of(&Renamed);
/// ```
pub trait DomainEvent {
    /// The [`AggregateType`](crate::AggregateType); the topic is made of it.
    const AGGREGATE_TYPE: &'static str;

    /// The [`EventType`](crate::EventType), unique within the aggregate type.
    const EVENT_TYPE: &'static str;

    /// The version of the payload's schema that this type reads and writes, from 1.
    const SCHEMA_VERSION: u32 = 1;

    /// Evaluated, when it is compiled, by enqueue: the other constants keep their rules.
    #[doc(hidden)]
    const LEGAL: () = legal(Self::AGGREGATE_TYPE, Self::EVENT_TYPE, Self::SCHEMA_VERSION);

    /// Returns the [`AggregateId`](crate::AggregateId): which aggregate the event belongs to.
    fn aggregate_id(&self) -> String;
}

/// A typed event as a consumer needs it: which events a handler takes.
///
/// Every [`DomainEvent`] is one. Implement this trait alone if the service only consumes the event.
///
/// ```
/// use outbox_core::IncomingEvent;
///
/// #[derive(serde::Deserialize)]
/// struct OrderCreated {
///     quantity: u32,
/// }
///
/// impl IncomingEvent for OrderCreated {
///     const AGGREGATE_TYPE: &'static str = "order";
///     const EVENT_TYPE: &'static str = "OrderCreated";
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a typed event",
    note = "implement `IncomingEvent`, or `DomainEvent` if the service also produces it"
)]
pub trait IncomingEvent {
    /// The [`AggregateType`](crate::AggregateType), of which the topic is made.
    const AGGREGATE_TYPE: &'static str;

    /// The [`EventType`](crate::EventType).
    const EVENT_TYPE: &'static str;

    /// The newest version of the payload's schema that this type reads, from 1.
    const SCHEMA_VERSION: u32 = 1;

    /// Evaluated, when it is compiled, by handlers of the event: the other constants keep their rules.
    #[doc(hidden)]
    const LEGAL: () = legal(Self::AGGREGATE_TYPE, Self::EVENT_TYPE, Self::SCHEMA_VERSION);
}

impl<E: DomainEvent> IncomingEvent for E {
    const AGGREGATE_TYPE: &'static str = <E as DomainEvent>::AGGREGATE_TYPE;
    const EVENT_TYPE: &'static str = <E as DomainEvent>::EVENT_TYPE;
    const SCHEMA_VERSION: u32 = <E as DomainEvent>::SCHEMA_VERSION;
}

const fn legal(aggregate_type: &str, event_type: &str, schema_version: u32) {
    assert!(topic_legal(aggregate_type).is_ok(), "AGGREGATE_TYPE: 1 to 249 characters of A-Z a-z 0-9 . _ -");
    assert!(short_text(event_type).is_ok(), "EVENT_TYPE: 1 to 255 bytes without control characters");
    assert!(schema_version >= 1 && schema_version <= 2_147_483_647, "SCHEMA_VERSION: 1 to 2147483647");
}
