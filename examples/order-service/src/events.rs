use outbox_core::DomainEvent;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// An order was placed. Producer and consumer share this type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OrderCreated {
    /// The order.
    pub order_id: i64,
    /// Who ordered.
    pub customer_id: i64,
    /// The product that was ordered.
    pub product_id: i64,
    /// How many of it.
    pub quantity: i32,
    /// When it was stored, in RFC 3339.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

impl DomainEvent for OrderCreated {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderCreated";

    fn aggregate_id(&self) -> String {
        self.order_id.to_string()
    }
}
