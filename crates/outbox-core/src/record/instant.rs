//! Instants as Debezium writes them, and back.

use time::format_description::well_known::Rfc3339;
use time::{Date, Duration, OffsetDateTime, Time};

pub(super) fn micros(at: OffsetDateTime) -> i64 {
    // Years have four digits here, so 64 bits hold the microseconds.
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}

pub(super) fn from_micros(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::UNIX_EPOCH.checked_add(Duration::microseconds(micros))
}

pub(super) fn from_millis(millis: i64) -> Option<OffsetDateTime> {
    const EPOCH: i64 = time::UtcDateTime::UNIX_EPOCH.to_julian_day() as i64;
    const DAY: i64 = 86_400_000;
    let date = Date::from_julian_day(i32::try_from(EPOCH + millis.div_euclid(DAY)).ok()?).ok()?;
    let of_day = u32::try_from(millis.rem_euclid(DAY)).ok()?;
    let (seconds, milli) = (of_day / 1_000, u16::try_from(of_day % 1_000).ok()?);
    let part = |number: u32| u8::try_from(number).ok();
    let time =
        Time::from_hms_milli(part(seconds / 3_600)?, part(seconds / 60 % 60)?, part(seconds % 60)?, milli).ok()?;
    Some(OffsetDateTime::new_utc(date, time))
}

/// Writes `io.debezium.time.ZonedTimestamp`: UTC with six digits of the second.
pub(crate) fn zoned(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!("{}T{:02}:{:02}:{:02}.{:06}Z", date(at), at.hour(), at.minute(), at.second(), at.microsecond())
}

/// Writes the date with four digits of the year.
pub(super) fn date(at: OffsetDateTime) -> String {
    let sign = if at.year() < 0 { "-" } else { "" };
    format!("{sign}{:04}-{:02}-{:02}", at.year().unsigned_abs(), u8::from(at.month()), at.day())
}

pub(super) fn from_zoned(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn milliseconds_are_the_instant_that_they_count_to(
            millis in prop_oneof![any::<i64>(), -400_000_000_000_000..400_000_000_000_000_i64],
        ) {
            let nanos = i128::from(millis) * 1_000_000;
            prop_assert_eq!(from_millis(millis), OffsetDateTime::from_unix_timestamp_nanos(nanos).ok());
        }
    }
}
