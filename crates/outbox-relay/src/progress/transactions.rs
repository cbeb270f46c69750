use std::collections::VecDeque;

use crate::Lsn;

/// The transactions that were received and are not yet confirmable, in commit order.
#[derive(Debug)]
pub(super) struct Transactions {
    pending: VecDeque<Pending>,
    /// Number of the first one in `pending`.
    first: u64,
    confirmable: Lsn,
}

/// Which transaction a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TransactionId(u64);

#[derive(Debug)]
struct Pending {
    commit: Lsn,
    /// None while the transaction is still being received.
    end: Option<Lsn>,
    unresolved: usize,
}

impl Transactions {
    pub(super) fn new(confirmed: Lsn) -> Self {
        Self { pending: VecDeque::new(), first: 0, confirmable: confirmed }
    }

    pub(super) fn begin(&mut self, commit: Lsn) {
        self.pending.push_back(Pending { commit, end: None, unresolved: 0 });
    }

    /// Adds one more row to the transaction that is being received.
    pub(super) fn add(&mut self) -> Option<TransactionId> {
        let last = self.pending.back_mut().filter(|pending| pending.end.is_none())?;
        last.unresolved += 1;
        Some(TransactionId(self.first + self.pending.len() as u64 - 1))
    }

    pub(super) fn resolve(&mut self, owner: TransactionId) {
        let index = owner.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(pending) = index.and_then(|index| self.pending.get_mut(index)) {
            pending.unresolved = pending.unresolved.saturating_sub(1);
        }
        self.release();
    }

    pub(super) fn commit(&mut self, end: Lsn) {
        let Some(last) = self.pending.pop_back() else { return };
        if last.unresolved == 0 {
            self.reached(end);
        } else {
            self.pending.push_back(Pending { end: Some(end), ..last });
        }
    }

    /// Records that everything before `at` was received. Does nothing within a transaction.
    pub(super) fn idle(&mut self, at: Lsn) {
        if self.open_commit().is_none() {
            self.reached(at);
        }
    }

    /// Returns the commit LSN of the transaction that is being received.
    pub(super) fn open_commit(&self) -> Option<Lsn> {
        self.pending.back().filter(|pending| pending.end.is_none()).map(|pending| pending.commit)
    }

    pub(super) fn confirmable(&self) -> Lsn {
        self.confirmable
    }

    /// Returns the commit before which everything is resolved: no row is unresolved whose transaction committed before
    /// this.
    pub(super) fn oldest_commit(&self) -> Option<Lsn> {
        self.pending.front().map(|pending| pending.commit)
    }

    /// Records that `lsn` was reached. If no entry waits, `lsn` is reached as soon as what was
    /// received before is resolved. That no entry is made keeps the list as short as the rows that are held.
    fn reached(&mut self, lsn: Lsn) {
        match self.pending.back_mut() {
            Some(before) => before.end = before.end.max(Some(lsn)),
            None => self.confirmable = self.confirmable.max(lsn),
        }
    }

    fn release(&mut self) {
        while let Some(Pending { end: Some(end), unresolved: 0, .. }) = self.pending.front() {
            self.confirmable = self.confirmable.max(*end);
            self.pending.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lsn(number: u64) -> Lsn {
        Lsn::new(number)
    }

    #[test]
    fn confirmable_at_the_end_of_the_last_commit_with_nothing_unresolved_before() {
        let mut transactions = Transactions::new(lsn(10));
        transactions.begin(lsn(20));
        let first = transactions.add().unwrap();
        transactions.commit(lsn(25));
        transactions.begin(lsn(30));
        let second = transactions.add().unwrap();
        transactions.commit(lsn(35));
        transactions.resolve(second);
        assert_eq!((transactions.confirmable(), transactions.oldest_commit()), (lsn(10), Some(lsn(20))));
        transactions.resolve(first);
        assert_eq!((transactions.confirmable(), transactions.oldest_commit()), (lsn(35), None));
    }

    #[test]
    fn an_open_transaction_is_not_confirmable_even_with_all_its_rows_resolved() {
        let mut transactions = Transactions::new(lsn(10));
        transactions.begin(lsn(20));
        let row = transactions.add().unwrap();
        transactions.resolve(row);
        transactions.idle(lsn(22));
        assert_eq!(transactions.confirmable(), lsn(10));
        transactions.commit(lsn(25));
        assert_eq!(transactions.confirmable(), lsn(25));
    }

    #[test]
    fn keepalives_and_empty_transactions_wait_for_what_was_received_before() {
        let mut transactions = Transactions::new(lsn(10));
        transactions.idle(lsn(12));
        assert_eq!(transactions.confirmable(), lsn(12));
        transactions.begin(lsn(20));
        let row = transactions.add().unwrap();
        transactions.commit(lsn(25));
        transactions.idle(lsn(40));
        transactions.begin(lsn(50));
        transactions.commit(lsn(55));
        assert_eq!((transactions.confirmable(), transactions.pending.len()), (lsn(12), 1));
        transactions.resolve(row);
        assert_eq!(transactions.confirmable(), lsn(55));
        transactions.idle(lsn(30));
        assert_eq!(transactions.confirmable(), lsn(55));
    }
}
