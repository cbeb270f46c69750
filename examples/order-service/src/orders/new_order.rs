use std::ops::RangeInclusive;

use axum::http::StatusCode;
use serde_json::value::RawValue;

use super::fields::Fields;
use crate::problem::{FieldError, Problem};

/// An order that may be stored: it has passed every rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewOrder {
    pub(super) customer_id: i64,
    pub(super) product_id: i64,
    pub(super) quantity: i32,
}

const IDS: RangeInclusive<i64> = 1..=i64::MAX;
const QUANTITIES: RangeInclusive<i64> = 1..=10_000;
/// How many fields too many are named: an answer must not grow far beyond its request.
const MOST_ERRORS: usize = 20;

impl NewOrder {
    /// Parses the body of a request, and names all that is wrong with it at once.
    pub(super) fn from_json(body: &[u8]) -> Result<Self, Problem> {
        let Fields(members) = serde_json::from_slice(body).map_err(|e| refused(body, &e))?;
        let mut errors = Vec::new();
        let [mut customer_id, mut product_id, mut quantity] = [None, None, None];
        for (name, value) in &members {
            let slot = match name.as_str() {
                "customer_id" => &mut customer_id,
                "product_id" => &mut product_id,
                "quantity" => &mut quantity,
                _ => {
                    errors.push(FieldError::new(shortened(name), "there is no such field"));
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                errors.push(FieldError::new(name, "it is there more than once"));
            }
        }
        errors.truncate(MOST_ERRORS);
        let mut number = |name: &str, value: Option<&Box<RawValue>>, range| {
            let number = match value {
                None => Err("it is missing".to_owned()),
                Some(value) => whole_number(value.get(), &range),
            };
            number.unwrap_or_else(|detail| {
                errors.push(FieldError::new(name, detail));
                0
            })
        };
        let customer_id = number("customer_id", customer_id, IDS);
        let product_id = number("product_id", product_id, IDS);
        let quantity = number("quantity", quantity, QUANTITIES);
        match (errors.is_empty(), i32::try_from(quantity)) {
            (true, Ok(quantity)) => Ok(Self { customer_id, product_id, quantity }),
            _ => Err(Problem::of_fields(StatusCode::UNPROCESSABLE_ENTITY, errors)),
        }
    }
}

fn refused(body: &[u8], error: &serde_json::Error) -> Problem {
    if error.is_data() {
        return Problem::of_field(StatusCode::UNPROCESSABLE_ENTITY, "body", "it has to be a JSON object");
    }
    let detail = if body.is_empty() { "it is empty".to_owned() } else { format!("it is not JSON: {error}") };
    Problem::of_field(StatusCode::BAD_REQUEST, "body", detail)
}

fn whole_number(text: &str, range: &RangeInclusive<i64>) -> Result<i64, String> {
    let (low, high) = (range.start(), range.end());
    let wanted = format!("it has to be a whole number from {low} to {high}");
    if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        let found = match text.as_bytes().first() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'n') => "null",
            _ => "a boolean",
        };
        return Err(format!("{wanted}, not {found}"));
    }
    if text.contains(['.', 'e', 'E']) {
        return Err(format!("{wanted}, written without point and exponent"));
    }
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(wanted),
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_three_whole_numbers() {
        let order = NewOrder::from_json(br#" {"quantity":10000,"product_id":101,"customer_id":9223372036854775807} "#);
        assert_eq!(order.unwrap(), NewOrder { customer_id: i64::MAX, product_id: 101, quantity: 10_000 });
    }

    #[test]
    fn a_number_has_neither_point_nor_exponent_and_keeps_to_its_range() {
        for text in ["1", "10000"] {
            assert!(whole_number(text, &QUANTITIES).is_ok(), "{text}");
        }
        for text in
            ["0", "-0", "-1", "10001", "99999999999999999999", "1.0", "1e2", "\"1\"", "null", "true", "[]", "{}"]
        {
            assert!(whole_number(text, &QUANTITIES).is_err(), "{text}");
        }
    }
}
