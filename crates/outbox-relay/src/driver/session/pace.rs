use std::time::{Duration, SystemTime};

use crate::Lsn;
use outbox_net::Backoff;

/// The limits of reading ahead of the brokers, and of the time that rows wait for others, while a backlog is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The bytes of records that may be read ahead of the broker's acknowledgements.
    pub ahead: usize,
    /// The same, with the rows of partitions that a broker does not acknowledge: they do not stop the others at once.
    pub ahead_with_stalled: usize,
    /// The number of waiting bytes from which on a request is sent.
    pub enough: usize,
    /// The longest time that rows wait for others.
    pub linger: Duration,
}

/// The bytes that a batch should have. Below this, brokers spend more time on the batch than on its rows.
const BATCH: usize = 24 * 1024;
const ENOUGH: std::ops::RangeInclusive<usize> = 512 * 1024..=8 << 20;
const AHEAD: usize = 4 << 20;
const STALLED: usize = 8 << 20;
const LINGER: Duration = Duration::from_millis(10);

impl Pace {
    /// Returns the pace for rows that go to this number of partitions.
    pub fn of(partitions: usize) -> Self {
        let enough = partitions.saturating_mul(BATCH).clamp(*ENOUGH.start(), *ENOUGH.end());
        // While one part is in flight, the next one is read.
        let ahead = AHEAD.max(enough * 5 / 2);
        let linger = LINGER * u32::try_from(enough / ENOUGH.start()).unwrap_or(1);
        Self { ahead, ahead_with_stalled: ahead + STALLED, enough, linger }
    }
}

/// Statistics of a backlog that is streamed: one of small transactions is read faster from a copy of the slot.
#[derive(Debug, Default)]
pub struct Backlog {
    transactions: u32,
    rows: u32,
    is_better_copied: bool,
    /// Transactions before this position are streamed, because reading them from a copy has failed or was no faster.
    streamed_before: Lsn,
}

/// The transactions of one sample.
const SAMPLE: u32 = 10_000;
const SMALL: u32 = 5;
/// An older transaction is part of a backlog, unless the clocks of two machines are far apart. A wrong guess costs a
/// little time.
const OLD: Duration = Duration::from_secs(20);

impl Backlog {
    pub fn streamed_before(streamed_before: Lsn) -> Self {
        Self { streamed_before, ..Self::default() }
    }

    /// Takes a row.
    pub fn row(&mut self) {
        self.rows = self.rows.saturating_add(1);
    }

    /// Takes the begin of a transaction.
    pub fn begin(&mut self, commit: Lsn, committed_at: SystemTime, now: SystemTime) {
        if commit < self.streamed_before {
            return;
        }
        self.transactions += 1;
        if self.transactions == SAMPLE {
            let is_small = self.rows < SAMPLE * SMALL;
            let is_old = now.duration_since(committed_at).is_ok_and(|age| age > OLD);
            *self = Self { is_better_copied: is_small && is_old, ..Self::streamed_before(self.streamed_before) };
        }
    }

    /// Returns whether a copy of the slot is faster for the transactions that follow.
    pub fn is_better_copied(&self) -> bool {
        self.is_better_copied
    }
}

/// Returns the delays before attempts, from 20 ms up to 2 s.
pub const fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_secs(2))
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

#[cfg(test)]
mod backlog_tests {
    use super::*;

    fn is_copied(rows: u32, age: Duration) -> bool {
        is_copied_by(Backlog::default(), rows, age)
    }

    fn is_copied_by(mut backlog: Backlog, rows: u32, age: Duration) -> bool {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        (0..SAMPLE).any(|_| {
            (0..rows).for_each(|_| backlog.row());
            backlog.begin(Lsn::new(100), now - age, now);
            backlog.is_better_copied()
        })
    }

    #[test]
    fn old_small_transactions_are_copied_and_others_streamed() {
        let old = OLD + Duration::from_secs(1);
        assert!(is_copied(1, old));
        assert!(!is_copied(1, OLD));
        assert!(!is_copied(6, old));
        assert!(!is_copied_by(Backlog::streamed_before(Lsn::new(101)), 1, old));
        assert!(is_copied_by(Backlog::streamed_before(Lsn::new(100)), 1, old));
    }
}
