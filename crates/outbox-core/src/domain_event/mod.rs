mod kind;
mod read;
mod variant;

pub use self::kind::EventKind;

use self::kind::same;
use crate::event::names::{short_text, topic_legal};

/// A typed event, known to producer and consumer alike.
///
/// The producer needs `Serialize` in addition, the consumer `DeserializeOwned`. A service that only consumes an event
/// derives or implements [`IncomingEvent`] instead.
///
/// ```
/// use outbox_core::{DomainEvent, OutboxEvent};
///
/// #[derive(DomainEvent, serde::Serialize, serde::Deserialize)]
/// #[event(aggregate_type = "order", version = 2)]
/// struct OrderCreated {
///     #[event(aggregate_id)]
///     order_id: u64,
///     quantity: u32,
/// }
///
/// let event = OutboxEvent::from_event(&OrderCreated { order_id: 7, quantity: 2 }).build()?;
/// assert_eq!(event.aggregate_id().as_str(), "7");
/// assert_eq!((event.event_type().as_str(), event.schema_version()), ("OrderCreated", 2));
/// # Ok::<(), outbox_core::Error>(())
/// ```
///
/// # Enums
/// An enum unites the events of an aggregate. Each variant is an event type: by its own name, by `event_type`, or by
/// the typed event that it holds. Producers publish any of them, and one handler can `match` on all.
///
/// ```
/// # use outbox_core::{DomainEvent, OutboxEvent, Payload};
/// # #[derive(DomainEvent, serde::Serialize, serde::Deserialize)]
/// # #[event(aggregate_type = "order", version = 2)]
/// # struct OrderCreated {
/// #     #[event(aggregate_id)]
/// #     order_id: u64,
/// #     quantity: u32,
/// # }
/// #[derive(DomainEvent, serde::Serialize, serde::Deserialize)]
/// #[event(aggregate_type = "order")]
/// enum OrderEvent {
///     Created(OrderCreated),
///     #[event(event_type = "OrderCancelled")]
///     Cancelled {
///         #[event(aggregate_id)]
///         order_id: u64,
///         reason: String,
///     },
/// }
///
/// let event = OutboxEvent::from_event(&OrderEvent::Cancelled { order_id: 7, reason: "late".into() }).build()?;
/// assert_eq!(event.event_type().as_str(), "OrderCancelled");
/// assert_eq!(event.payload(), &Payload::json(r#"{"order_id":7,"reason":"late"}"#)?);
///
/// let event = OutboxEvent::from_event(&OrderEvent::Created(OrderCreated { order_id: 7, quantity: 2 })).build()?;
/// assert_eq!((event.event_type().as_str(), event.schema_version()), ("OrderCreated", 2));
/// # Ok::<(), outbox_core::Error>(())
/// ```
///
/// The payload is what the variant holds, without a tag. So a consumer may read it as a struct, and a struct can become
/// a variant later. The event type selects the variant, and serde's options for tags are rejected.
///
/// # Without the macro
/// ```
/// # use outbox_core::DomainEvent;
/// struct OrderPaid {
///     shop: u32,
///     order: u64,
/// }
///
/// impl DomainEvent for OrderPaid {
///     const AGGREGATE_TYPE: &'static str = "order";
///     const EVENT_TYPE: &'static str = "OrderPaid";
///
///     fn aggregate_id(&self) -> String {
///         format!("{}/{}", self.shop, self.order)
///     }
/// }
/// ```
///
/// # What does not compile
/// An event without an aggregate id:
///
/// ```compile_fail
/// # use outbox_core::DomainEvent;
/// #[derive(DomainEvent, serde::Serialize)]
/// #[event(aggregate_type = "order")]
/// struct OrderCreated {
///     order_id: u64, // lacks #[event(aggregate_id)]
/// }
/// ```
///
/// An aggregate id that cannot be written as text:
///
/// ```compile_fail,E0277
/// # use outbox_core::DomainEvent;
/// #[derive(DomainEvent, serde::Serialize)]
/// #[event(aggregate_type = "order")]
/// struct OrderCreated {
///     #[event(aggregate_id)]
///     ids: Vec<u64>,
/// }
/// ```
///
/// A variant that holds an event of another aggregate:
///
/// ```compile_fail,E0080
/// # use outbox_core::{DomainEvent, OutboxEvent};
/// #[derive(DomainEvent, serde::Serialize)]
/// #[event(aggregate_type = "customer")]
/// struct Renamed {
///     #[event(aggregate_id)]
///     customer: u64,
/// }
///
/// #[derive(DomainEvent, serde::Serialize)]
/// #[event(aggregate_type = "order")]
/// enum OrderEvent {
///     Renamed(Renamed),
/// }
///
/// let event = OutboxEvent::from_event(&OrderEvent::Renamed(Renamed { customer: 1 }));
/// ```
///
/// Code that uses an event whose constants break a rule:
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
/// let event = OutboxEvent::from_event(&Renamed);
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
/// # let event = OutboxEvent::from_event(&Renamed);
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
/// # let event = OutboxEvent::from_event(&Renamed);
/// ```
pub trait DomainEvent {
    /// The [`AggregateType`](crate::event::AggregateType); the topic is made of it.
    const AGGREGATE_TYPE: &'static str;

