use std::time::Duration;

/// How far the relay reads ahead of the brokers, and how long rows wait for others, while much is known to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// The bytes of records that may be read ahead of the broker's acknowledgements.
    pub(super) ahead: usize,
    /// The same, with the rows of partitions that a broker does not acknowledge: they do not stop the others at once.
    pub(super) ahead_with_stalled: usize,
    /// The waiting bytes that are worth a request.
    pub(super) enough: usize,
    /// Rows wait at most this long for others.
    pub(super) linger: Duration,
}

/// The bytes that a batch should have. Below this, brokers spend more time on the batch than on its rows.
const BATCH: usize = 24 * 1024;
const ENOUGH: std::ops::RangeInclusive<usize> = 512 * 1024..=8 << 20;
const AHEAD: usize = 4 << 20;
const STALLED: usize = 8 << 20;
const LINGER: Duration = Duration::from_millis(10);

impl Pace {
    /// Returns the pace for rows that go to this number of partitions.
    pub(super) fn of(partitions: usize) -> Self {
        let enough = partitions.saturating_mul(BATCH).clamp(*ENOUGH.start(), *ENOUGH.end());
        // While one part is in flight, the next one is read.
        let ahead = AHEAD.max(enough * 5 / 2);
        let linger = LINGER * u32::try_from(enough / ENOUGH.start()).unwrap_or(1);
        Self { ahead, ahead_with_stalled: ahead + STALLED, enough, linger }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_many_partitions_wait_for_more_of_them() {
        assert_eq!((Pace::of(0), Pace::of(1)), (Pace::of(20), Pace::of(20)));
        let (few, many) = (Pace::of(20), Pace::of(300));
        assert_eq!((few.ahead, few.enough, few.linger), (4 << 20, 512 * 1024, Duration::from_millis(10)));
        assert!(many.enough / 300 >= 20 * 1024 && many.ahead > 2 * many.enough && many.linger > few.linger);
        assert_eq!(Pace::of(1_000), Pace::of(usize::MAX));
    }
}
