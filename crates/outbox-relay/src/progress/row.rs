use outbox_core::uuid::Uuid;

use super::transactions::TransactionId;
use crate::position::Position;

/// A topic's partition: an index that the driver gives out, dense from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartitionId(pub(crate) u32);

impl PartitionId {
    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A row that is to be written, with its record.
#[derive(Debug)]
pub(crate) struct Row<R> {
    pub(crate) position: Position,
    pub(crate) event: Uuid,
    pub(crate) record: R,
    pub(super) bytes: usize,
    pub(super) owner: TransactionId,
}

/// A row that waits until its topic is known. Its transaction stays unconfirmed, and its memory counts as held.
#[derive(Debug)]
#[must_use = "the slot does not move past this row before it is placed or refused"]
pub(crate) struct Unplaced {
    pub(crate) position: Position,
    pub(crate) event: Uuid,
    pub(super) bytes: usize,
    pub(super) owner: TransactionId,
}

/// A row that cannot be written where it belongs. Its transaction stays unconfirmed until the row is dead-lettered.
#[derive(Debug)]
#[must_use = "the slot does not move past this row before it is dead-lettered"]
pub(crate) struct Poison<R> {
    pub(crate) position: Position,
    pub(crate) event: Uuid,
    /// The partition that refused it, and the record; none when the row had no legal topic.
    pub(crate) refused: Option<(PartitionId, R)>,
    pub(super) owner: TransactionId,
}
