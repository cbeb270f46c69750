//! Instants as Debezium writes them, and back.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

pub(super) fn micros(at: OffsetDateTime) -> i64 {
    // Years have four digits here, so 64 bits hold the microseconds.
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}

pub(super) fn from_micros(micros: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::UNIX_EPOCH.checked_add(Duration::microseconds(micros))
}

pub(super) fn from_millis(millis: i64) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::from_unix_timestamp(millis.div_euclid(1_000)).ok()?;
    at.replace_millisecond(u16::try_from(millis.rem_euclid(1_000)).ok()?).ok()
}

/// `io.debezium.time.ZonedTimestamp`: UTC with six digits of the second.
pub(super) fn zoned(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    let sign = if at.year() < 0 { "-" } else { "" };
    format!(
        "{sign}{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        at.year().unsigned_abs(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.microsecond()
    )
}

pub(super) fn from_zoned(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}
