use std::str;

use outbox_core::bytes::Bytes;
use outbox_core::layout::{ColumnType, ColumnValue};
use outbox_core::time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time};
use outbox_core::uuid::Uuid;

use super::error::BadValue;

/// Reads a value in PostgreSQL's text form.
pub fn parse(ty: ColumnType, text: &[u8]) -> Result<ColumnValue, BadValue> {
    match ty {
        ColumnType::Uuid => Uuid::try_parse_ascii(text).map(ColumnValue::Uuid).map_err(|_| BadValue::Form),
        ColumnType::Bytea => bytea(text).map(ColumnValue::Bytes),
        ColumnType::Integer => utf8(text)?.parse().map(ColumnValue::Integer).map_err(|_| BadValue::Form),
        ColumnType::Boolean => match text {
            b"t" => Ok(ColumnValue::Boolean(true)),
            b"f" => Ok(ColumnValue::Boolean(false)),
            _ => Err(BadValue::Form),
        },
        ColumnType::TimestampMillis | ColumnType::TimestampMicros | ColumnType::Timestamptz => {
            parse_instant(text).map(ColumnValue::Instant)
        }
        // Text, varchar, json, jsonb and other types: the text itself.
        _ => utf8(text).map(|text| ColumnValue::Text(text.to_owned())),
    }
}

fn utf8(text: &[u8]) -> Result<&str, BadValue> {
    str::from_utf8(text).map_err(|_| BadValue::Form)
}

/// Reads both forms of `bytea_output`. They are distinguishable: `escape` writes a backslash as two.
fn bytea(text: &[u8]) -> Result<Bytes, BadValue> {
    match text.strip_prefix(b"\\x") {
        Some(digits) => hex(digits),
        None => escaped(text),
    }
}

