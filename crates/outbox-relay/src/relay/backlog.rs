use std::time::{Duration, SystemTime};

/// Looks at a backlog while it is streamed: one of small transactions is read faster from a copy of the slot.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    transactions: u32,
    rows: u32,
    is_better_copied: bool,
}

/// Transactions of one look.
const LOOK: u32 = 10_000;
const SMALL: u32 = 5;
/// What is so old was not committed just now, unless the clocks of two machines are far apart; then it costs a little
/// time.
const OLD: Duration = Duration::from_secs(20);

impl Backlog {
    pub(super) fn row(&mut self) {
        self.rows = self.rows.saturating_add(1);
    }

    /// A transaction begins.
    pub(super) fn begin(&mut self, committed_at: SystemTime, now: SystemTime) {
        self.transactions += 1;
        if self.transactions == LOOK {
            let is_small = self.rows < LOOK * SMALL;
            let is_old = now.duration_since(committed_at).is_ok_and(|age| age > OLD);
            *self = Self { is_better_copied: is_small && is_old, ..Self::default() };
        }
    }

    /// Whether what follows is better read from a copy.
    pub(super) fn is_better_copied(&self) -> bool {
        self.is_better_copied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_copied(rows: u32, age: Duration) -> bool {
        let mut backlog = Backlog::default();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        (0..LOOK).any(|_| {
            (0..rows).for_each(|_| backlog.row());
            backlog.begin(now - age, now);
            backlog.is_better_copied()
        })
    }

    #[test]
    fn old_small_transactions_are_copied_and_others_streamed() {
        let old = OLD + Duration::from_secs(1);
        assert!(is_copied(1, old));
        assert!(!is_copied(1, OLD));
        assert!(!is_copied(6, old));
    }
}
