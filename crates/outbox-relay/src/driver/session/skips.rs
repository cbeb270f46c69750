use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Lsn;
use crate::position::{Origin, Position, RowPosition};

/// The rows that are to be left out, with their dispositions since the start of the relay.
#[derive(Clone)]
pub struct SkipList(Arc<Mutex<BTreeMap<RowPosition, Disposition>>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Disposition {
    Open,
    LeftOut,
    Unmatched,
}

/// The rows of the session's slot that are to be left out.
pub struct Skips {
    list: SkipList,
    origin: Origin,
    rows: BTreeSet<Position>,
}

impl SkipList {
    pub fn new(positions: &[RowPosition]) -> Self {
        Self(Arc::new(Mutex::new(positions.iter().map(|position| (position.clone(), Disposition::Open)).collect())))
    }

    /// Returns the rows to skip that the slot has not sent yet. Reports the others.
    pub fn of(&self, origin: &Origin, confirmed: Lsn) -> Skips {
        let (mut rows, mut foreign) = (BTreeSet::new(), Vec::new());
        for position in self.lock().keys() {
            match position.origin() == origin {
                true => _ = rows.insert(position.position()),
                false => foreign.push(position.clone()),
            }
        }
        for position in foreign {
            self.unmatched(&position, "it is of another system, timeline or slot");
        }

        let mut skips = Skips { list: self.clone(), origin: origin.clone(), rows };
        skips.report_before(confirmed, "the slot is past it");
        skips
    }

    /// Reports the rows that the relay did not reach.
    pub fn report_rest(&self) {
        let open: Vec<RowPosition> = self
            .lock()
            .iter()
            .filter(|(_, fate)| **fate == Disposition::Open)
            .map(|(position, _)| position.clone())
            .collect();
        for position in open {
            self.unmatched(&position, "the relay has ended before it");
        }
    }

    fn unmatched(&self, position: &RowPosition, reason: &str) {
        let mut fates = self.lock();
        if let Some(fate) = fates.get_mut(position).filter(|fate| **fate == Disposition::Open) {
            *fate = Disposition::Unmatched;
            tracing::warn!(target: "outbox.relay", %position, reason, "no row has the position to skip");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RowPosition, Disposition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    No,
    ForTheFirstTime,
    /// The same as in an earlier session.
    Again,
}

impl Skips {
    /// Returns whether a row is to be left out.
    pub fn take(&mut self, position: Position) -> Skip {
        if !self.rows.remove(&position) {
            return Skip::No;
        }
        let row = RowPosition::new(self.origin.clone(), position);
        tracing::warn!(target: "outbox.relay", position = %row, "row skipped as requested");
        match self.list.lock().insert(row, Disposition::LeftOut) {
            Some(Disposition::LeftOut) => Skip::Again,
            _ => Skip::ForTheFirstTime,
        }
    }

    /// Handles the end of a transaction: rows before it were received, or never will be.
    pub fn committed(&mut self, end: Lsn) {
        self.report_before(end, "its transaction has no such row");
    }

    fn report_before(&mut self, end: Lsn, reason: &str) {
        while let Some(position) = self.rows.first().copied().filter(|position| position.commit < end) {
            self.rows.remove(&position);
            self.list.unmatched(&RowPosition::new(self.origin.clone(), position), reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(commit: u64, index: u32) -> Position {
        Position { commit: Lsn::new(commit), index }
    }

    #[test]
    fn a_row_is_skipped_by_its_whole_position_and_what_matches_nothing_is_reported_once() {
        let (here, elsewhere) = (Origin::new(7, 2, "outbox"), Origin::new(7, 1, "outbox"));
        let row = |origin: &Origin, commit, index| RowPosition::new(origin.clone(), position(commit, index));
        let rows = [row(&here, 10, 0), row(&here, 50, 1), row(&here, 60, 0), row(&elsewhere, 50, 2), row(&here, 90, 0)];
        let list = SkipList::new(&rows);
        let fates = || rows.iter().map(|row| list.lock()[row]).collect::<Vec<_>>();

        let mut skips = list.of(&here, Lsn::new(20));
        assert!(
            fates()
                == [
                    Disposition::Unmatched,
                    Disposition::Open,
                    Disposition::Open,
                    Disposition::Unmatched,
                    Disposition::Open
                ]
        );
        assert_eq!(skips.take(position(50, 0)), Skip::No);
        assert_eq!(skips.take(position(50, 2)), Skip::No);
        assert_eq!(skips.take(position(50, 1)), Skip::ForTheFirstTime);

        skips.committed(Lsn::new(70));
        assert!(
            fates()
                == [
                    Disposition::Unmatched,
                    Disposition::LeftOut,
                    Disposition::Unmatched,
                    Disposition::Unmatched,
                    Disposition::Open
                ]
        );

        assert_eq!(list.of(&here, Lsn::new(20)).take(position(50, 1)), Skip::Again);
        list.report_rest();
        assert!(fates()[4] == Disposition::Unmatched);
    }
}
