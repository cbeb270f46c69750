use crate::event::names::{short_text, topic_legal};

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
///
/// What uses an event whose constants break a rule does not build:
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

    /// Evaluated, when they are compiled, by enqueue and by handlers of the event: the other constants keep their rules.
    #[doc(hidden)]
    const LEGAL: () = {
        assert!(topic_legal(Self::AGGREGATE_TYPE).is_ok(), "AGGREGATE_TYPE: 1 to 249 characters of A-Z a-z 0-9 . _ -");
        assert!(short_text(Self::EVENT_TYPE).is_ok(), "EVENT_TYPE: 1 to 255 bytes without control characters");
        assert!(Self::SCHEMA_VERSION >= 1 && Self::SCHEMA_VERSION <= 2_147_483_647, "SCHEMA_VERSION: 1 to 2147483647");
    };

    /// The [`AggregateId`](crate::AggregateId): which aggregate the event belongs to.
    fn aggregate_id(&self) -> String;
}
