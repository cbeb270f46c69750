//! PostgreSQL's text form of types whose values are kept as text.

use time::{OffsetDateTime, UtcOffset};

use super::{ColumnType, Interval, hstore};

/// Returns whether the text is a value of the type that a record can hold.
pub(super) fn is_of(ty: ColumnType, text: &str) -> bool {
    match ty {
        ColumnType::Smallint => text.parse::<i16>().is_ok(),
        ColumnType::Integer => text.parse::<i32>().is_ok(),
        ColumnType::Bigint => text.parse::<i64>().is_ok(),
        ColumnType::Real => text.parse::<f32>().is_ok(),
        ColumnType::Double => text.parse::<f64>().is_ok(),
        ColumnType::Decimal(_) | ColumnType::Numeric => is_decimal(text),
        ColumnType::Boolean => matches!(text, "t" | "f"),
        ColumnType::Date => epoch_day(text).is_some(),
        ColumnType::TimeMillis | ColumnType::TimeMicros => micros_of_day(text).is_some(),
        ColumnType::Uuid => uuid::Uuid::try_parse(text).is_ok(),
        ColumnType::Text
        | ColumnType::Json
        | ColumnType::Jsonb
        | ColumnType::Xml
        | ColumnType::Tsvector
        | ColumnType::Ltree => true,
        ColumnType::Bytea => bytea(text).is_some(),
        ColumnType::Bit => matches!(text, "0" | "1"),
        ColumnType::Bits => bits(text).is_some(),
        ColumnType::TimestampMillis | ColumnType::TimestampMicros | ColumnType::Timestamptz => instant(text).is_some(),
        ColumnType::Hstore => hstore::pairs(text).is_some(),
        ColumnType::Timetz => zoned_micros_of_day(text).is_some(),
        ColumnType::Interval => Interval::parse(text).is_some(),
        ColumnType::Money => money(text).is_some(),
        ColumnType::Array(element) => {
            array_elements(text).is_some_and(|all| all.iter().flatten().all(|text| is_of(*element, text)))
        }
        _ => false,
    }
}

/// Returns whether the text is digits with a sign and a fraction, if any: `numeric` has no exponent, and its NaN and
/// infinities are in no record.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the days since 1970 of a date such as `2026-01-02` or `0044-03-15 BC`.
pub(crate) fn epoch_day(text: &str) -> Option<i64> {
    let (text, is_bc) = text.strip_suffix(" BC").map_or((text, false), |text| (text, true));
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (i64::from(parts.next()??), i64::from(parts.next()??), i64::from(parts.next()??));
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The year before 1 is 1 BC.
    let year = if is_bc { 1 - year } else { year };

    // Years begin in March here, so that a leap day is the last day of a year: each five of the months before it have
    // 153 days.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    const EPOCH: i64 = 719_468;
    Some(365 * year + leap_days + day_of_year - EPOCH)
}

