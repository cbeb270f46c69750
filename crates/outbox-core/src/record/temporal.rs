use time::OffsetDateTime;

use super::instant;
use crate::ColumnType;
use crate::connector::TimePrecision;

/// The form of a date, a time or a `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temporal {
    Days,
    Millis,
    Micros,
    Nanos,
    /// A text of ISO 8601.
    Iso,
    /// A logical type of Connect: a text in headers, milliseconds or days in JSON.
    Connect,
}

/// A value of such a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    Day(i64),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970.
    Instant(i64),
}

const DAY: i64 = 86_400_000_000;

impl Temporal {
    pub(super) fn of(ty: ColumnType, precision: TimePrecision) -> Option<Self> {
        use ColumnType::{Date, TimeMillis, TimestampMillis};
        use TimePrecision as P;
        ty.is_time().then_some(match (precision, ty) {
            // With `structured` no such column is used: see `contradictions::in_forms`.
            (P::Connect | P::Structured, _) => Self::Connect,
            (P::IsoString, _) => Self::Iso,
            (_, Date) => Self::Days,
            (P::Milliseconds, _) => Self::Millis,
            (P::Nanoseconds, _) => Self::Nanos,
            (P::Microseconds, _) | (P::AdaptiveTimeMicroseconds, TimeMillis) => Self::Micros,
            (_, TimeMillis | TimestampMillis) => Self::Millis,
            _ => Self::Micros,
        })
    }

    pub(super) fn is_number(self) -> bool {
        self != Self::Iso && self != Self::Connect
    }

    pub(super) fn text(self, moment: Moment) -> String {
        let micros = match moment {
            Moment::Day(day) if self == Self::Days => return day.to_string(),
            Moment::Day(day) => day.saturating_mul(DAY),
            Moment::Time(micros) | Moment::Instant(micros) => micros,
        };
        match self {
            Self::Days | Self::Micros => micros.to_string(),
            Self::Millis => micros.div_euclid(1_000).to_string(),
            Self::Nanos => micros.saturating_mul(1_000).to_string(),
            Self::Iso => iso(moment, micros),
            Self::Connect => connect(micros),
        }
    }

    /// Returns the name of the schema.
    pub(super) fn schema(self, ty: ColumnType) -> (&'static str, &'static str) {
        use ColumnType::{Date, TimeMicros, TimeMillis};
        match (self, ty) {
            (Self::Connect, Date) => ("int32", "org.apache.kafka.connect.data.Date"),
            (Self::Connect, TimeMillis | TimeMicros) => ("int32", "org.apache.kafka.connect.data.Time"),
            (Self::Connect, _) => ("int64", "org.apache.kafka.connect.data.Timestamp"),
            (Self::Iso, Date) => ("string", "io.debezium.time.IsoDate"),
            (Self::Iso, TimeMillis | TimeMicros) => ("string", "io.debezium.time.IsoTime"),
            (Self::Iso, _) => ("string", "io.debezium.time.IsoTimestamp"),
            (Self::Days, _) => ("int32", "io.debezium.time.Date"),
            (Self::Millis, TimeMillis | TimeMicros) => ("int32", "io.debezium.time.Time"),
            (Self::Micros, TimeMillis | TimeMicros) => ("int64", "io.debezium.time.MicroTime"),
            (Self::Nanos, TimeMillis | TimeMicros) => ("int64", "io.debezium.time.NanoTime"),
            (Self::Millis, _) => ("int64", "io.debezium.time.Timestamp"),
            (Self::Micros, _) => ("int64", "io.debezium.time.MicroTimestamp"),
            (Self::Nanos, _) => ("int64", "io.debezium.time.NanoTimestamp"),
        }
    }

    /// Reads an instant that was written in this form.
    pub(super) fn instant(self, text: &str) -> Option<OffsetDateTime> {
        match self {
            Self::Millis => instant::from_millis(text.parse().ok()?),
            Self::Micros => instant::from_micros(text.parse().ok()?),
            Self::Nanos => instant::from_micros(text.parse::<i64>().ok()?.div_euclid(1_000)),
            Self::Connect if !text.contains('T') && text.ends_with('Z') => {
                instant::from_zoned(&format!("1970-01-01T{text}"))
            }
            Self::Connect if !text.contains('T') => instant::from_zoned(&format!("{text}T00:00:00Z")),
            Self::Days | Self::Iso | Self::Connect => instant::from_zoned(text),
        }
    }
}

/// Writes `2026-01-02Z`, `03:04:05.678Z` or `2026-01-02T03:04:05.678Z`, with as many digits as needed.
fn iso(moment: Moment, micros: i64) -> String {
    let fraction = match micros.rem_euclid(1_000_000) {
        0 => String::new(),
        fraction => format!(".{fraction:06}").trim_end_matches('0').to_owned(),
    };
    let (date, time) = (date(micros), format!("{}{fraction}", clock(micros)));
    match moment {
        Moment::Day(_) => format!("{date}Z"),
        Moment::Time(_) => format!("{time}Z"),
        Moment::Instant(_) => format!("{date}T{time}Z"),
    }
}

/// Writes an instant as Connect's `Values` writes a `java.util.Date`, of which it does not know the type: an instant
/// before 1970-01-02 is written as a time, and midnight as a date.
fn connect(micros: i64) -> String {
    let (date, time) = (date(micros), clock(micros));
    let millis = micros.rem_euclid(1_000_000) / 1_000;
    if micros < DAY {
        format!("{time}.{millis:03}Z")
    } else if micros.rem_euclid(DAY) < 1_000 {
        date
    } else {
        format!("{date}T{time}.{millis:03}Z")
    }
}

fn date(micros: i64) -> String {
    instant::from_micros(micros).map(instant::date).unwrap_or_default()
}

fn clock(micros: i64) -> String {
    let seconds = micros.rem_euclid(DAY) / 1_000_000;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Returns a `timetz` as a time in UTC, such as `01:04:05.678901Z`.
pub(super) fn zoned_time((micros, offset): (i64, i64)) -> String {
    if micros == DAY && offset == 0 {
        return "24:00:00Z".to_owned();
    }
    iso(Moment::Time(0), (micros - offset).rem_euclid(DAY))
}
