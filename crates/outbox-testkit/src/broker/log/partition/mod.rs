//! The log of a partition: its batches, and the state of producers and transactions.

mod compaction;

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;

use super::batch::{Batch, first_at};
use super::encode::{Outcome, encode_marker};
use super::producers::{Producer, Producers, SequenceCheck};

/// The batches of one partition, and the state of their producers.
#[derive(Debug, Default)]
pub(in crate::broker) struct Log {
    start: i64,
    end: i64,
    batches: VecDeque<Stored>,
    producers: Producers,
    transactions: Transactions,
}

#[derive(Debug)]
struct Stored {
    base_offset: i64,
    next_offset: i64,
    producer_id: i64,
    max_timestamp: i64,
    bytes: Bytes,
}

/// The time that Produce answers (`log_append_time_ms`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum AppendTime {
    /// The topic stores the producer's timestamps.
    Unstored,
    /// The topic stores the time of the append.
    Stored(i64),
    /// The batch is a repetition; its largest timestamp.
    OfRepeated(i64),
}

/// Whether a read gives a batch that is larger than the bytes asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Minimum {
    OneBatch,
    Nothing,
}

impl Log {
    /// Returns the first offset that can be read.
    pub(in crate::broker) fn start(&self) -> i64 {
        self.start
    }

    /// Returns the first offset that a reader of committed records does not get: of the oldest open transaction, or the
    /// end.
    pub(in crate::broker) fn last_stable(&self) -> i64 {
        self.transactions.first_open().unwrap_or(self.end)
    }

    /// Returns the aborted transactions that a reader from an offset on may encounter, each by its producer's id and
    /// its first offset.
    ///
    /// Kafka answers them up to the next entry of the offset index, or to the end of the segment: here to the end.
    pub(in crate::broker) fn aborted_from(&self, offset: i64) -> impl Iterator<Item = (i64, i64)> {
        self.transactions.aborted_from(offset).map(|aborted| (aborted.producer_id, aborted.first_offset))
    }

    /// Returns the first offset of the open transaction of a producer.
    pub(in crate::broker) fn open_since(&self, producer_id: i64) -> Option<i64> {
        self.transactions.open_since(producer_id)
    }

    /// Returns the offset that the next record gets: because no replica lags, this is the high watermark, too.
    pub(in crate::broker) fn end(&self) -> i64 {
        self.end
    }

    /// Appends a batch, unless its producer's sequences show that the log has it already. Returns its first offset.
    pub(in crate::broker) fn append(
        &mut self,
        batch: Batch,
        leader_epoch: i32,
    ) -> Result<(i64, AppendTime), ResponseError> {
        if batch.has_sequence()
            && let SequenceCheck::Duplicate { offset, timestamp } = self.producers.check(&batch)?
        {
            return Ok((offset, AppendTime::OfRepeated(timestamp)));
        }

        let base_offset = self.end;
        self.producers.note(&batch, base_offset);
        if let Some((producer_id, _epoch)) = batch.transaction() {
            self.transactions.note(producer_id, base_offset);
        }
        let time = batch.append_time().map_or(AppendTime::Unstored, AppendTime::Stored);
        self.store(batch, leader_epoch);
        Ok((base_offset, time))
    }

    /// Appends the marker that ends the transaction of a producer. `now` is in ms since 1970.
    pub(in crate::broker) fn end_transaction(
        &mut self,
        (producer_id, epoch): (i64, i16),
        outcome: Outcome,
        leader_epoch: i32,
        now: i64,
    ) {
        if let Some(marker) = Batch::trusted(&encode_marker(producer_id, epoch, outcome, now)) {
            self.transactions.end(producer_id, outcome, self.end);
            self.producers.note_marker(producer_id, epoch, now);
            self.store(marker, leader_epoch);
        }
    }

    fn store(&mut self, batch: Batch, leader_epoch: i32) {
        let base_offset = self.end;
        self.end = base_offset.saturating_add(i64::from(batch.taken()));
        let (producer_id, max_timestamp) = (batch.producer_id, batch.max_timestamp);
        let bytes = batch.placed_at(base_offset, leader_epoch);
        self.batches.push_back(Stored { base_offset, next_offset: self.end, producer_id, max_timestamp, bytes });
    }

