use std::collections::VecDeque;

/// Where the WAL was at which time, as earlier checks saw it. PostgreSQL does not tell when a position was written.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<Sample>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    position: u64,
    millis: u64,
}

const CAPACITY: usize = 1_024;

impl Samples {
    /// A time at which all that was written is confirmed by now, the latest that is known.
    pub(super) fn confirmed_at(&mut self, confirmed: u64, written: u64, now: u64) -> Option<u64> {
        if self.0.len() == CAPACITY {
            // A slot that stands still: thinned out, the oldest stays, and so the age is right.
            let mut index = 0;
            self.0.retain(|_| {
                index += 1;
                index % 2 == 1
            });
        }
        self.0.push_back(Sample { position: written, millis: now });
        while self.0.get(1).is_some_and(|next| next.position <= confirmed) {
            self.0.pop_front();
        }
        self.0.front().filter(|oldest| oldest.position <= confirmed).map(|oldest| oldest.millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_what_is_unconfirmed_is_that_of_the_last_position_that_was_confirmed() {
        let mut samples = Samples::default();
        assert_eq!(samples.confirmed_at(50, 100, 1), None, "what was before the first check is not known");
        assert_eq!(samples.confirmed_at(100, 200, 2), Some(1));
        for now in 3..3_000 {
            assert_eq!(samples.confirmed_at(100, 200 + now, now), Some(1));
        }
        assert!(samples.0.len() <= CAPACITY);
        assert_eq!(samples.confirmed_at(9_000, 9_000, 3_000), Some(3_000));
        assert_eq!(samples.0.len(), 1);
    }
}