/// Returns the microseconds of a time such as `23:59:59.123456`; PostgreSQL also has `24:00:00`.
pub(crate) fn micros_of_day(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.splitn(3, ':').map(|part| part.parse::<u32>().ok());
    let (hours, minutes, seconds) = (i64::from(parts.next()??), i64::from(parts.next()??), i64::from(parts.next()??));
    if hours > 24 || minutes > 59 || seconds > 59 || fraction.len() > 6 {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}

/// Returns the microseconds of a `timetz` such as `03:04:05.678901+02`, and those that its offset is east of Greenwich.
pub(crate) fn zoned_micros_of_day(text: &str) -> Option<(i64, i64)> {
    let (clock, offset) = text.split_at_checked(text.rfind(['+', '-'])?)?;
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let mut parts = offset.get(1..)?.splitn(3, ':').map(|part| part.parse::<u32>().ok().map(i64::from));
    let (hours, minutes, seconds) =
        (parts.next()??, parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
    Some((micros_of_day(clock)?, sign * ((hours * 60 + minutes) * 60 + seconds) * 1_000_000))
}

/// Returns the amount of a `money` such as `$1,234.50` or `-$0.05`, without the sign of the currency.
pub(crate) fn money(text: &str) -> Option<String> {
    let (sign, amount) = text.strip_prefix('-').map_or(("", text), |amount| ("-", amount));
    let digits = amount.trim_start_matches(|c: char| !c.is_ascii_digit()).replace(',', "");
    let plain = format!("{sign}{digits}");
    is_decimal(&plain).then_some(plain)
}

/// Returns a timestamp such as `2026-01-02 03:04:05.678901+00`, or a date.
pub(super) fn instant(text: &str) -> Option<OffsetDateTime> {
    let (date, clock) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    let (clock, offset) = match clock.rfind(['+', '-']) {
        Some(at) => clock.split_at_checked(at)?,
        None => (clock, "+00"),
    };
    let offset = if offset.len() == 3 { format!("{offset}:00") } else { offset.to_owned() };
    let at = format!("{date}T{clock}{offset}");
    let at = OffsetDateTime::parse(&at, &time::format_description::well_known::Rfc3339).ok()?;
    Some(at.to_offset(UtcOffset::UTC))
}

/// Returns the microseconds since 1970 of a timestamp.
pub(crate) fn epoch_micros(text: &str) -> Option<i64> {
    i64::try_from(instant(text)?.unix_timestamp_nanos().div_euclid(1_000)).ok()
}

/// Returns the bytes of a `bytea` such as `\x00ff`.
pub(crate) fn bytea(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.strip_prefix("\\x")?.as_bytes().as_chunks::<2>() else { return None };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
}

/// Returns the bytes of a `bit` or `varbit` such as `1000000001`, the lowest first, without zeros at the end.
pub(crate) fn bits(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for (index, digit) in text.bytes().rev().enumerate() {
        if index % 8 == 0 {
            bytes.push(0);
        }
        match (digit, bytes.last_mut()) {
            (b'0', _) => {}
            (b'1', Some(byte)) => *byte |= 1 << (index % 8),
            _ => return None,
        }
    }

    while bytes.pop_if(|byte| *byte == 0).is_some() {}
    Some(bytes)
}

/// Returns the elements of an array of one dimension, such as `{1,NULL,"a\"b"}`; NULL is `None`.
pub(crate) fn array_elements(text: &str) -> Option<Vec<Option<String>>> {
    // Bounds other than from 1 are written before: [0:1]={…}
    let text = if text.starts_with('[') { text.split_once('=')?.1 } else { text };
    let mut rest = text.strip_prefix('{')?.strip_suffix('}')?.chars().peekable();
    let mut elements = Vec::new();

    if rest.peek().is_none() {
        return Some(elements);
    }

    loop {
        let mut element = String::new();
        let is_quoted = rest.next_if_eq(&'"').is_some();

        loop {
            match (rest.next(), is_quoted) {
                (Some('\\'), _) => element.push(rest.next()?),
                (Some('"'), true) => break,
                // A nested array.
                (Some('{' | '}' | '"'), false) | (None, true) => return None,
                (Some(c), _) => element.push(c),
                (None, false) => break,
            }
            if !is_quoted && matches!(rest.peek(), Some(',') | None) {
                break;
            }
        }
        elements.push((is_quoted || element != "NULL").then_some(element));

        match rest.next() {
            Some(',') => {}
            None => return Some(elements),
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        for (text, day) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2026-01-02", 20_455),
            ("0001-01-01", -719_162),
            ("0001-12-31 BC", -719_163),
            ("10000-01-01", 2_932_897),
        ] {
            assert_eq!(epoch_day(text), Some(day), "{text}");
        }
        assert_eq!(epoch_day("infinity"), None);
        assert_eq!(epoch_day("2026-13-01"), None);
    }

    #[test]
    fn times_are_counted_from_midnight() {
        assert_eq!(micros_of_day("00:00:01.5"), Some(1_500_000));
        assert_eq!(micros_of_day("24:00:00"), Some(86_400_000_000));
        assert_eq!(micros_of_day("00:00"), None);
    }

    #[test]
    fn arrays_are_taken_apart() {
        let some = |texts: &[&str]| Some(texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>());
        assert_eq!(array_elements("{}"), some(&[]));
        assert_eq!(array_elements("{1,-2}"), some(&["1", "-2"]));
        assert_eq!(array_elements(r#"{"a,\"b","NULL","",c d}"#), some(&["a,\"b", "NULL", "", "c d"]));
        assert_eq!(array_elements("[0:0]={7}"), some(&["7"]));
        assert_eq!(array_elements("{NULL}"), Some(vec![None]));
        for text in ["{{1},{2}}", "{\"a}", "1", "", "{1", "{\"a\"b}"] {
            assert_eq!(array_elements(text), None, "{text}");
        }
    }

    #[test]
    fn texts_that_are_not_of_their_type() {
        for (ty, text) in [
            (ColumnType::Smallint, "32768"),
            (ColumnType::Bigint, "9223372036854775808"),
            (ColumnType::Decimal(2), "NaN"),
            (ColumnType::Numeric, "1e3"),
            (ColumnType::Date, "infinity"),
            (ColumnType::TimeMicros, "25:00:00"),
            (ColumnType::Array(&ColumnType::Integer), "{a}"),
            (ColumnType::Bytea, "x"),
            (ColumnType::Bits, "102"),
            (ColumnType::Money, "$1.2.3"),
            (ColumnType::Timetz, "03:04:05"),
            (ColumnType::TimestampMicros, "infinity"),
        ] {
            assert!(!is_of(ty, text), "{text}");
        }
    }
}