    /// Reads the bytes from the batch with an offset on: whole batches, and as much of the next as `max_bytes` leaves.
    /// They may end in the middle of a batch.
    ///
    /// It does not read at or after `until`, which is the end of the log or its last stable offset.
    pub(in crate::broker) fn read(
        &self,
        offset: i64,
        until: i64,
        max_bytes: usize,
        minimum: Minimum,
    ) -> Result<Bytes, ResponseError> {
        if !(self.start..=self.end).contains(&offset) {
            return Err(ResponseError::OffsetOutOfRange);
        }

        let first = self.batches.partition_point(|stored| stored.next_offset <= offset);
        let last = self.batches.partition_point(|stored| stored.next_offset <= until).max(first);
        let mut batches = self.batches.range(first..last);
        let Some(head) = batches.next() else {
            return Ok(Bytes::new());
        };
        if head.bytes.len() >= max_bytes {
            let whole = minimum == Minimum::OneBatch || head.bytes.len() == max_bytes;
            return Ok(if whole { head.bytes.clone() } else { Bytes::new() });
        }

        let mut out = BytesMut::with_capacity(max_bytes.min(self.bytes_within(first..last)));
        out.extend_from_slice(&head.bytes);
        for stored in batches {
            let room = max_bytes - out.len();
            out.extend_from_slice(stored.bytes.get(..room).unwrap_or(&stored.bytes));
            if out.len() == max_bytes {
                break;
            }
        }
        Ok(out.freeze())
    }

    fn bytes_within(&self, batches: std::ops::Range<usize>) -> usize {
        self.batches.range(batches).map(|stored| stored.bytes.len()).sum()
    }

    /// Returns the first record at or after a timestamp (ms since 1970): its timestamp and offset.
    pub(in crate::broker) fn first_at(&self, timestamp: i64) -> Option<(i64, i64)> {
        let stored = self.batches.iter().find(|stored| stored.max_timestamp >= timestamp)?;
        first_at(&stored.bytes, timestamp, self.start)
    }

    /// Returns the first record of the largest timestamp: its timestamp and offset.
    pub(in crate::broker) fn newest(&self) -> Option<(i64, i64)> {
        self.first_at(self.batches.iter().map(|stored| stored.max_timestamp).max()?)
    }

    /// Makes an offset the first that can be read. The batch that contains it stays whole.
    pub(in crate::broker) fn delete_before(&mut self, offset: i64) -> Result<(), ResponseError> {
        if !(0..=self.end).contains(&offset) {
            return Err(ResponseError::OffsetOutOfRange);
        }
        self.start = self.start.max(offset);
        let gone = self.batches.partition_point(|stored| stored.next_offset <= self.start);
        self.batches.drain(..gone);
        self.transactions.delete_before(self.start);
        Ok(())
    }

    /// Returns the producers by their ids.
    pub(in crate::broker) fn producers(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.producers.iter()
    }

    /// Forgets all producers, as Kafka does with those that sent nothing for a day by their records' timestamps.
    pub(in crate::broker) fn forget_producers(&mut self) {
        self.producers.forget();
    }
}

/// An aborted transaction: its producer, its first record, and its abort marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Aborted {
    producer_id: i64,
    first_offset: i64,
    marker_offset: i64,
}

/// The open transactions of a partition, and the index of the aborted ones.
#[derive(Debug, Default)]
struct Transactions {
    /// The offset of the first record by producer id.
    open: BTreeMap<i64, i64>,
    aborted: Vec<Aborted>,
}

impl Transactions {
    /// Notes a batch of a transaction.
    fn note(&mut self, producer_id: i64, base_offset: i64) {
        self.open.entry(producer_id).or_insert(base_offset);
    }

    /// Notes the marker that ends the transaction of a producer.
    fn end(&mut self, producer_id: i64, outcome: Outcome, marker_offset: i64) {
        if let Some(first_offset) = self.open.remove(&producer_id)
            && outcome == Outcome::Abort
        {
            self.aborted.push(Aborted { producer_id, first_offset, marker_offset });
        }
    }

    /// Returns the first offset of the open transaction of a producer.
    fn open_since(&self, producer_id: i64) -> Option<i64> {
        self.open.get(&producer_id).copied()
    }

    /// Returns the first offset of the oldest open transaction.
    fn first_open(&self) -> Option<i64> {
        self.open.values().min().copied()
    }

