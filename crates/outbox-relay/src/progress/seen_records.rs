use std::collections::{BTreeSet, HashSet};

use outbox_core::uuid::Uuid;

use crate::Lsn;
use crate::position::Position;

/// Records that were met in one partition's log and may prove that a row is there.
#[derive(Debug, Default)]
pub(super) struct SeenRecords {
    /// One position may be that of two rows on two timelines.
    own: BTreeSet<(Position, Uuid)>,
    unplaced: HashSet<Uuid>,
}

impl SeenRecords {
    pub(super) fn own(&mut self, position: Position, event: Uuid) {
        self.own.insert((position, event));
    }

    pub(super) fn unplaced(&mut self, event: Uuid) {
        self.unplaced.insert(event);
    }

    /// Returns whether the row's own record was met: same position and same event, never a later position.
    pub(super) fn take(&mut self, position: Position, event: Uuid) -> bool {
        self.own.remove(&(position, event)) || self.unplaced.contains(&event)
    }

    pub(super) fn oldest(&self) -> Option<Position> {
        self.own.first().map(|(position, _)| *position)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.unplaced.is_empty()
    }

    /// Forgets rows of transactions before this one, which do not come again.
    pub(super) fn forget_before(&mut self, commit: Lsn) {
        while self.own.first().is_some_and(|(position, _)| position.commit < commit) {
            self.own.pop_first();
        }
    }

    /// Forgets records without positions: no row comes any more that a predecessor without positions could have
    /// written.
    pub(super) fn forget_unplaced(&mut self) {
        self.unplaced = HashSet::new();
    }
}
