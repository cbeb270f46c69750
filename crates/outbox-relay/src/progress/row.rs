use std::collections::{BTreeSet, HashSet};

use outbox_core::uuid::Uuid;

use crate::Lsn;
use crate::position::Position;

/// A topic's partition: an index that the driver gives out, dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

impl PartitionId {
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// The transaction that a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionId(pub u64);

/// A row that is to be written, with its record.
#[derive(Debug)]
pub struct Row<R> {
    pub position: Position,
    pub event: Uuid,
    pub record: R,
    pub bytes: usize,
    pub owner: TransactionId,
}

/// A row that waits until its topic is known. Its transaction stays unconfirmed, and its memory counts as held.
#[derive(Debug)]
#[must_use = "the slot does not move past this row before it is placed or refused"]
pub struct Unplaced {
    pub position: Position,
    pub event: Uuid,
    pub bytes: usize,
    pub owner: TransactionId,
}

/// A row that cannot be written to its topic. Its transaction stays unconfirmed until the row is dead-lettered.
#[derive(Debug)]
#[must_use = "the slot does not move past this row before it is dead-lettered"]
pub struct Poison<R> {
    pub position: Position,
    pub event: Uuid,
    /// The partition that rejected it, and the record; `None` if the row had no legal topic.
    pub refused: Option<(PartitionId, R)>,
    pub owner: TransactionId,
}

/// The part of the WAL that a predecessor may have read, and so may have written already or may still write.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The slot's confirmed position, asked after the slot was acquired.
    pub confirmed: Lsn,
    /// The server's WAL flush position, asked after the slot was acquired. The previous holder of the slot has read
    /// nothing from here on. Too small a value accepts duplicates, too large a value costs reads; neither loses a row.
    pub end: Lsn,
}

impl Window {
    pub fn holds(&self, position: Position) -> bool {
        position.commit < self.end
    }
}

/// The largest size of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimit {
    pub rows: usize,
    pub bytes: usize,
}

/// Records that were found in one partition's log and may prove that it contains a row.
#[derive(Debug, Default)]
pub struct SeenRecords {
    /// Two rows on two timelines may have the same position.
    own: BTreeSet<(Position, Uuid)>,
    unplaced: HashSet<Uuid>,
}

impl SeenRecords {
    pub fn own(&mut self, position: Position, event: Uuid) {
        self.own.insert((position, event));
    }

    pub fn unplaced(&mut self, event: Uuid) {
        self.unplaced.insert(event);
    }

    /// Returns whether the row's own record was found: same position and same event, never a later position.
    pub fn take(&mut self, position: Position, event: Uuid) -> bool {
        self.own.remove(&(position, event)) || self.unplaced.contains(&event)
    }

    pub fn oldest(&self) -> Option<Position> {
        self.own.first().map(|(position, _)| *position)
    }

    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.unplaced.is_empty()
    }

    /// Forgets rows of transactions before this one, which do not come again.
    pub fn forget_before(&mut self, commit: Lsn) {
        while self.own.first().is_some_and(|(position, _)| position.commit < commit) {
            self.own.pop_first();
        }
    }

    /// Forgets records without positions, because no more row can be one that a predecessor without positions has
    /// written.
    pub fn forget_unplaced(&mut self) {
        self.unplaced = HashSet::new();
    }
}

/// The error of WAL that is out of order. It does not continue the WAL before it, so the session starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the WAL is out of order: {got} came after {last}")]
pub struct OutOfTurn {
    pub last: Lsn,
    pub got: Lsn,
}