    /// The [`EventType`](crate::event::EventType), unique within the aggregate type. For an enum of events it is only
    /// the name of the enum, and [`KINDS`](Self::KINDS) has the event types.
    const EVENT_TYPE: &'static str;

    /// The version of the payload's schema that this type reads and writes, from 1. For an enum of events,
    /// [`KINDS`](Self::KINDS) has the versions.
    const SCHEMA_VERSION: u32 = 1;

    /// The event types of this type: one, or one for each variant of an enum of events.
    const KINDS: &'static [EventKind] = &[EventKind::new(Self::EVENT_TYPE, Self::SCHEMA_VERSION)];

    /// A check of the other constants, which enqueue evaluates at compile time.
    #[doc(hidden)]
    const LEGAL: () = legal(Self::AGGREGATE_TYPE, Self::KINDS);

    /// Returns the [`AggregateId`](crate::event::AggregateId): which aggregate the event belongs to.
    fn aggregate_id(&self) -> String;

    /// Returns which of [`KINDS`](Self::KINDS) this event is.
    fn kind(&self) -> EventKind {
        EventKind::new(Self::EVENT_TYPE, Self::SCHEMA_VERSION)
    }
}

/// A typed event as a consumer needs it: which events a handler takes.
///
/// Every [`DomainEvent`] is one. Derive or implement this trait alone if the service only consumes the event. The
/// options are those of `DomainEvent`, also for enums.
///
/// ```
/// use outbox_core::IncomingEvent;
///
/// #[derive(IncomingEvent, serde::Deserialize)]
/// #[event(aggregate_type = "order")]
/// struct OrderCreated {
///     quantity: u32,
/// }
///
/// assert_eq!(OrderCreated::EVENT_TYPE, "OrderCreated");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a typed event",
    note = "derive `IncomingEvent`, or `DomainEvent` if the service also produces it"
)]
pub trait IncomingEvent {
    /// The [`AggregateType`](crate::event::AggregateType), of which the topic is made.
    const AGGREGATE_TYPE: &'static str;

    /// The [`EventType`](crate::event::EventType); for an enum of events, the name of the enum.
    const EVENT_TYPE: &'static str;

    /// The newest version of the payload's schema that this type reads, from 1. For an enum of events,
    /// [`KINDS`](Self::KINDS) has the versions.
    const SCHEMA_VERSION: u32 = 1;

    /// The event types that this type reads: one, or one for each variant of an enum of events.
    const KINDS: &'static [EventKind] = &[EventKind::new(Self::EVENT_TYPE, Self::SCHEMA_VERSION)];

    /// A check of the other constants, which handlers of the event evaluate at compile time.
    #[doc(hidden)]
    const LEGAL: () = legal(Self::AGGREGATE_TYPE, Self::KINDS);
}

impl<E: DomainEvent> IncomingEvent for E {
    const AGGREGATE_TYPE: &'static str = <E as DomainEvent>::AGGREGATE_TYPE;
    const EVENT_TYPE: &'static str = <E as DomainEvent>::EVENT_TYPE;
    const SCHEMA_VERSION: u32 = <E as DomainEvent>::SCHEMA_VERSION;
    const KINDS: &'static [EventKind] = <E as DomainEvent>::KINDS;
}

impl EventKind {
    /// Returns the kind of a variant that holds nothing but an event of the same aggregate type. Another aggregate type
    /// does not compile if it is evaluated in a constant.
    ///
    /// # Panics
    /// `E` is of another aggregate type, or is an enum of events.
    #[must_use]
    pub const fn from_event<E: IncomingEvent>(position: u32, aggregate_type: &str) -> Self {
        assert!(
            same(E::AGGREGATE_TYPE, aggregate_type),
            "the variant's event is of another aggregate type than the enum"
        );
        assert!(E::KINDS.len() == 1, "the variant holds an enum of events: only one event belongs in it");
        Self::from_variant(position, E::EVENT_TYPE, E::SCHEMA_VERSION)
    }
}

const fn legal(aggregate_type: &str, kinds: &[EventKind]) {
    assert!(topic_legal(aggregate_type).is_ok(), "AGGREGATE_TYPE: 1 to 249 characters of A-Z a-z 0-9 . _ -");
    let mut rest = kinds;
    while let [kind, others @ ..] = rest {
        let version = kind.schema_version();
        assert!(short_text(kind.event_type()).is_ok(), "EVENT_TYPE: 1 to 255 bytes without control characters");
        assert!(version >= 1 && version <= 2_147_483_647, "SCHEMA_VERSION: 1 to 2147483647");

        let mut behind = others;
        while let [other, more @ ..] = behind {
            assert!(!same(kind.event_type(), other.event_type()), "KINDS: two variants have the same event type");
            behind = more;
        }
        rest = others;
    }
}
