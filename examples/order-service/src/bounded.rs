use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounded<const LEAST: i64, const MOST: i64>(i64);

/// The length of a list: 100 unless the caller asks for another one.
pub(crate) type Limit = Bounded<1, 500>;
/// The id of an order, a customer or a product.
pub(crate) type Id = Bounded<1, { i64::MAX }>;

impl<const LEAST: i64, const MOST: i64> Bounded<LEAST, MOST> {
    pub(crate) const LEAST: Self = Self(LEAST);

    pub(crate) fn get(self) -> i64 {
        self.0
    }
}

impl<'de, const LEAST: i64, const MOST: i64> Deserialize<'de> for Bounded<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(WholeNumber::<LEAST, MOST>)
    }
}

/// Reads a number. Its errors name the bounds, because clients of the interface read them.
struct WholeNumber<const LEAST: i64, const MOST: i64>;

impl<const LEAST: i64, const MOST: i64> Visitor<'_> for WholeNumber<LEAST, MOST> {
    type Value = Bounded<LEAST, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {LEAST} to {MOST}")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        if (LEAST..=MOST).contains(&number) { Ok(Bounded(number)) } else { Err(out_of_bounds(LEAST, MOST)) }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        let number = i64::try_from(number).map_err(|_| out_of_bounds(LEAST, MOST))?;
        self.visit_i64(number)
    }
}

fn out_of_bounds<E: Error>(least: i64, most: i64) -> E {
    E::custom(format_args!("it must be a whole number from {least} to {most}"))
}

/// A value of a query, a path or a form, where everything is text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FromText<T>(pub(crate) T);

impl<'de, const LEAST: i64, const MOST: i64> Deserialize<'de> for FromText<Bounded<LEAST, MOST>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
        number.map(|number| Self(Bounded(number))).ok_or_else(|| out_of_bounds(LEAST, MOST))
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}