    /// Returns the aborted transactions whose markers are at or after an offset.
    fn aborted_from(&self, offset: i64) -> impl Iterator<Item = &Aborted> {
        self.aborted.iter().filter(move |aborted| aborted.marker_offset >= offset)
    }

    /// Returns whether a batch belongs to an aborted transaction.
    fn is_aborted(&self, producer_id: i64, base_offset: i64) -> bool {
        let spans = |aborted: &Aborted| (aborted.first_offset..aborted.marker_offset).contains(&base_offset);
        self.aborted.iter().any(|aborted| aborted.producer_id == producer_id && spans(aborted))
    }

    /// Forgets the aborted transactions that end before the start of the log.
    fn delete_before(&mut self, start: i64) {
        self.aborted.retain(|aborted| aborted.marker_offset >= start);
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{encoded, rules};
    use super::*;

    fn append(log: &mut Log, count: i32, producer: (i64, i16, i32)) -> i64 {
        let batch = Batch::parse(&encoded(count, producer), &rules()).unwrap();
        log.append(batch, 0).unwrap().0
    }

    fn log_of(counts: &[i32]) -> Log {
        let mut log = Log::default();
        counts.iter().for_each(|count| _ = append(&mut log, *count, (-1, -1, -1)));
        log
    }

    fn read(log: &Log, offset: i64, max_bytes: usize, minimum: Minimum) -> Bytes {
        log.read(offset, log.end(), max_bytes, minimum).unwrap()
    }

    #[test]
    fn a_read_starts_with_the_batch_that_has_the_offset() {
        let log = log_of(&[3, 4, 1]);
        assert_eq!((log.start(), log.end()), (0, 8));
        for (offset, base) in [(0, 0), (2, 0), (3, 3), (6, 3), (7, 7)] {
            assert_eq!(read(&log, offset, 10_000, Minimum::OneBatch)[..8], i64::to_be_bytes(base));
        }
        assert!(read(&log, 8, 10_000, Minimum::OneBatch).is_empty());
        assert_eq!(log.read(9, 8, 1, Minimum::OneBatch), Err(ResponseError::OffsetOutOfRange));
        assert_eq!(log.read(-1, 8, 1, Minimum::OneBatch), Err(ResponseError::OffsetOutOfRange));
    }

    #[test]
    fn a_read_ends_at_the_bytes_asked_for() {
        let log = log_of(&[3, 3]);
        let all = read(&log, 0, usize::MAX, Minimum::Nothing);
        let half = all.len() / 2;
        assert_eq!(read(&log, 0, half + 7, Minimum::Nothing), all[..half + 7]);
        assert_eq!(read(&log, 0, half, Minimum::Nothing), all[..half]);
        assert_eq!(read(&log, 0, half - 1, Minimum::OneBatch), all[..half]);
        assert!(read(&log, 0, half - 1, Minimum::Nothing).is_empty());
    }

    #[test]
    fn deleted_records_are_out_of_range_and_their_batch_stays_whole() {
        let mut log = log_of(&[3, 3]);
        log.delete_before(4).unwrap();
        assert_eq!(log.start(), 4);
        assert_eq!(log.read(3, 6, 100, Minimum::OneBatch), Err(ResponseError::OffsetOutOfRange));
        assert_eq!(read(&log, 4, 10_000, Minimum::OneBatch)[..8], 3_i64.to_be_bytes());
        assert_eq!(log.delete_before(7), Err(ResponseError::OffsetOutOfRange));
        log.delete_before(1).unwrap();
        assert_eq!(log.start(), 4);
    }

    #[test]
    fn a_duplicate_is_answered_with_its_first_place() {
        let mut log = Log::default();
        assert_eq!(append(&mut log, 2, (7, 0, 0)), 0);
        assert_eq!(append(&mut log, 2, (8, 0, 0)), 2);
        assert_eq!(append(&mut log, 2, (7, 0, 0)), 0);
        assert_eq!(log.end(), 4);
        log.forget_producers();
        assert_eq!(append(&mut log, 2, (7, 0, 0)), 4);
    }

    #[test]
    fn offsets_are_found_by_timestamp() {
        let log = log_of(&[2, 3]);
        assert_eq!(log.first_at(1001), Some((1001, 1)));
        assert_eq!(log.first_at(1002), Some((1002, 4)));
        assert_eq!(log.first_at(1003), None);
        assert_eq!(log.newest(), Some((1002, 4)));
    }

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
