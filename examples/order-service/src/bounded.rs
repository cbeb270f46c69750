use serde::Deserialize;

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
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

impl<const LEAST: i64, const MOST: i64> TryFrom<i64> for Bounded<LEAST, MOST> {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        if (LEAST..=MOST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("it must be a whole number from {LEAST} to {MOST}"))
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}
