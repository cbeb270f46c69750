//! Compaction, as the log cleaner of Kafka does it for `cleanup.policy=compact`.

use std::collections::HashMap;

use super::{Log, Stored};
use crate::broker::log::batch::{filtered, is_control, records_of};

impl Log {
    /// Removes each record that has a newer one of the same key, and the records of aborted transactions.
    ///
    /// The newest batch stays as it is, as the active segment of Kafka does, and so do all records from the last stable
    /// offset on. Batches keep their offsets. A batch without records vanishes, unless it is the newest of its
    /// producer: its header then keeps the sequence. Tombstones and transaction markers stay, as before
    /// `delete.retention.ms`.
    pub(in crate::broker) fn compact(&mut self) {
        let stable = self.last_stable();
        let Some(active) = self.batches.len().checked_sub(1) else {
            return;
        };
        let cleanable = self.batches.partition_point(|stored| stored.next_offset <= stable).min(active);
        let is_aborted = |stored: &Stored| self.transactions.is_aborted(stored.producer_id, stored.base_offset);

        let mut newest = HashMap::new();
        for stored in self.batches.range(..cleanable).filter(|stored| !is_control(&stored.bytes)) {
            if !is_aborted(stored) {
                newest.extend(records_of(&stored.bytes).into_iter().filter_map(|(offset, key)| Some((key?, offset))));
            }
        }

        let mut cleaned = std::collections::VecDeque::with_capacity(self.batches.len());
        for (index, mut stored) in std::mem::take(&mut self.batches).into_iter().enumerate() {
            if index >= cleanable || is_control(&stored.bytes) {
                cleaned.push_back(stored);
                continue;
            }

            let aborted = self.transactions.is_aborted(stored.producer_id, stored.base_offset);
            let keeps = |offset, key: Option<&[u8]>| {
                !aborted && key.is_some_and(|key| newest.get(key).is_none_or(|newest| *newest <= offset))
            };
            match filtered(&stored.bytes, keeps) {
                None => cleaned.push_back(stored),
                Some((_, 0)) if !self.producers.is_newest(stored.producer_id, stored.base_offset) => {}
                Some((bytes, _)) => {
                    stored.bytes = bytes;
                    cleaned.push_back(stored);
                }
            }
        }
        self.batches = cleaned;
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::record::Record;

    use super::super::Minimum;
    use super::*;
    use crate::broker::log::batch::tests::rules;
    use crate::broker::log::{Batch, Encoded, Outcome, Producing, RecordBatch};

    fn append(log: &mut Log, keys: &str, producer: Producing) {
        let record = |key: char| {
            let mut record = Record::new("");
            (record.key, record.value, record.timestamp) = (Some(key.to_string().into()), Some("v".into()), Some(1000));
            record
        };
        let Encoded::Checked(bytes) = RecordBatch::new(keys.chars().map(record)).encode(producer, 0) else { panic!() };
        log.append(Batch::parse(&bytes, &rules()).unwrap(), 0).unwrap();
    }

    /// Returns the base offset, the offset after the batch, and the offsets and keys of the records of each batch.
    fn described(log: &Log) -> Vec<(i64, i64, String)> {
        let described = log.batches.iter().map(|stored| {
            let records = records_of(&stored.bytes).into_iter();
            let keys = records.map(|(offset, key)| format!("{offset}{}", String::from_utf8(key.unwrap()).unwrap()));
            (stored.base_offset, stored.next_offset, keys.collect::<Vec<_>>().join(" "))
        });
        described.collect()
    }

    #[test]
    fn newer_records_replace_older_ones_and_offsets_stay() {
        let mut log = Log::default();
        for keys in ["abc", "ab", "c", "a", "b"] {
            append(&mut log, keys, Producing::PLAIN);
        }
        log.compact();
        let expected = [(3, 5, "4b".to_owned()), (5, 6, "5c".into()), (6, 7, "6a".into()), (7, 8, "7b".into())];
        assert_eq!(described(&log), expected);
        let read = log.read(0, 8, 1000, Minimum::OneBatch).unwrap();
        assert_eq!(read[..8], 3_i64.to_be_bytes());
        log.compact();
        assert_eq!(described(&log), expected, "nothing more to remove");
    }

    #[test]
    fn the_newest_batch_of_a_producer_keeps_its_header() {
        let mut log = Log::default();
        append(&mut log, "a", Producing::idempotent((7, 0), 0));
        append(&mut log, "a", Producing::idempotent((7, 0), 1));
        append(&mut log, "a", Producing::PLAIN);
        append(&mut log, "z", Producing::PLAIN);
        log.compact();
        assert_eq!(described(&log), [(1, 2, String::new()), (2, 3, "2a".into()), (3, 4, "3z".into())]);
        assert_eq!(log.batches[0].bytes.len(), 61);
    }

    #[test]
    fn aborted_records_go_and_open_transactions_stay() {
        let mut log = Log::default();
        append(&mut log, "a", Producing::PLAIN);
        append(&mut log, "ab", Producing::transactional((7, 0), 0));
        log.end_transaction((7, 0), Outcome::Abort, 0, 1000);
        append(&mut log, "a", Producing::transactional((8, 0), 0));
        append(&mut log, "z", Producing::PLAIN);
        assert_eq!((log.last_stable(), log.end()), (4, 6));
        log.compact();
        let left: Vec<_> = log.batches.iter().map(|stored| (stored.base_offset, stored.next_offset)).collect();
        assert_eq!(left, [(0, 1), (1, 3), (3, 4), (4, 5), (5, 6)]);
        assert_eq!(log.batches[1].bytes.len(), 61, "the newest of its producer, without records");
        assert_eq!(log.aborted_from(0).count(), 1);
    }
}
