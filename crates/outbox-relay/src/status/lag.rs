use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::Lsn;

/// When the transactions were committed that are not confirmed yet. Those of about the same time are one mark.
#[derive(Debug, Default)]
pub(crate) struct CommitTimes(VecDeque<Mark>);

#[derive(Debug)]
struct Mark {
    at: SystemTime,
    last: Lsn,
}

const SAME: Duration = Duration::from_millis(500);

impl CommitTimes {
    pub(crate) fn begin(&mut self, commit: Lsn, at: SystemTime) {
        match self.0.back_mut() {
            Some(mark) if at.duration_since(mark.at).is_ok_and(|later| later < SAME) => mark.last = commit,
            _ => self.0.push_back(Mark { at, last: commit }),
        }
    }

    /// Returns when the oldest transaction was committed that begins at or after this position.
    pub(crate) fn oldest(&mut self, confirmed: Lsn) -> Option<SystemTime> {
        while self.0.front().is_some_and(|mark| mark.last < confirmed) {
            self.0.pop_front();
        }
        self.0.front().map(|mark| mark.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_told_until_it_is_confirmed() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let mut marks = CommitTimes::default();
        for (commit, millis) in [(10, 0), (20, 100), (30, 9_000), (40, 9_100)] {
            marks.begin(Lsn::new(commit), at(millis));
        }
        assert_eq!(marks.0.len(), 2);
        assert_eq!(marks.oldest(Lsn::new(15)), Some(at(0)));
        assert_eq!(marks.oldest(Lsn::new(25)), Some(at(9_000)));
        assert_eq!(marks.oldest(Lsn::new(45)), None);
    }
}
