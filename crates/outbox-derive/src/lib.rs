//! The derive macros of `outbox-core`, which re-exports them and documents them at its traits `DomainEvent` and
//! `IncomingEvent`.

mod expand;
mod options;
mod serde_options;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use self::expand::Role;

/// Implements the trait `DomainEvent` for a struct, or for an enum with one event type per variant.
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

/// Implements the trait `IncomingEvent`, for a service that only consumes the event: the options are those of
/// `DomainEvent`, and an aggregate id is not needed.
#[proc_macro_derive(IncomingEvent, attributes(event))]
pub fn incoming_event(input: TokenStream) -> TokenStream {
    derive(Role::Incoming, &parse_macro_input!(input as DeriveInput))
}

fn derive(role: Role, input: &DeriveInput) -> TokenStream {
    expand::event(role, input).unwrap_or_else(|error| error.to_compile_error()).into()
}
