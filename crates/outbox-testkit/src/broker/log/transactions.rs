//! The transactions that a partition has records of.

use std::collections::BTreeMap;

/// The end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Outcome {
    Commit,
    Abort,
}

/// An aborted transaction: its producer, its first record, and its abort marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct Aborted {
    pub(in crate::broker) producer_id: i64,
    pub(in crate::broker) first_offset: i64,
    marker_offset: i64,
}

/// The open transactions of a partition, and the index of the aborted ones.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// The offset of the first record by producer id.
    open: BTreeMap<i64, i64>,
    aborted: Vec<Aborted>,
}

impl Transactions {
    /// Notes a batch of a transaction.
    pub(super) fn note(&mut self, producer_id: i64, base_offset: i64) {
        self.open.entry(producer_id).or_insert(base_offset);
    }

    /// Notes the marker that ends the transaction of a producer.
    pub(super) fn end(&mut self, producer_id: i64, outcome: Outcome, marker_offset: i64) {
        if let Some(first_offset) = self.open.remove(&producer_id)
            && outcome == Outcome::Abort
        {
            self.aborted.push(Aborted { producer_id, first_offset, marker_offset });
        }
    }

    /// Returns the first offset of the open transaction of a producer.
    pub(super) fn open_since(&self, producer_id: i64) -> Option<i64> {
        self.open.get(&producer_id).copied()
    }

    /// Returns the first offset of the oldest open transaction.
    pub(super) fn first_open(&self) -> Option<i64> {
        self.open.values().min().copied()
    }

    /// Returns the aborted transactions whose markers are at or behind an offset.
    pub(super) fn aborted_from(&self, offset: i64) -> impl Iterator<Item = &Aborted> {
        self.aborted.iter().filter(move |aborted| aborted.marker_offset >= offset)
    }

    /// Returns whether a batch belongs to an aborted transaction.
    pub(super) fn is_aborted(&self, producer_id: i64, base_offset: i64) -> bool {
        let spans = |aborted: &Aborted| (aborted.first_offset..aborted.marker_offset).contains(&base_offset);
        self.aborted.iter().any(|aborted| aborted.producer_id == producer_id && spans(aborted))
    }

    /// Forgets the aborted transactions that end before the start of the log.
    pub(super) fn delete_before(&mut self, start: i64) {
        self.aborted.retain(|aborted| aborted.marker_offset >= start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_transactions_end_apart() {
        let mut transactions = Transactions::default();
        transactions.note(7, 0);
        transactions.note(8, 2);
        transactions.note(7, 5);
        assert_eq!((transactions.first_open(), transactions.open_since(8)), (Some(0), Some(2)));

        transactions.end(7, Outcome::Abort, 6);
        assert_eq!(transactions.first_open(), Some(2));
        transactions.end(8, Outcome::Commit, 7);
        assert_eq!(transactions.first_open(), None);

        let aborted = Aborted { producer_id: 7, first_offset: 0, marker_offset: 6 };
        assert_eq!(transactions.aborted_from(6).collect::<Vec<_>>(), [&aborted]);
        assert_eq!(transactions.aborted_from(7).count(), 0);
        assert!(transactions.is_aborted(7, 5) && !transactions.is_aborted(8, 5) && !transactions.is_aborted(7, 6));
        transactions.delete_before(7);
        assert_eq!(transactions.aborted_from(0).count(), 0);
    }
}
