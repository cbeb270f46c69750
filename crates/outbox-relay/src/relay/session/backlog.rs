use std::time::{Duration, SystemTime};

use crate::Lsn;

/// Statistics of a backlog that is streamed: one of small transactions is read faster from a copy of the slot.
#[derive(Debug, Default)]
pub(super) struct Backlog {
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
    pub(super) fn streamed_before(streamed_before: Lsn) -> Self {
        Self { streamed_before, ..Self::default() }
    }

    /// Takes a row.
    pub(super) fn row(&mut self) {
        self.rows = self.rows.saturating_add(1);
    }

    /// Takes the begin of a transaction.
    pub(super) fn begin(&mut self, commit: Lsn, committed_at: SystemTime, now: SystemTime) {
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
    pub(super) fn is_better_copied(&self) -> bool {
        self.is_better_copied
    }
}

#[cfg(test)]
mod tests {
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
