//! An `interval` as Debezium writes it.

use crate::connector::IntervalForm;
use crate::layout::Interval;

/// Debezium's average.
const DAYS_OF_MONTH: f64 = 30.4375;

pub(super) fn text(interval: Interval, form: IntervalForm) -> String {
    match form {
        IntervalForm::Numeric => all_micros(interval).to_string(),
        IntervalForm::Text => {
            let Interval { years, months, days, hours, minutes, micros } = interval;
            format!("P{years}Y{months}M{days}DT{hours}H{minutes}M{}S", seconds(micros))
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Java cuts off as well")]
fn all_micros(interval: Interval) -> i64 {
    let months = f64::from(interval.years.wrapping_mul(12).wrapping_add(interval.months));
    let days = months * DAYS_OF_MONTH + f64::from(interval.days);
    let minutes = (days * 24.0 + f64::from(interval.hours)) * 60.0 + f64::from(interval.minutes);
    let seconds = f64::from(interval.micros / 1_000_000) + f64::from(interval.micros % 1_000_000) / 1e6;
    ((minutes * 60.0 + seconds) * 1e6) as i64
}

fn seconds(micros: i32) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    let fraction = format!("{:06}", micros % 1_000_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", micros / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_in_both_forms() {
        for (text, iso, micros) in [
            ("00:00:00", "P0Y0M0DT0H0M0S", "0"),
            ("1 year 2 mons 3 days 04:05:06.789", "P1Y2M3DT4H5M6.789S", "37091106789000"),
            ("-1 mons -2 days -03:04:05.000001", "P0Y-1M-2DT-3H-4M-5.000001S", "-2813645000001"),
            ("1 day -00:00:01.5", "P0Y0M1DT0H0M-1.5S", "86398500000"),
            ("1 day", "P0Y0M1DT0H0M0S", "86400000000"),
        ] {
            let interval = Interval::parse(text).unwrap();
            assert_eq!(super::text(interval, IntervalForm::Text), iso, "{text}");
            assert_eq!(super::text(interval, IntervalForm::Numeric), micros, "{text}");
        }
        for text in ["", "x", "1", "1 week", "2562047788:00:54.775807", "01:02", "P1D"] {
            assert_eq!(Interval::parse(text), None, "{text}");
        }
    }
}
