use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::bounded::{Bounded, FromText, Id};

/// An order as it is stored and answered.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Order {
    pub(crate) id: i64,
    pub(super) customer_id: i64,
    pub(super) product_id: i64,
    pub(super) quantity: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub(super) created_at: OffsetDateTime,
}

/// The number of pieces of a product.
type Quantity = Bounded<1, 10_000>;

/// An order as a client sends it. All of its fields are within their bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    pub(crate) customer_id: Id,
    pub(crate) product_id: Id,
    pub(crate) quantity: Quantity,
}

/// An order as the form of the page sends it, in texts.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderForm {
    customer_id: FromText<Id>,
    product_id: FromText<Id>,
    quantity: FromText<Quantity>,
}

impl From<OrderForm> for NewOrder {
    fn from(form: OrderForm) -> Self {
        Self { customer_id: form.customer_id.0, product_id: form.product_id.0, quantity: form.quantity.0 }
    }
}

impl NewOrder {
    /// Returns an order for the poison event of a demonstration.
    pub(crate) const fn sample() -> Self {
        Self { customer_id: Bounded::LEAST, product_id: Bounded::LEAST, quantity: Bounded::LEAST }
    }

    /// Returns whether a stored order is this one.
    pub(super) fn is_stored_as(&self, order: &Order) -> bool {
        (self.customer_id.get(), self.product_id.get(), self.quantity.get())
            == (order.customer_id, order.product_id, i64::from(order.quantity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_three_whole_numbers_within_their_bounds() {
        let json = r#"{"quantity":10000,"product_id":101,"customer_id":9223372036854775807}"#;
        let order: NewOrder = serde_json::from_str(json).unwrap();
        assert_eq!((order.customer_id.get(), order.quantity.get()), (i64::MAX, 10_000));
        for quantity in ["0", "-0", "-1", "10001", "99999999999999999999", "1.0", "1e2", "\"1\"", "null", "true", "[]"]
        {
            let json = json.replace("10000", quantity);
            assert!(serde_json::from_str::<NewOrder>(&json).is_err(), "{json}");
        }
    }
}
