use std::ops::Range;

use super::action::{Content, Seen, Tail};
use super::window::Window;
use crate::Lsn;

/// The plan of reading the end of a log: backwards in growing steps, each of them forwards, and not further than needed.
///
/// Own records before the window show that all of the window's records are after them, because one partition is written
/// in the order of the WAL. So the first step that meets one is the last.
#[derive(Debug)]
pub(crate) struct Scan {
    confirmed: Lsn,
    reach: Reach,
    log_start: i64,
    end: i64,
    /// The scan's limit, or the start of the log.
    floor: i64,
    /// Every record from here on was read.
    from: i64,
    step: i64,
    reaches_back: bool,
    has_own: bool,
    /// The steps' records, the newest step first.
    steps: Vec<Vec<Seen>>,
    /// The newest own record before the window of the step under way, and its place in the step.
    older: Option<(usize, Seen)>,
}

/// How far a scan goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To the first step with an own record of before the window.
    Window,
    /// To the limit: dead letters are not in the order of the WAL.
    Limit,
}

/// How much longer each step is than the one before.
const GROWTH: i64 = 8;

impl Scan {
    /// Plans to read back from `end`, over `limit` offsets at most; the first step has `first` offsets.
    pub(crate) fn new(window: &Window, reach: Reach, log: Range<i64>, limit: u64, first: i64) -> Self {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let end = log.end.max(log.start);
        Self {
            confirmed: window.confirmed,
            reach,
            log_start: log.start,
            end,
            floor: end.saturating_sub(limit).max(log.start),
            from: end,
            step: first.max(1),
            reaches_back: false,
            has_own: false,
            steps: Vec::new(),
            older: None,
        }
    }

    /// Returns the offsets to read next; none if the scan is complete.
    pub(crate) fn next_step(&mut self) -> Option<Range<i64>> {
        self.end_step();
        let is_enough = self.reaches_back && self.reach == Reach::Window;
        if is_enough || self.from <= self.floor {
            return None;
        }
        let to = self.from;
        self.from = to.saturating_sub(self.step).max(self.floor);
        self.step = self.step.saturating_mul(GROWTH);
        self.steps.push(Vec::new());
        Some(self.from..to)
    }

    /// A record of the step, in the log's order.
    pub(crate) fn seen(&mut self, seen: Seen) {
        let Some(step) = self.steps.last_mut() else { return };
        match seen.content {
            // Of the rows before the window only the producer of the newest one matters.
            Content::Own(position, _) if position.commit < self.confirmed => {
                self.reaches_back = true;
                self.older = Some((step.len(), seen));
            }
            Content::Own(..) => {
                self.older = None;
                step.push(seen);
            }
            Content::Unplaced(_) => step.push(seen),
        }
    }

    /// Returns what was seen, in the log's order.
    pub(crate) fn finish(mut self) -> (Vec<Seen>, Tail) {
        self.end_step();
        let cut = self.floor > self.log_start && !self.reaches_back;
        let seen = self.steps.into_iter().rev().flatten().collect();
        (seen, Tail { end: self.end, cut })
    }

    fn end_step(&mut self) {
        let older = self.older.take().filter(|_| !self.has_own);
        let Some(step) = self.steps.last_mut() else { return };
        if let Some((place, seen)) = older {
            step.insert(place.min(step.len()), seen);
        }
        self.has_own = self.has_own || step.iter().any(|seen| matches!(seen.content, Content::Own(..)));
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::uuid::Uuid;

    use super::*;
    use crate::position::Position;

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
        let commits = seen.iter().map(|seen| match seen.content {
            Content::Own(position, _) => position.commit.as_u64(),
            Content::Unplaced(_) => 0,
        });
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
    fn the_limit_cuts_only_if_the_window_may_be_before_it() {
        let log: Vec<_> = (101..=120).map(own).collect();
        let (steps, seen, cut) = read(&log, Reach::Window, 5);
        assert_eq!((steps.len(), seen.len(), cut), (2, 5, true));
        let whole = read(&log, Reach::Window, 20);
        assert_eq!((whole.1.len(), whole.2), (20, false));
        assert_eq!(read(&[], Reach::Window, 20), (vec![], vec![], false));
    }
}
