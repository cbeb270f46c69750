/// An aborted transaction, as a broker lists it in the answer to a fetch (`aborted_transactions`, KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AbortedTransaction {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
}

/// The aborted transactions among the batches of one answer.
///
/// A broker lists each one that overlaps the batches that it sends, also one that began before the fetch offset.
/// Therefore each answer is filtered by its own list.
#[derive(Debug)]
pub(super) struct AbortedTransactions {
    /// The latest first.
    upcoming: Vec<AbortedTransaction>,
    /// The producers whose transaction at the current batch was aborted. There are few.
    open: Vec<i64>,
}

impl AbortedTransactions {
    pub(super) fn new(mut listed: Vec<AbortedTransaction>) -> Self {
        listed.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { upcoming: listed, open: Vec::new() }
    }

    /// Takes the transactions into account that begin up to this offset, and returns whether `producer_id` has one.
    pub(super) fn contain(&mut self, producer_id: i64, last_offset: i64) -> bool {
        while let Some(begun) = self.upcoming.pop_if(|transaction| transaction.first_offset <= last_offset) {
            if !self.open.contains(&begun.producer_id) {
                self.open.push(begun.producer_id);
            }
        }
        self.open.contains(&producer_id)
    }

    /// Handles a marker of this producer: it ends the transaction.
    pub(super) fn end(&mut self, producer_id: i64) {
        self.open.retain(|open| *open != producer_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_lasts_from_its_first_offset_to_its_marker() {
        let listed = [(7, 20), (8, 5), (7, 3)];
        let listed = listed.map(|(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset });
        let mut aborted = AbortedTransactions::new(listed.to_vec());
        assert!(!aborted.contain(7, 2));
        assert!(aborted.contain(7, 4));
        assert!(!aborted.contain(8, 4));
        assert!(aborted.contain(8, 6));
        aborted.end(7);
        assert!(!aborted.contain(7, 19));
        assert!(aborted.contain(8, 19));
        assert!(aborted.contain(7, 25));
    }
}
