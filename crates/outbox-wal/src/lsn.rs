use std::fmt;
use std::str::FromStr;

/// A place in PostgreSQL's write-ahead log (`pg_lsn`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// Creates an LSN from the number that the replication protocol carries.
    #[must_use]
    pub const fn new(lsn: u64) -> Self {
        Self(lsn)
    }

    /// Returns the number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// The text is not of the form `16/B374D848`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position in the WAL has the form 16/B374D848")]
#[non_exhaustive]
pub struct ParseLsnError;

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, ParseLsnError> {
        let half = |digits: &str| {
            let is_hex = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
            if is_hex { u64::from_str_radix(digits, 16).map_err(|_| ParseLsnError) } else { Err(ParseLsnError) }
        };
        let (high, low) = text.split_once('/').ok_or(ParseLsnError)?;
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_form_of_postgresql() {
        assert_eq!("16/B374D848".parse(), Ok(Lsn(0x16_B374_D848)));
        assert_eq!(Lsn(0x16_0000_0001).to_string(), "16/1");
        for bad in ["", "1", "/", "1/", "g/1", "+1/1", "1/123456789"] {
            assert_eq!(bad.parse::<Lsn>(), Err(ParseLsnError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_and_number_agree(number in any::<u64>()) {
            prop_assert_eq!(Lsn(number).to_string().parse(), Ok(Lsn(number)));
        }
    }
}
