use std::fmt::Write as _;

use time::OffsetDateTime;

/// Kafka Connect's `TimestampRouter`: it makes the record's time a part of the topic.
#[derive(Clone, Debug)]
pub(super) struct TimestampedTopic {
    topic_format: String,
    time: Vec<Part>,
}

/// A part of a `java.text.SimpleDateFormat`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A field of the time, and its least number of digits.
    Number(char, usize),
}

impl TimestampedTopic {
    /// Reads both formats, or returns why one cannot be used.
    pub(super) fn new(topic_format: &str, time_format: &str) -> Result<Self, String> {
        Ok(Self { topic_format: topic_format.to_owned(), time: parts(time_format)? })
    }

    /// Returns the topic of a record with this timestamp, in milliseconds since 1970; `None` after the year 9999.
    pub(super) fn topic(&self, topic: &str, millis: i64) -> Option<String> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
        Some(self.topic_format.replace("${topic}", topic).replace("${timestamp}", &self.time_of(at)))
    }

    fn time_of(&self, at: OffsetDateTime) -> String {
        self.time.iter().fold(String::new(), |mut text, part| {
            match *part {
                Part::Literal(ref literal) => text.push_str(literal),
                Part::Number('y', 2) => _ = write!(text, "{:02}", at.year().rem_euclid(100)),
                Part::Number(field, width) => _ = write!(text, "{:0width$}", number(field, at)),
            }
            text
        })
    }
}

fn number(field: char, at: OffsetDateTime) -> u32 {
    let hour = u32::from(at.hour());
    match field {
        'y' => at.year().unsigned_abs(),
        'M' => u32::from(u8::from(at.month())),
        'd' => at.day().into(),
        'D' => at.ordinal().into(),
        'H' => hour,
        'k' if hour == 0 => 24,
        'k' => hour,
        'K' => hour % 12,
        'h' if hour.is_multiple_of(12) => 12,
        'h' => hour % 12,
        'm' => at.minute().into(),
        's' => at.second().into(),
        _ => at.millisecond().into(),
    }
}

/// Parses a format of `java.text.SimpleDateFormat`. Fails with the reason if a part is not supported.
fn parts(format: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut chars = format.chars().peekable();

    while let Some(c) = chars.next() {
        parts.push(match c {
            '\'' if chars.next_if_eq(&'\'').is_some() => Part::Literal("'".to_owned()),
            '\'' => {
                let mut literal = String::new();
                loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => literal.push('\''),
                        Some('\'') => break,
                        Some(c) => literal.push(c),
                        None => return Err("a quotation is not closed".to_owned()),
                    }
                }
                Part::Literal(literal)
            }
            c if c.is_ascii_alphabetic() => {
                let more = std::iter::from_fn(|| chars.next_if_eq(&c)).count();
                match (c, more + 1) {
                    ('M', width @ 1..=2) => Part::Number('M', width),
                    ('M', _) => {
                        return Err("the name of the month depends on the language of Java: write MM".to_owned());
                    }
                    ('y' | 'd' | 'D' | 'H' | 'k' | 'K' | 'h' | 'm' | 's' | 'S', width) => Part::Number(c, width),
                    _ => return Err(format!("the letter {c} is not modelled: use y, M, d, D, H, k, K, h, m, s and S")),
                }
            }
            c => Part::Literal(c.into()),
        });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn time(format: &str, at: OffsetDateTime) -> String {
        TimestampedTopic::new("", format).unwrap().time_of(at)
    }

    #[test]
    fn times_are_written_as_in_java() {
        let at = datetime!(2026-01-02 00:04:05.678 UTC);
        for (format, text) in [
            ("yyyyMMdd", "20260102"),
            ("yy-M-d", "26-1-2"),
            ("y.D", "2026.2"),
            ("yyyyy", "02026"),
            ("HH'h'mm", "00h04"),
            ("h K k", "12 0 24"),
            ("ss.S", "05.678"),
            ("SSSS", "0678"),
            ("'it''s' ''d", "it's '2"),
            ("", ""),
        ] {
            assert_eq!(time(format, at), text, "{format}");
        }
        assert_eq!(time("h K k", datetime!(2026-01-02 13:00 UTC)), "1 1 13");
    }

    #[test]
    fn formats_that_depend_on_more_than_the_time_are_rejected() {
        for format in ["YYYY", "MMM", "E", "a", "'x", "yyyy-ww", "Z"] {
            assert!(parts(format).is_err(), "{format}");
        }
    }

    #[test]
    fn the_format_of_the_topic_has_both() {
        let topic = |format: &str| TimestampedTopic::new(format, "yyyy").unwrap().topic("order", 0).unwrap();
        assert_eq!(topic("${topic}-${timestamp}"), "order-1970");
        assert_eq!(topic("${timestamp}.${topic}.${topic}"), "1970.order.order");
        assert_eq!(topic("fixed"), "fixed");
    }
}
