use std::collections::VecDeque;

use super::row::{Row, TransactionId};
use crate::Lsn;
use crate::position::Position;

/// The state of the rows, over all partitions.
#[derive(Debug)]
pub struct Ledger {
    pub transactions: Transactions,
    pub counters: Counters,
    /// Rows that wait for their topic, are queued, or are in flight.
    pub rows: usize,
    pub bytes: usize,
    announced: Lsn,
    /// The position from which on rows are not written.
    stop: Option<Position>,
}

/// Rows since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub read: u64,
    /// Rows that were put into a batch for the first time, or again after the batch was split.
    pub sent: u64,
    /// Rows in batches that were sent again unchanged.
    pub sent_again: u64,
    pub acknowledged: u64,
    pub acknowledged_bytes: u64,
    /// Rows that were not sent, because their own records were found in the log.
    pub skipped: u64,
    /// Rows that were sent although the log before the scan's limit may contain them.
    pub duplicates_accepted: u64,
    pub poison: u64,
    /// Partitions whose broker answered a repeated batch as a new one.
    pub repeats_as_new: u64,
}

impl Counters {
    /// Returns the difference to `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            read: self.read - before.read,
            sent: self.sent - before.sent,
            sent_again: self.sent_again - before.sent_again,
            acknowledged: self.acknowledged - before.acknowledged,
            acknowledged_bytes: self.acknowledged_bytes - before.acknowledged_bytes,
            skipped: self.skipped - before.skipped,
            duplicates_accepted: self.duplicates_accepted - before.duplicates_accepted,
            poison: self.poison - before.poison,
            repeats_as_new: self.repeats_as_new - before.repeats_as_new,
        }
    }
}

impl Ledger {
    pub fn new(confirmed: Lsn) -> Self {
        let transactions = Transactions::new(confirmed);
        Self { transactions, counters: Counters::default(), rows: 0, bytes: 0, announced: confirmed, stop: None }
    }

    pub fn hold(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }

    pub fn release(&mut self, bytes: usize) {
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub fn acknowledge<R>(&mut self, row: &Row<R>) {
        self.counters.acknowledged += 1;
        self.counters.acknowledged_bytes += row.bytes as u64;
        self.release(row.bytes);
        self.transactions.resolve(row.owner);
    }

    pub fn skip<R>(&mut self, row: &Row<R>) {
        self.counters.skipped += 1;
        self.release(row.bytes);
        self.transactions.resolve(row.owner);
    }

    /// Ends the writing before this row, or before an earlier one that was named already.
    pub fn stop_at(&mut self, position: Position) {
        self.stop = Some(self.stop.map_or(position, |stop| stop.min(position)));
    }

    /// Returns whether a row is written at all.
    pub fn may_write(&self, position: Position) -> bool {
        self.stop.is_none_or(|stop| position < stop)
    }

    /// Returns the position to confirm, once for each change.
    pub fn announce(&mut self) -> Option<Lsn> {
        let confirmable = self.transactions.confirmable();
        (confirmable > self.announced).then(|| {
            self.announced = confirmable;
            confirmable
        })
    }
}

/// The transactions that were received and are not yet confirmable, in commit order.
#[derive(Debug)]
pub struct Transactions {
    pending: VecDeque<Pending>,
    /// Number of the first one in `pending`.
    first: u64,
    confirmable: Lsn,
}

#[derive(Debug)]
struct Pending {
    commit: Lsn,
    /// None while the transaction is still being received.
    end: Option<Lsn>,
    unresolved: usize,
}

impl Transactions {
    pub fn new(confirmed: Lsn) -> Self {
        Self { pending: VecDeque::new(), first: 0, confirmable: confirmed }
    }

    pub fn begin(&mut self, commit: Lsn) {
        self.pending.push_back(Pending { commit, end: None, unresolved: 0 });
    }

    /// Adds one more row to the transaction that is being received.
    pub fn add(&mut self) -> Option<TransactionId> {
        let last = self.pending.back_mut().filter(|pending| pending.end.is_none())?;
        last.unresolved += 1;
        Some(TransactionId(self.first + self.pending.len() as u64 - 1))
    }

    pub fn resolve(&mut self, owner: TransactionId) {
        let index = owner.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(pending) = index.and_then(|index| self.pending.get_mut(index)) {
            pending.unresolved = pending.unresolved.saturating_sub(1);
        }
        self.release();
    }

    pub fn commit(&mut self, end: Lsn) {
        let Some(last) = self.pending.pop_back() else { return };
        if last.unresolved == 0 {
            self.reached(end);
        } else {
            self.pending.push_back(Pending { end: Some(end), ..last });
        }
    }

    /// Records that everything before `at` was received. Does nothing within a transaction.
    pub fn idle(&mut self, at: Lsn) {
        if self.open_commit().is_none() {
            self.reached(at);
        }
    }

    /// Returns the commit LSN of the transaction that is being received.
    pub fn open_commit(&self) -> Option<Lsn> {
        self.pending.back().filter(|pending| pending.end.is_none()).map(|pending| pending.commit)
    }

    pub fn confirmable(&self) -> Lsn {
        self.confirmable
    }

    /// Returns the commit before which everything is resolved: no row is unresolved whose transaction committed before
    /// this.
    pub fn oldest_commit(&self) -> Option<Lsn> {
        self.pending.front().map(|pending| pending.commit)
    }

    /// Records that `lsn` was reached. If no entry waits, `lsn` is reached as soon as all earlier rows are resolved. No
    /// entry is made, so that the list is no longer than the rows that are held.
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
