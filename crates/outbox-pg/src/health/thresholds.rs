//! The limits that users may set. A limit is a field, its default, a method that sets it, and a function `of_…` that
//! makes the indicator. Limits that nobody sets are constants next to their indicator.

use std::time::Duration;

use super::{Indicator, IndicatorStatus, Measure};

/// The limits at which an indicator becomes a warning, and at which it becomes critical.
#[derive(Clone, Debug)]
pub struct Thresholds {
    wal_held_back: [u64; 2],
    unconfirmed: [Duration; 2],
    horizon: [Duration; 2],
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const GIB: u64 = 1 << 30;

impl Default for Thresholds {
    /// Returns the defaults: WAL held back 1 and 10 GiB; unconfirmed for 1 and 10 minutes; partitions for less than 3
    /// days and 1 day.
    fn default() -> Self {
        Self {
            wal_held_back: [GIB, 10 * GIB],
            unconfirmed: [Duration::from_secs(60), Duration::from_secs(600)],
            horizon: [3 * DAY, DAY],
        }
    }
}

impl Thresholds {
    /// Sets the bytes of WAL that the slot may hold back: more than this is reported.
    #[must_use]
    pub fn wal_held_back(self, warning: u64, critical: u64) -> Self {
        Self { wal_held_back: [warning, critical], ..self }
    }

    /// Sets the age of an unconfirmed row: older than this is reported.
    #[must_use]
    pub fn unconfirmed(self, warning: Duration, critical: Duration) -> Self {
        Self { unconfirmed: [warning, critical], ..self }
    }

    /// Sets the time for which there must be partitions ahead: less than this is reported.
    #[must_use]
    pub fn horizon(self, warning: Duration, critical: Duration) -> Self {
        Self { horizon: [warning, critical], ..self }
    }

    /// Creates an indicator by the limits of [`wal_held_back`](Self::wal_held_back).
    pub(super) fn of_wal(&self, name: &'static str, bytes: u64) -> Indicator {
        let [warning, critical] = self.wal_held_back;
        let status = above(bytes > warning, bytes > critical);
        Indicator::new(name, Measure::Bytes(bytes), status).threshold(Measure::Bytes(warning))
    }

    /// Creates an indicator by the limits of [`unconfirmed`](Self::unconfirmed), which are not for other ages.
    pub(super) fn of_age(&self, name: &'static str, age: Duration) -> Indicator {
        let [warning, critical] = self.unconfirmed;
        let status = above(age > warning, age > critical);
        Indicator::new(name, Measure::Span(age), status).threshold(Measure::Span(warning))
    }

    pub(super) fn of_unknown_age(&self, name: &'static str) -> Indicator {
        Indicator::new(name, Measure::Unknown, IndicatorStatus::Unknown).threshold(Measure::Span(self.unconfirmed[0]))
    }

    /// Creates an indicator by the limits of [`horizon`](Self::horizon).
    pub(super) fn of_horizon(&self, name: &'static str, ahead: Duration) -> Indicator {
        let [warning, critical] = self.horizon;
        let status = above(ahead < warning, ahead < critical);
        Indicator::new(name, Measure::Span(ahead), status).threshold(Measure::Span(warning))
    }
}

fn above(is_warning: bool, is_critical: bool) -> IndicatorStatus {
    match (is_warning, is_critical) {
        (_, true) => IndicatorStatus::Critical,
        (true, false) => IndicatorStatus::Warning,
        (false, false) => IndicatorStatus::Good,
    }
}
