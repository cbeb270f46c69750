//! The derive macros of `outbox-core`, which re-exports them: depend on that crate, and not on this one.
//!
//! ```
//! use outbox_core::{DomainEvent, OutboxEvent};
//!
//! #[derive(DomainEvent, serde::Serialize, serde::Deserialize)]
//! #[event(aggregate_type = "order", version = 2)]
//! struct OrderCreated {
//!     #[event(aggregate_id)]
//!     order_id: u64,
//!     quantity: u32,
//! }
//!
//! #[derive(DomainEvent, serde::Serialize, serde::Deserialize)]
//! #[event(aggregate_type = "order")]
//! enum OrderEvent {
//!     Created(OrderCreated),
//!     #[event(event_type = "OrderCancelled")]
//!     Cancelled {
//!         #[event(aggregate_id)]
//!         order_id: u64,
//!     },
//! }
//!
//! let event = OutboxEvent::from_event(&OrderEvent::Cancelled { order_id: 7 }).build()?;
//! assert_eq!(event.event_type().as_str(), "OrderCancelled");
//! # Ok::<(), outbox_core::Error>(())
//! ```
//!
//! # Enums
//!
//! Each variant of an enum is an event type. Its payload is what the variant holds, without a tag, because the record's
//! event type selects the variant. A variant that holds a typed event is that event: its event type, version and
//! aggregate id are those of the type that it holds, which must be of the same aggregate type.
//!
//! # Errors
//!
//! An option that lacks something, or contradicts another one, is a compile error at the option, with the remedy.
//! serde's options for tags, and those that skip a variant, are rejected. An aggregate id of a type without `Display`
//! is an error at the field.
//!
//! # Crates of other names
//!
//! The macros name the crate `::outbox_core`. If it has another name, such as that of a re-export, write
//! `#[event(crate = path::to::outbox_core)]`.

mod expand;
mod options;
mod serde_options;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use self::expand::Role;

/// Derives the trait `DomainEvent` for a struct, or for an enum with one event type per variant.
///
/// | option | where | meaning |
/// |---|---|---|
/// | `aggregate_type = "order"` | the type | required; the topic is made of it |
/// | `event_type = "OrderCreated"` | a struct, a variant | the name of the struct or variant unless given |
/// | `version = 2` | a struct, a variant | the schema version of the payload; 1 unless given |
/// | `aggregate_id` | a field | the field that holds the aggregate id; its type implements `Display` |
/// | `aggregate_id = path` | the type | instead of a field: a function of `&Self` that returns the aggregate id |
/// | `crate = path` | the type | the path of `outbox_core`; `::outbox_core` unless given |
///
/// All options are in the attribute `#[event(…)]`.
#[proc_macro_derive(DomainEvent, attributes(event))]
pub fn domain_event(input: TokenStream) -> TokenStream {
    derive(Role::Domain, &parse_macro_input!(input as DeriveInput))
}

/// Derives the trait `IncomingEvent`, for a service that only consumes the event: the options are those of
/// `DomainEvent`, and an aggregate id is not needed.
#[proc_macro_derive(IncomingEvent, attributes(event))]
pub fn incoming_event(input: TokenStream) -> TokenStream {
    derive(Role::Incoming, &parse_macro_input!(input as DeriveInput))
}

fn derive(role: Role, input: &DeriveInput) -> TokenStream {
    expand::event(role, input).unwrap_or_else(|error| error.to_compile_error()).into()
}
