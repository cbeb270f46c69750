use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A W3C `traceparent` (Trace Context, level 1): `00-<trace id>-<parent id>-<flags>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Traceparent(Box<str>);

impl Traceparent {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Traceparent {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match check(text) {
            Ok(()) => Ok(Self(text.into())),
            Err(rule) => Err(Error::rule("traceparent", text, rule)),
        }
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a header by the W3C's rules. As they demand, a later version may have more parts.
fn check(text: &str) -> Result<(), &'static str> {
    let hex =
        |part: &str, len: usize| part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));

    let mut parts = text.splitn(5, '-');
    let (Some(version), Some(trace), Some(parent), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("it has the form 00-<32 hex>-<16 hex>-<2 hex>");
    };

    if !hex(version, 2) || !hex(trace, 32) || !hex(parent, 16) || !hex(flags, 2) {
        Err("it has the form 00-<32 hex>-<16 hex>-<2 hex>, in lower case")
    } else if version == "ff" {
        Err("version ff is forbidden")
    } else if trace.bytes().all(|b| b == b'0') || parent.bytes().all(|b| b == b'0') {
        Err("trace id and parent id are not all zeros")
    } else if parts.next().is_some() && version == "00" {
        Err("version 00 has four parts")
    } else if text.len() > 255 || text.chars().any(char::is_control) {
        Err("it has at most 255 bytes without control characters")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_specification() {
        for good in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
        ] {
            assert_eq!(good.parse::<Traceparent>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert_eq!(bad.parse::<Traceparent>().unwrap_err().field(), Some("traceparent"), "{bad}");
        }
    }
}
