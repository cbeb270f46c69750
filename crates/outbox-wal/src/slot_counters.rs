use super::error::{Error, Operation};
use super::session::Session;
use super::sql::literal;

/// The statistics of a slot. They begin at zero with each new slot, which is how one of the same name is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotCounters {
    /// The number of transactions that were decoded for the slot's readers.
    transactions: u64,
    /// The time at which statistics were reset last: those of the slot, and all, as after a crash. Another server has
    /// another time.
    reset: String,
}

impl SlotCounters {
    /// Reads the statistics; `None` if the server has none for the slot.
    pub(super) async fn read(session: &mut Session, slot: &str) -> Result<Option<Self>, Error> {
        let sql = format!(
            "SELECT s.total_txns, pg_catalog.concat_ws('/', coalesce(s.stats_reset::pg_catalog.text, ''), w.stats_reset,
                 pg_catalog.pg_postmaster_start_time())
             FROM pg_catalog.pg_stat_replication_slots s, pg_catalog.pg_stat_wal w WHERE s.slot_name = {}",
            literal(slot)
        );
        let row = session.query(&sql, Operation::Query).await?.into_iter().next().unwrap_or_default();
        match <[_; 2]>::try_from(row) {
            Ok([Some(transactions), Some(reset)]) => {
                let transactions = transactions.parse().map_err(|_| Error::protocol("a number of transactions"))?;
                Ok(Some(Self { transactions, reset }))
            }
            _ => Ok(None),
        }
    }

    /// Returns whether these are of a slot that was created after that of `before` was dropped.
    ///
    /// False proves nothing: the new slot may have been read, or statistics were reset.
    #[must_use]
    pub fn is_of_newer_slot(&self, before: &Self) -> bool {
        self.reset == before.reset && self.transactions < before.transactions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_transactions_are_those_of_a_newer_slot() {
        let counters = |transactions, reset: &str| SlotCounters { transactions, reset: reset.to_owned() };
        assert!(counters(0, "a").is_of_newer_slot(&counters(3, "a")));
        assert!(!counters(3, "a").is_of_newer_slot(&counters(3, "a")));
        assert!(!counters(0, "b").is_of_newer_slot(&counters(3, "a")));
    }
}
