use outbox_core::DomainEvent;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An order was placed. Producer and consumer share this type.
#[derive(Clone, Debug, PartialEq, Eq, DomainEvent, Serialize, Deserialize)]
#[event(aggregate_type = "order")]
#[non_exhaustive]
pub struct OrderCreated {
    /// The order.
    #[event(aggregate_id)]
    pub order_id: i64,
    /// The customer who ordered.
    pub customer_id: i64,
    /// The product that was ordered.
    pub product_id: i64,
    /// The number of pieces.
    pub quantity: i32,
    /// The time at which it was stored, in RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}
