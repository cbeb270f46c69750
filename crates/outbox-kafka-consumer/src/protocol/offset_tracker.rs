use std::collections::BTreeSet;

/// The offsets of a partition that are done, and how far the position may move: over a gapless prefix only.
///
/// An offset is done when its transaction is known to have committed, or when there was nothing to do for it. Lanes
/// finish out of order. The position in the store follows later: inbox and epoch keep effects exactly once, so a
/// position that is too low only causes known events to be read again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetTracker {
    /// The position as it is in the store, as far as is known.
    stored: i64,
    /// The offset after the last one that was dealt or skipped.
    seen: i64,
    /// The offsets that are dealt, and not known to be done.
    open: BTreeSet<i64>,
}

impl OffsetTracker {
    pub fn new(stored: i64) -> Self {
        Self { stored, seen: stored, open: BTreeSet::new() }
    }

    /// Assigns an offset to a lane.
    pub fn deal(&mut self, offset: i64) {
        self.open.insert(offset);
        self.pass(offset);
    }

    /// Records that there is nothing to do at this offset.
    pub fn pass(&mut self, offset: i64) {
        self.seen = self.seen.max(offset.saturating_add(1));
    }

    /// Records that the transaction of these offsets has committed.
    pub fn committed(&mut self, offsets: &[i64]) {
        for offset in offsets {
            self.open.remove(offset);
        }
    }

    /// Returns the offset before which everything is done.
    pub fn done(&self) -> i64 {
        self.open.first().copied().unwrap_or(self.seen)
    }

    /// Returns the position as it is in the store, as far as is known.
    pub fn position(&self) -> i64 {
        self.stored
    }

    /// Returns where the position in the store may move; `None` if it is there already.
    pub fn to_store(&self) -> Option<i64> {
        Some(self.done()).filter(|done| *done > self.stored)
    }

    /// Records that the position was moved in the store.
    pub fn stored(&mut self, position: i64) {
        self.stored = self.stored.max(position);
    }

    /// Returns whether nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_position_stops_before_the_first_gap() {
        let mut prefix = OffsetTracker::new(10);
        for offset in [10, 11, 13, 15] {
            prefix.deal(offset);
        }

        prefix.committed(&[11, 15]);
        assert_eq!(prefix.to_store(), None, "10 is open");
        prefix.committed(&[10]);
        assert_eq!(prefix.to_store(), Some(13));
        prefix.stored(13);
        assert_eq!(prefix.to_store(), None);
        prefix.committed(&[13]);
        assert_eq!((prefix.done(), prefix.to_store()), (16, Some(16)));
        assert!(prefix.is_idle());
    }

    #[test]
    fn offsets_without_work_move_the_position() {
        let mut prefix = OffsetTracker::new(0);
        prefix.pass(4);
        assert_eq!(prefix.to_store(), Some(5));
        prefix.stored(5);
        prefix.stored(3);
        assert_eq!(prefix.to_store(), None, "a late answer takes nothing back");
    }

    proptest! {
        /// In any order in which lanes finish, everything below the position is done, and at the end the position is
        /// after all offsets.
        #[test]
        fn below_the_position_everything_is_done(
            dealt in prop::collection::btree_set(0_i64..60, 0..40),
            order in prop::collection::vec((0_usize..100, any::<bool>()), 0..200),
        ) {
            let mut prefix = OffsetTracker::new(0);
            let mut open: Vec<i64> = dealt.iter().copied().collect();
            dealt.iter().for_each(|offset| prefix.deal(*offset));
            for (at, is_stored) in order {
                if !open.is_empty() {
                    prefix.committed(&[open.remove(at % open.len())]);
                }
                if let (true, Some(position)) = (is_stored, prefix.to_store()) {
                    prefix.stored(position);
                }
                prop_assert!(open.iter().all(|offset| *offset >= prefix.done()));
            }

            prefix.committed(&open);
            prop_assert_eq!(prefix.done(), dealt.last().map_or(0, |last| last + 1));
        }
    }
}
