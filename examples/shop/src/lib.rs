//! The event that producer and consumer share.

use outbox_core::DomainEvent;

/// An order was created.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct OrderCreated {
    /// The order's number.
    pub order_id: i64,
    /// The number of pieces.
    pub quantity: i32,
}

impl OrderCreated {
    /// Creates the event.
    #[must_use]
    pub fn new(order_id: i64, quantity: i32) -> Self {
        Self { order_id, quantity }
    }
}

impl DomainEvent for OrderCreated {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderCreated";

    fn aggregate_id(&self) -> String {
        self.order_id.to_string()
    }
}

/// Returns an environment variable that the program `servers` prints.
///
/// # Errors
/// The variable is not set.
pub fn setting(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is not set: run the line that the program servers prints"))
}
