use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A W3C `tracestate` (Trace Context, level 1): up to 32 members `key=value`, which the systems of a trace add.
///
/// It belongs to a [`Traceparent`](crate::event::Traceparent). It may be dropped in transit: a table without a column
/// for it, and a connector that does not place it, are no errors.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tracestate(Box<str>);

impl Tracestate {
    /// The specification asks systems to pass on at least this much.
    const MAX_BYTES: usize = 512;
    const MAX_MEMBERS: usize = 32;

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tracestate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let members =
            text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty());
        let is_member = |member: &str| member.split_once('=').is_some_and(|(key, _)| is_key(key));
        let is_printable = |byte: u8| byte == b'\t' || (b' '..=b'~').contains(&byte);

        // The value belongs to other systems, so it is not in the message.
        let refuse = |rule| Err(Error::rule("tracestate", &format!("({} bytes)", text.len()), rule));
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return refuse("it has 1 to 512 bytes");
        }
        if !text.bytes().all(is_printable) {
            return refuse("it has printable ASCII characters only");
        }
        match members.clone().count() {
            1..=Self::MAX_MEMBERS if members.clone().all(is_member) => Ok(Self(text.into())),
            1..=Self::MAX_MEMBERS => refuse("its members have the form key=value, with a key of a-z 0-9 _ - * / @"),
            _ => refuse("it has 1 to 32 members"),
        }
    }
}

fn is_key(key: &str) -> bool {
    let is_of_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte);
    (1..=256).contains(&key.len()) && key.bytes().all(is_of_key)
}

impl fmt::Display for Tracestate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tracestate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tracestate({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_specification() {
        let many = (0..32).map(|n| format!("k{n}=v")).collect::<Vec<_>>();
        for good in
            ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "a=1, b=2 ,,\tc=", "fw529a3039@dt=x y!", &many.join(",")]
        {
            assert_eq!(good.parse::<Tracestate>().unwrap().as_str(), good);
        }
        let more = many.join(",") + ",k32=v";
        for bad in ["", ",", "a", "=1", "A=1", "a=1\n", "a=é", &more, &format!("a={}", "x".repeat(511))] {
            assert_eq!(bad.parse::<Tracestate>().unwrap_err().field(), Some("tracestate"), "{bad}");
        }
    }
}
