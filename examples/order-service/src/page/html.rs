//! The few functions that write HTML.

use std::fmt;

use time::OffsetDateTime;
use time::macros::format_description;

/// A text whose characters cannot be taken for markup.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: AsRef<str>> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            // Server-sent events cannot carry it.
            '\r' => f.write_str(" "),
            c => write!(f, "{c}"),
        })
    }
}

/// Returns a time of day in UTC, to the millisecond.
pub(super) fn time(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let clock = at.format(format_description!("[hour]:[minute]:[second].[subsecond digits:3]"));
    let machine = at.format(&time::format_description::well_known::Rfc3339);
    match (clock, machine) {
        (Ok(clock), Ok(machine)) => format!("<time datetime=\"{machine}\">{clock}</time>"),
        _ => String::new(),
    }
}

/// Returns how long after `start` something was.
pub(super) fn after(start: OffsetDateTime, at: OffsetDateTime) -> String {
    match (at - start).whole_milliseconds() {
        0 => String::new(),
        milliseconds @ -9_999..=9_999 => format!("{milliseconds:+} ms"),
        milliseconds => format!("{:+} s", milliseconds / 1_000),
    }
}

/// Returns a number of bytes in the largest unit that it fills.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut rest, mut unit) = (bytes, 0);
    while rest >= 1_024 && unit + 1 < units.len() {
        rest /= 1_024;
        unit += 1;
    }
    format!("{rest} {}", units.get(unit).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_text_stays_a_text() {
        assert_eq!(Escaped("<b a='1' c=\"2\">&\r\n").to_string(), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp; \n");
    }

    #[test]
    fn numbers_have_their_unit() {
        let start = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(after(start, start + time::Duration::milliseconds(35)), "+35 ms");
        assert_eq!(after(start, start + time::Duration::seconds(75)), "+75 s");
        assert_eq!((bytes(1_023), bytes(5 << 20)), ("1023 bytes".to_owned(), "5 MiB".to_owned()));
        assert_eq!(time(start), "<time datetime=\"1970-01-01T00:00:00Z\">00:00:00.000</time>");
    }
}
