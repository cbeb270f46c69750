use std::collections::BTreeSet;

/// Which offsets of a partition are done, and how far the position may move: over a gapless prefix only.
///
/// An offset is done when its transaction is known to have committed, or when there was nothing to do for it. Lanes finish
/// out of order; one of them at a time may take the position along in its transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Prefix {
    /// The position as it stands in the store.
    stored: i64,
    /// Behind the last offset that was dealt or passed over.
    seen: i64,
    /// Dealt, and not known to be done.
    open: BTreeSet<i64>,
    /// A transaction is about to move the position.
    moving: bool,
}

/// A move of the position that one transaction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Move {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Prefix {
    pub(crate) fn new(stored: i64) -> Self {
        Self { stored, seen: stored, open: BTreeSet::new(), moving: false }
    }

    /// An offset goes to a lane.
    pub(crate) fn deal(&mut self, offset: i64) {
        self.open.insert(offset);
        self.pass(offset);
    }

    /// There is nothing to do at this offset.
    pub(crate) fn pass(&mut self, offset: i64) {
        self.seen = self.seen.max(offset.saturating_add(1));
    }

    /// How far the position may move in the transaction that does these offsets. `None` where it stays, or where another
    /// transaction is about to move it. What is proposed is to be [`committed`](Self::committed) or
    /// [`abandoned`](Self::abandoned).
    pub(crate) fn propose(&mut self, mine: &[i64]) -> Option<Move> {
        if self.moving {
            return None;
        }
        let first_open = self.open.iter().find(|offset| !mine.contains(offset));
        let to = first_open.copied().unwrap_or(self.seen);
        (to > self.stored).then(|| {
            self.moving = true;
            Move { from: self.stored, to }
        })
    }

    /// The transaction that did these offsets has committed, and with it the move.
    pub(crate) fn committed(&mut self, mine: &[i64], moved: Option<Move>) {
        for offset in mine {
            self.open.remove(offset);
        }
        if let Some(moved) = moved {
            self.stored = moved.to;
            self.moving = false;
        }
    }

    /// The transaction was rolled back, and its offsets are open still.
    pub(crate) fn abandoned(&mut self, moved: Option<Move>) {
        if moved.is_some() {
            self.moving = false;
        }
    }

    /// Whether nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn stored(&self) -> i64 {
        self.stored
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_position_stops_before_the_first_gap() {
        let mut prefix = Prefix::new(10);
        for offset in [10, 11, 13, 15] {
            prefix.deal(offset);
        }
        assert_eq!(prefix.propose(&[11, 15]), None, "10 is open");
        prefix.committed(&[11, 15], None);
        let moved = prefix.propose(&[10]);
        assert_eq!(moved, Some(Move { from: 10, to: 13 }));
        assert_eq!(prefix.propose(&[13]), None, "one transaction at a time moves it");
        prefix.committed(&[13], None);
        prefix.committed(&[10], moved);
        assert_eq!(prefix.propose(&[]), Some(Move { from: 13, to: 16 }));
        assert!(prefix.is_idle());
    }

    #[test]
    fn what_is_passed_over_moves_the_position_and_a_rollback_does_not() {
        let mut prefix = Prefix::new(0);
        prefix.pass(4);
        let moved = prefix.propose(&[]);
        assert_eq!(moved, Some(Move { from: 0, to: 5 }));
        prefix.abandoned(moved);
        assert_eq!(prefix.stored(), 0);
        assert_eq!(prefix.propose(&[]), moved);
    }

    proptest! {
        /// Whatever order lanes finish in and whoever rolls back: below the position everything is done, and in the end it
        /// is behind everything.
        #[test]
        fn below_the_position_everything_is_done(
            dealt in prop::collection::btree_set(0_i64..60, 0..40),
            order in prop::collection::vec((0_usize..100, any::<bool>()), 0..200),
        ) {
            let mut prefix = Prefix::new(0);
            let mut open: Vec<i64> = dealt.iter().copied().collect();
            dealt.iter().for_each(|offset| prefix.deal(*offset));
            let step = |prefix: &mut Prefix, open: &mut Vec<i64>, at: usize, commits: bool| {
                if open.is_empty() { return Ok(()) }
                let mine = [open[at % open.len()]];
                let moved = prefix.propose(&mine);
                if commits {
                    open.retain(|offset| *offset != mine[0]);
                    prefix.committed(&mine, moved);
                } else {
                    prefix.abandoned(moved);
                }
                prop_assert!(open.iter().all(|offset| *offset >= prefix.stored()));
                Ok(())
            };
            for (at, commits) in order {
                step(&mut prefix, &mut open, at, commits)?;
            }
            while !open.is_empty() {
                step(&mut prefix, &mut open, 0, true)?;
            }
            let moved = prefix.propose(&[]);
            prefix.committed(&[], moved);
            prop_assert_eq!(prefix.stored(), dealt.last().map_or(0, |last| last + 1));
        }
    }
}
