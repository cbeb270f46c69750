use std::ops::Range;

use super::action::{Seen, Tail};
use super::row::Window;
use crate::Lsn;

/// The plan of reading the end of a log: backwards in growing steps, each of them forwards, and not further than
/// needed.
///
/// A record of this slot from before the window shows that all of the window's records are after it, because one
/// partition is written in the order of the WAL. So the first step that holds one is the last. Records of the slot do
/// not count against the limit: there are no more of them than rows that are not confirmed.
#[derive(Debug)]
pub struct Scan {
    confirmed: Lsn,
    reach: Reach,
    log_start: i64,
    end: i64,
    limit: i64,
    /// The offset from which on every record was read.
    from: i64,
    step: i64,
    reaches_back: bool,
    has_own: bool,
    /// The number of records of this slot that were read.
    own: i64,
    /// The steps' records, the newest step first.
    steps: Vec<Vec<Seen>>,
    /// The newest record of this slot before the window in the step under way, and its place in the step.
    older: Option<(usize, Seen)>,
}

/// The distance that a scan goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To the first step with a record of this slot from before the window. The limit is for records of others.
    Window,
    /// To the limit, which is for all records: dead letters are not in the order of the WAL.
    Limit,
}

/// The factor by which each step is longer than the one before.
const GROWTH: i64 = 8;

impl Scan {
    /// Plans to read a log back from its end; the first step has `first` offsets.
    pub fn new(window: &Window, reach: Reach, log: Range<i64>, limit: u64, first: i64) -> Self {
        let end = log.end.max(log.start);
        Self {
            confirmed: window.confirmed,
            reach,
            log_start: log.start,
            end,
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
            from: end,
            step: first.max(1),
            reaches_back: false,
            has_own: false,
            own: 0,
            steps: Vec::new(),
            older: None,
        }
    }

    /// Returns the offsets to read next; `None` if the scan is complete.
    pub fn next_step(&mut self) -> Option<Range<i64>> {
        self.end_step();
        let is_enough = self.reaches_back && self.reach == Reach::Window;
        let left = self.left();
        if is_enough || left <= 0 || self.from <= self.log_start {
            return None;
        }

        let to = self.from;
        self.from = to.saturating_sub(self.step.min(left)).max(self.log_start);
        self.step = self.step.saturating_mul(GROWTH);
        self.steps.push(Vec::new());
        Some(self.from..to)
    }

    /// Takes a record of the step, in the log's order.
    pub fn seen(&mut self, seen: Seen) {
        let Some(step) = self.steps.last_mut() else { return };
        let position = seen.content.position();
        self.own += i64::from(position.is_some());

        match position {
            // Of the rows before the window, only the newest one's producer matters.
            Some(position) if position.commit < self.confirmed => {
                self.reaches_back = true;
                self.older = Some((step.len(), seen));
            }
            Some(_) => {
                self.older = None;
                step.push(seen);
            }
            None => step.push(seen),
        }
    }

    /// Returns the records that were seen, in the log's order.
    pub fn finish(mut self) -> (impl Iterator<Item = Seen> + Send + use<>, Tail) {
        self.end_step();
        let cut = self.from > self.log_start && !self.reaches_back;
        (self.steps.into_iter().rev().flatten(), Tail { end: self.end, cut })
    }

    /// Returns how many offsets the limit leaves.
    fn left(&self) -> i64 {
        let free = match self.reach {
            Reach::Window => self.own,
            Reach::Limit => 0,
        };
        self.limit.saturating_sub(self.end - self.from - free)
    }

    fn end_step(&mut self) {
        let older = self.older.take().filter(|_| !self.has_own);
        let Some(step) = self.steps.last_mut() else { return };
        if let Some((place, seen)) = older {
            step.insert(place.min(step.len()), seen);
        }
        self.has_own = self.has_own || step.iter().any(|seen| seen.content.position().is_some());
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::uuid::Uuid;

    use super::*;
    use crate::position::Position;
    use crate::progress::Content;

    const WINDOW: Window = Window { confirmed: Lsn::new(100), end: Lsn::new(200) };

    fn own(commit: u64) -> Content {
        Content::Own(Position { commit: Lsn::new(commit), index: 0 }, Uuid::nil())
    }

    /// Reads a log of these records; returns the steps, what was seen, and whether the limit cut it.
    fn read(log: &[Content], reach: Reach, limit: u64) -> (Vec<Range<i64>>, Vec<u64>, bool) {
        let end = i64::try_from(log.len()).unwrap();
        let mut scan = Scan::new(&WINDOW, reach, 0..end, limit, 2);
        let mut steps = Vec::new();
        while let Some(step) = scan.next_step() {
            for offset in step.clone() {
                scan.seen(Seen { written_by: None, content: log[usize::try_from(offset).unwrap()] });
            }
            steps.push(step);
        }

        let (seen, tail) = scan.finish();
        assert_eq!(tail.end, end);
        let commits = seen.map(|seen| seen.content.position().map_or(0, |position| position.commit.as_u64()));
        (steps, commits.collect(), tail.cut)
    }

    #[test]
    fn it_ends_with_the_first_step_that_reaches_before_the_window() {
        let log: Vec<_> = (81..=104).map(own).collect();
        let (steps, seen, cut) = read(&log, Reach::Window, 1000);
        assert_eq!(steps, [22..24, 6..22]);
        assert_eq!(seen, [100, 101, 102, 103, 104]);
        assert!(!cut);
        let (steps, seen, cut) = read(&log, Reach::Limit, 1000);
        assert_eq!(steps, [22..24, 6..22, 0..6]);
        assert_eq!((seen.len(), cut), (5, false));
    }

    #[test]
    fn the_newest_own_record_is_kept_for_its_producer() {
        let log: Vec<_> = [own(50), own(51), Content::Unplaced(Uuid::nil())].into();
        assert_eq!(read(&log, Reach::Window, 1000).1, [51, 0]);
    }

    #[test]
    fn the_limit_is_for_records_of_others() {
        let log: Vec<_> = (101..=120).map(own).collect();
        let (_, seen, cut) = read(&log, Reach::Window, 5);
        assert_eq!((seen.len(), cut), (20, false));
        let (_, seen, cut) = read(&log, Reach::Limit, 5);
        assert_eq!((seen.len(), cut), (5, true));

        let others = |count| std::iter::repeat_n(Content::Unplaced(Uuid::nil()), count);
        let mixed: Vec<_> = log.iter().copied().chain(others(3)).chain(log.iter().copied()).chain(others(2)).collect();
        let (_, seen, cut) = read(&mixed, Reach::Window, 5);
        assert_eq!((seen.len(), cut), (25, true));
        let (_, seen, cut) = read(&mixed, Reach::Window, 6);
        assert_eq!((seen.len(), cut), (45, false));
        assert_eq!(read(&[], Reach::Window, 20), (vec![], vec![], false));
    }

    #[test]
    fn an_earlier_timeline_shows_that_it_is_before_the_window() {
        let earlier = |commit| Content::OtherTimeline(Position { commit: Lsn::new(commit), index: 0 }, Uuid::nil());
        let log: Vec<_> = (81..=104).map(earlier).collect();
        let (steps, seen, cut) = read(&log, Reach::Window, 3);
        assert_eq!((steps.len(), seen, cut), (3, vec![100, 101, 102, 103, 104], false));
    }
}
