use super::row::Row;
use super::transactions::Transactions;
use crate::Lsn;
use crate::position::Position;

/// The state of the rows, over all partitions.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) transactions: Transactions,
    pub(super) counters: Counters,
    /// Rows that wait for their topic, are queued, or are in flight.
    pub(super) rows: usize,
    pub(super) bytes: usize,
    announced: Lsn,
    /// Rows from here on are not written.
    stop: Option<Position>,
}

/// Rows since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) read: u64,
    /// Put into a batch for the first time, or again after the batch was taken apart.
    pub(crate) sent: u64,
    /// In batches that were sent again unchanged.
    pub(crate) sent_again: u64,
    pub(crate) acknowledged: u64,
    pub(crate) acknowledged_bytes: u64,
    /// Not sent: their own records were met in the log.
    pub(crate) skipped: u64,
    /// Sent although the log before the scan's limit may hold them.
    pub(crate) duplicates_accepted: u64,
    pub(crate) poison: u64,
    /// Partitions whose broker answered a repeated batch as a new one.
    pub(crate) repeats_as_new: u64,
}

impl Counters {
    /// Returns the difference to `before`.
    pub(crate) fn since(self, before: Self) -> Self {
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
    pub(super) fn new(confirmed: Lsn) -> Self {
        let transactions = Transactions::new(confirmed);
        Self { transactions, counters: Counters::default(), rows: 0, bytes: 0, announced: confirmed, stop: None }
    }

    pub(super) fn hold(&mut self, bytes: usize) {
        self.rows += 1;
        self.bytes += bytes;
    }

    pub(super) fn release(&mut self, bytes: usize) {
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(super) fn acknowledge<R>(&mut self, row: &Row<R>) {
        self.counters.acknowledged += 1;
        self.counters.acknowledged_bytes += row.bytes as u64;
        self.release(row.bytes);
        self.transactions.resolve(row.owner);
    }

    pub(super) fn skip<R>(&mut self, row: &Row<R>) {
        self.counters.skipped += 1;
        self.release(row.bytes);
        self.transactions.resolve(row.owner);
    }

    /// Ends the writing before this row, or before an earlier one that was named already.
    pub(super) fn stop_at(&mut self, position: Position) {
        self.stop = Some(self.stop.map_or(position, |stop| stop.min(position)));
    }

    /// Returns whether a row is written at all.
    pub(super) fn may_write(&self, position: Position) -> bool {
        self.stop.is_none_or(|stop| position < stop)
    }

    /// Returns the position to confirm, once per change.
    pub(super) fn announce(&mut self) -> Option<Lsn> {
        let confirmable = self.transactions.confirmable();
        (confirmable > self.announced).then(|| {
            self.announced = confirmable;
            confirmable
        })
    }
}