fn hex(digits: &[u8]) -> Result<Bytes, BadValue> {
    let (pairs, []) = digits.as_chunks::<2>() else { return Err(BadValue::Form) };
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    bytes.map(Bytes::from).ok_or(BadValue::Form)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn escaped(mut text: &[u8]) -> Result<Bytes, BadValue> {
    let mut bytes = Vec::with_capacity(text.len());
    loop {
        text = match text {
            [] => return Ok(bytes.into()),
            [b'\\', b'\\', rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest
            }
            [b'\\', ..] => return Err(BadValue::Form),
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

/// Reads a `timestamp` or `timestamptz` in DateStyle ISO. Without an offset it is read as UTC.
fn parse_instant(text: &[u8]) -> Result<OffsetDateTime, BadValue> {
    if matches!(text, b"infinity" | b"-infinity") {
        return Err(BadValue::Infinite);
    }

    let (text, is_bc) = match text.strip_suffix(b" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut rest = Digits(text);
    let date = rest.date(is_bc)?;
    rest.literal(b' ')?;
    let time = rest.time()?;
    let instant = PrimitiveDateTime::new(date, time).assume_utc();
    match rest.offset()? {
        0 => Ok(instant),
        offset => instant.checked_sub(Duration::seconds(offset)).ok_or(BadValue::OutOfRange),
    }
}

struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn date(&mut self, is_bc: bool) -> Result<Date, BadValue> {
        let year = self.number(4, 6)?;
        // The year before 1 is 1 BC.
        let year = if is_bc { 1_i32.checked_sub(year).ok_or(BadValue::OutOfRange)? } else { year };
        self.literal(b'-')?;
        let month = u8::try_from(self.number(2, 2)?).ok().and_then(|month| Month::try_from(month).ok());
        self.literal(b'-')?;
        let day = self.two()?;
        Date::from_calendar_date(year, month.ok_or(BadValue::Form)?, day).map_err(|_| BadValue::OutOfRange)
    }

    fn time(&mut self) -> Result<Time, BadValue> {
        let hour = self.two()?;
        self.literal(b':')?;
        let minute = self.two()?;
        self.literal(b':')?;
        let second = self.two()?;
        let micros = if self.skips(b'.') { self.fraction()? } else { 0 };
        Time::from_hms_micro(hour, minute, second, micros).map_err(|_| BadValue::OutOfRange)
    }

    /// Reads the seconds east of Greenwich: `+02`, `-03:30`, `+00:53:28`, or nothing.
    fn offset(&mut self) -> Result<i64, BadValue> {
        let sign = match self.0.first() {
            None => return Ok(0),
            _ if self.skips(b'+') => 1,
            _ if self.skips(b'-') => -1,
            _ => return Err(BadValue::Form),
        };
        let mut seconds = 3_600 * i64::from(self.two()?);
        if self.skips(b':') {
            seconds += 60 * i64::from(self.two()?);
        }

        if self.skips(b':') {
            seconds += i64::from(self.two()?);
        }
        if self.0.is_empty() { Ok(sign * seconds) } else { Err(BadValue::Form) }
    }

    fn fraction(&mut self) -> Result<u32, BadValue> {
        let before = self.0.len();
        let digits = self.number(1, 6)?;
        let count = u32::try_from(before - self.0.len()).map_err(|_| BadValue::Form)?;
        Ok(digits.unsigned_abs() * 10_u32.pow(6_u32.saturating_sub(count)))
    }

    fn two(&mut self) -> Result<u8, BadValue> {
        self.number(2, 2).and_then(|number| u8::try_from(number).map_err(|_| BadValue::Form))
    }

    fn number(&mut self, least: usize, most: usize) -> Result<i32, BadValue> {
        let (mut number, mut count) = (0_i32, 0);
        while let Some((digit, rest)) = self.0.split_first()
            && digit.is_ascii_digit()
            && count < most
        {
            number = number * 10 + i32::from(digit - b'0');
            count += 1;
            self.0 = rest;
        }
        if count < least { Err(BadValue::Form) } else { Ok(number) }
    }

    fn literal(&mut self, byte: u8) -> Result<(), BadValue> {
        if self.skips(byte) { Ok(()) } else { Err(BadValue::Form) }
    }

    fn skips(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_that_are_not_of_their_type() {
        for (ty, text) in [
            (ColumnType::Uuid, "x"),
            (ColumnType::Integer, "2147483648"),
            (ColumnType::Boolean, "true"),
            (ColumnType::Bytea, "\\x0"),
            (ColumnType::Bytea, "\\x0g"),
            (ColumnType::Bytea, "\\400"),
            (ColumnType::Bytea, "\\1"),
        ] {
            assert_eq!(parse(ty, text.as_bytes()), Err(BadValue::Form), "{text}");
        }
        assert_eq!(parse(ColumnType::Text, b"\xff"), Err(BadValue::Form));
    }

    proptest! {
        #[test]
        fn both_forms_of_bytea(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let escape: Vec<u8> = bytes.iter().flat_map(|byte| match byte {
                b'\\' => b"\\\\".to_vec(),
                0x20..=0x7e => vec![*byte],
                _ => format!("\\{byte:03o}").into_bytes(),
            }).collect();
            let expected = ColumnValue::Bytes(bytes.into());
            prop_assert_eq!(parse(ColumnType::Bytea, format!("\\x{hex}").as_bytes()), Ok(expected.clone()));
            prop_assert_eq!(parse(ColumnType::Bytea, &escape), Ok(expected));
        }
    }
}

#[cfg(test)]
mod instant_tests {
    use outbox_core::time::format_description::well_known::Rfc3339;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_forms_of_postgresql() {
        for (text, rfc3339) in [
            ("2026-11-23 15:32:36", "2026-11-23T15:32:36Z"),
            ("2026-11-23 15:32:36.5", "2026-11-23T15:32:36.5Z"),
            ("2026-11-23 15:32:36.000001+00", "2026-11-23T15:32:36.000001Z"),
            ("2026-01-01 00:15:00+05:30", "2025-12-31T18:45:00Z"),
            ("1900-01-01 00:00:00+00:53:28", "1899-12-31T23:06:32Z"),
            ("2026-11-23 23:00:00-03", "2026-11-24T02:00:00Z"),
        ] {
            assert_eq!(parse_instant(text.as_bytes()), Ok(OffsetDateTime::parse(rfc3339, &Rfc3339).unwrap()), "{text}");
        }
        assert_eq!(parse_instant(b"0044-03-15 00:00:00 BC").unwrap().year(), -43);
    }

    #[test]
    fn what_no_instant_can_be() {
        for (text, reason) in [
            ("infinity", BadValue::Infinite),
            ("-infinity", BadValue::Infinite),
            ("10000-01-01 00:00:00", BadValue::OutOfRange),
            ("2026-13-01 00:00:00", BadValue::Form),
            ("2026-02-30 00:00:00", BadValue::OutOfRange),
            ("23.11.2026 15:32:36", BadValue::Form),
            ("2026-11-23 15:32:36.1234567", BadValue::Form),
            ("2026-11-23 15:32:36 UTC", BadValue::Form),
            ("2026-11-23", BadValue::Form),
            ("", BadValue::Form),
        ] {
            assert_eq!(parse_instant(text.as_bytes()), Err(reason), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_instant_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_instant(&bytes);
        }

        #[test]
        fn instants_come_back(micros in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            let instant = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap();
            let text = format!(
                "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00",
                instant.year(), u8::from(instant.month()), instant.day(),
                instant.hour(), instant.minute(), instant.second(), instant.microsecond()
            );
            prop_assert_eq!(parse_instant(text.as_bytes()), Ok(instant));
        }
    }
}
