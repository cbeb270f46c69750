//! The state of idempotent producers in a partition, and the checks of their sequences.

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::ResponseError;

use super::batch::Batch;

/// The number of a producer's last batches that are recognised when they are sent again.
const REMEMBERED: usize = 5;

/// A producer's state at one partition.
#[derive(Debug, Clone)]
pub(in crate::broker) struct Producer {
    pub(in crate::broker) epoch: i16,
    /// The largest timestamp of its last batch, ms since 1970.
    pub(in crate::broker) last_timestamp: i64,
    batches: VecDeque<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    first_sequence: i32,
    last_sequence: i32,
    offset: i64,
    timestamp: i64,
}

impl Producer {
    pub(in crate::broker) fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |known| known.last_sequence)
    }
}

/// The meaning of the sequence of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SequenceCheck {
    /// It is new, and is to be appended.
    Append,
    /// It was appended before, at this offset, with this largest timestamp (ms since 1970).
    Duplicate { offset: i64, timestamp: i64 },
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub(super) struct Producers(BTreeMap<i64, Producer>);

impl Producers {
    /// Checks a batch as Kafka does: by its producer's epoch and sequence range, not by its contents.
    pub(super) fn check(&self, batch: &Batch) -> Result<SequenceCheck, ResponseError> {
        let Some(producer) = self.0.get(&batch.producer_id) else {
            return Ok(SequenceCheck::Append);
        };
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        let same_epoch = batch.producer_epoch == producer.epoch;
        let known = producer.batches.iter().find(|known| (known.first_sequence, known.last_sequence) == (first, last));

        match known {
            Some(known) if same_epoch => {
                Ok(SequenceCheck::Duplicate { offset: known.offset, timestamp: known.timestamp })
            }
            _ if batch.producer_epoch < producer.epoch => Err(ResponseError::InvalidProducerEpoch),
            _ if same_epoch && first == following(producer.last_sequence()) => Ok(SequenceCheck::Append),
            _ if !same_epoch && first == 0 => Ok(SequenceCheck::Append),
            _ => Err(ResponseError::OutOfOrderSequenceNumber),
        }
    }

    /// Notes a batch that was appended at an offset.
    pub(super) fn note(&mut self, batch: &Batch, offset: i64) {
        if !batch.has_sequence() {
            return;
        }

        let fresh =
            || Producer { epoch: batch.producer_epoch, last_timestamp: batch.max_timestamp, batches: VecDeque::new() };
        let producer = self.0.entry(batch.producer_id).or_insert_with(fresh);
        if producer.epoch != batch.producer_epoch {
            *producer = fresh();
        }
        producer.last_timestamp = batch.max_timestamp;
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        let (first_sequence, last_sequence) = (batch.base_sequence, batch.last_sequence());
        producer.batches.push_back(Known { first_sequence, last_sequence, offset, timestamp: batch.max_timestamp });
    }

    /// Notes a control batch: its epoch fences older ones, and it has no sequence.
    pub(super) fn note_marker(&mut self, producer_id: i64, epoch: i16, timestamp: i64) {
        let fresh = || Producer { epoch, last_timestamp: timestamp, batches: VecDeque::new() };
        let producer = self.0.entry(producer_id).or_insert_with(fresh);
        if producer.epoch != epoch {
            *producer = fresh();
        }
        producer.last_timestamp = timestamp;
    }

    /// Returns whether the newest batch of a producer is at an offset.
    pub(super) fn is_newest(&self, producer_id: i64, base_offset: i64) -> bool {
        let newest = self.0.get(&producer_id).and_then(|producer| producer.batches.back());
        newest.is_some_and(|known| known.offset == base_offset)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.0.iter().map(|(id, producer)| (*id, producer))
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

fn following(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{encoded, rules};
    use super::*;

    /// Sends a batch of producer 7 to producers that are at `offset`.
    fn send(producers: &mut Producers, epoch: i16, first: i32, count: i32) -> Result<SequenceCheck, ResponseError> {
        let batch = Batch::parse(&encoded(count, (7, epoch, first)), &rules()).unwrap();
        let verdict = producers.check(&batch)?;
        if verdict == SequenceCheck::Append {
            producers.note(&batch, i64::from(first) + 1000);
        }
        Ok(verdict)
    }

    fn duplicate(offset: i64, count: i64) -> SequenceCheck {
        SequenceCheck::Duplicate { offset, timestamp: 999 + count }
    }

    const OUT_OF_ORDER: Result<SequenceCheck, ResponseError> = Err(ResponseError::OutOfOrderSequenceNumber);

    #[test]
    fn a_range_is_appended_once_and_in_order() {
        let mut producers = Producers::default();
        assert_eq!(send(&mut producers, 0, 30, 10), Ok(SequenceCheck::Append), "the first one, at any sequence");
        assert_eq!(send(&mut producers, 0, 40, 10), Ok(SequenceCheck::Append));
        assert_eq!(send(&mut producers, 0, 40, 10), Ok(duplicate(1040, 10)));
        assert_eq!(send(&mut producers, 0, 30, 10), Ok(duplicate(1030, 10)));
        assert_eq!(send(&mut producers, 0, 40, 5), OUT_OF_ORDER);
        assert_eq!(send(&mut producers, 0, 35, 15), OUT_OF_ORDER);
        assert_eq!(send(&mut producers, 0, 51, 1), OUT_OF_ORDER);
    }

    #[test]
    fn the_newest_five_are_known_again() {
        let mut producers = Producers::default();
        for first in 0..6 {
            send(&mut producers, 0, first, 1).unwrap();
        }
        assert_eq!(send(&mut producers, 0, 1, 1), Ok(duplicate(1001, 1)));
        assert_eq!(send(&mut producers, 0, 0, 1), OUT_OF_ORDER);
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        send(&mut producers, 0, i32::MAX - 1, 2).unwrap();
        assert_eq!(send(&mut producers, 0, 0, 1), Ok(SequenceCheck::Append));
        let mut producers = Producers::default();
        send(&mut producers, 0, i32::MAX, 3).unwrap();
        assert_eq!(send(&mut producers, 0, i32::MAX, 3).unwrap(), duplicate(i64::from(i32::MAX) + 1000, 3));
        assert_eq!(send(&mut producers, 0, 2, 1), Ok(SequenceCheck::Append));
    }

    #[test]
    fn a_newer_epoch_starts_at_zero_and_fences_the_older() {
        let mut producers = Producers::default();
        send(&mut producers, 0, 5, 1).unwrap();
        assert_eq!(send(&mut producers, 1, 6, 1), OUT_OF_ORDER);
        assert_eq!(send(&mut producers, 1, 0, 1), Ok(SequenceCheck::Append));
        assert_eq!(send(&mut producers, 0, 6, 1), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(send(&mut producers, 0, 5, 1), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(send(&mut producers, 1, 1, 1), Ok(SequenceCheck::Append));
    }
}
