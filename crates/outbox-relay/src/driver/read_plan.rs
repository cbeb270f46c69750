use crate::Lsn;
use outbox_wal::StartAt;

/// The way in which the next session reads its backlog: from copies of the slot, or by the stream.
///
/// A backlog changes at most three times between the two: from the copies to the stream, back once small transactions
/// follow, and to the stream for the rest.
#[derive(Clone, Copy, Debug)]
pub struct ReadPlan {
    /// The bytes that a session reads from copies.
    step: u64,
    is_streamed: bool,
    /// Whether the backlog was streamed before, and copies were tried again.
    has_returned: bool,
    /// The end of the backlog that was found better streamed.
    backlog: Lsn,
}

/// The way in which a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    pub at: StartAt,
    /// Transactions before this position are streamed.
    pub streamed_before: Lsn,
}

impl ReadPlan {
    pub fn new(step: u64) -> Self {
        Self { step, is_streamed: false, has_returned: false, backlog: Lsn::default() }
    }

    pub fn begin(&self) -> Begin {
        let at = if self.is_streamed { StartAt::Confirmed } else { StartAt::Ahead(self.step) };
        Begin { at, streamed_before: if self.has_returned { self.backlog } else { Lsn::default() } }
    }

    /// Chooses the stream for a session that has found WAL up to `end`: the copies are slower, or cannot read the next
    /// transaction.
    pub fn stream(&mut self, end: Lsn) {
        self.is_streamed = true;
        self.backlog = self.backlog.max(end);
    }

    /// Chooses the stream for everything in the next session, because there are no copies.
    pub fn stream_all(&mut self) {
        *self = Self { is_streamed: true, has_returned: true, backlog: Lsn::new(u64::MAX), ..*self };
    }

    /// Chooses the copies for small transactions, which they read faster.
    pub fn copy(&mut self) {
        (self.is_streamed, self.has_returned) = (false, true);
    }

    /// Records the end of a session, with everything before `confirmed` confirmed.
    pub fn ended(&mut self, confirmed: Lsn) {
        if confirmed >= self.backlog || self.backlog == Lsn::new(u64::MAX) {
            *self = Self::new(self.step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_changes_three_times_whatever_breaks_off_in_between() {
        let mut plan = ReadPlan::new(7);
        let copied = Begin { at: StartAt::Ahead(7), streamed_before: Lsn::default() };
        assert_eq!(plan.begin(), copied);
        plan.ended(Lsn::new(10));
        plan.stream(Lsn::new(100));
        assert_eq!(plan.begin(), Begin { at: StartAt::Confirmed, streamed_before: Lsn::default() });
        plan.ended(Lsn::new(20));
        assert_eq!(plan.begin().at, StartAt::Confirmed, "a hold that broke off is continued by the stream");
        plan.ended(Lsn::new(30));
        plan.copy();
        assert_eq!(plan.begin().at, StartAt::Ahead(7));
        plan.ended(Lsn::new(40));
        plan.stream(Lsn::new(90));
        for confirmed in [50, 99] {
            assert_eq!(plan.begin(), Begin { at: StartAt::Confirmed, streamed_before: Lsn::new(100) });
            plan.ended(Lsn::new(confirmed));
        }

        plan.ended(Lsn::new(100));
        assert_eq!(plan.begin(), copied);

        plan.stream_all();
        assert_eq!(plan.begin().streamed_before, Lsn::new(u64::MAX));
        plan.ended(Lsn::new(110));
        assert_eq!(plan.begin(), copied);
    }
}
