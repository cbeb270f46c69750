//! The records found in a topic, compared with those written.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::rows;

/// A number beyond this is none that was written, and the ledger must not grow to hold it.
const BOUND: u64 = 1 << 28;

/// The records of a topic, in the order in which they were read.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    seen: Vec<bool>,
    /// The highest number of each aggregate so far.
    last: HashMap<u64, u64>,
    distinct: u64,
    doubled: Count,
    swapped: Count,
    foreign: u64,
}

/// The number of times that something was found, and the first number that it was found at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    pub(crate) count: u64,
    pub(crate) first: Option<u64>,
}

/// The faults of the records of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Audit {
    pub(crate) lost: Count,
    pub(crate) doubled: Count,
    /// Records that came after a later one of the same aggregate.
    pub(crate) swapped: Count,
    /// Foreign records: another key, or a value that the benchmark has not written.
    pub(crate) foreign: u64,
}

impl Ledger {
    /// Takes down a record; its number, if it is one that was not there before.
    pub(crate) fn enter(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Option<u64> {
        let number = value.and_then(rows::number).filter(|number| *number < BOUND);
        let Some(number) = number.filter(|number| key == Some(rows::key(*number).as_bytes())) else {
            self.foreign += 1;
            return None;
        };
        let at = usize::try_from(number).ok()?;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, false);
        }

        let seen = self.seen.get_mut(at)?;
        if std::mem::replace(seen, true) {
            self.doubled.add(number);
            return None;
        }

        self.distinct += 1;
        let last = self.last.entry(number % rows::AGGREGATES).or_insert(number);
        if *last > number {
            self.swapped.add(number);
        }
        *last = number.max(*last);
        Some(number)
    }

    /// Returns how many different numbers were found.
    pub(crate) fn distinct(&self) -> u64 {
        self.distinct
    }

    /// Holds it against the numbers that were written.
    pub(crate) fn audit(&self, written: impl IntoIterator<Item = u64>) -> Audit {
        let mut lost = Count::default();
        let mut found = 0;
        for number in written {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            match self.seen.get(at) {
                Some(true) => found += 1,
                _ => lost.add(number),
            }
        }

        Audit {
            lost,
            doubled: self.doubled,
            swapped: self.swapped,
            foreign: self.foreign + self.distinct.saturating_sub(found),
        }
    }
}

impl Count {
    fn add(&mut self, number: u64) {
        self.count += 1;
        self.first.get_or_insert(number);
    }
}

impl Audit {
    /// Returns whether everything once and in order.
    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (count, what) in [(self.lost, "lost"), (self.doubled, "duplicated"), (self.swapped, "out of order")] {
            if let Some(first) = count.first {
                write!(f, "{between}{} {what}, the first with number {first}", count.count)?;
                between = "; ";
            }
        }

        if self.foreign > 0 {
            write!(f, "{between}{} that nobody wrote", self.foreign)?;
        } else if between.is_empty() {
            f.write_str("everything once and in order")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(numbers: &[u64]) -> Ledger {
        let mut ledger = Ledger::default();
        for number in numbers {
            let value = format!(r#"{{"n":{number},"note":"…"}}"#);
            ledger.enter(Some(rows::key(*number).as_bytes()), Some(value.as_bytes()));
        }
        ledger
    }

    fn once(first: u64) -> Count {
        Count { count: 1, first: Some(first) }
    }

    #[test]
    fn everything_once_and_in_order_is_clean() {
        let audit = ledger(&[1, 0, 2, 2_000, 2_001]).audit([0, 1, 2, 2_000, 2_001]);
        assert!(audit.is_clean(), "{audit}");
        assert_eq!(audit.to_string(), "everything once and in order");
    }

    #[test]
    fn a_lost_row_is_found() {
        let audit = ledger(&[0, 1, 3]).audit(0..5);
        assert_eq!(audit, Audit { lost: Count { count: 2, first: Some(2) }, ..Audit::default() });
        assert_eq!(audit.to_string(), "2 lost, the first with number 2");
    }

    #[test]
    fn a_doubled_row_is_found_and_is_no_disorder() {
        let audit = ledger(&[0, 2_000, 0, 1]).audit([0, 1, 2_000]);
        assert_eq!(audit, Audit { doubled: once(0), ..Audit::default() });
    }

    #[test]
    fn two_rows_of_one_aggregate_in_the_wrong_order_are_found() {
        let audit = ledger(&[4_000, 1, 2_000, 6_000]).audit([1, 2_000, 4_000, 6_000]);
        assert_eq!(audit, Audit { swapped: once(2_000), ..Audit::default() });
    }

    #[test]
    fn what_nobody_wrote_is_found() {
        let mut ledger = ledger(&[0, 9]);
        assert_eq!(ledger.enter(Some(b"agg-2"), Some(br#"{"n":1}"#)), None);
        assert_eq!(ledger.enter(Some(b"agg-1"), Some(b"nonsense")), None);
        assert_eq!(ledger.enter(None, None), None);
        assert_eq!(ledger.enter(Some(b"agg-1615"), Some(br#"{"n":18446744073709551615}"#)), None);
        assert_eq!(ledger.audit([0]), Audit { foreign: 5, ..Audit::default() });
    }
}
