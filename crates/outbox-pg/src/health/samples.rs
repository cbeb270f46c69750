use std::collections::VecDeque;

/// The end of the WAL at different times, as earlier checks saw it. PostgreSQL does not report when a position was
/// written.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<Sample>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    position: u64,
    millis: u64,
}

const CAPACITY: usize = 1_024;

impl Samples {
    /// Stores a sample, and returns the knowledge about the time up to which everything is confirmed.
    pub(super) fn look(&mut self, confirmed: u64, written: u64, now: u64) -> Known {
        if self.0.len() == CAPACITY {
            // For a slot that does not move, samples are thinned out. The oldest one stays, so the age is right.
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

        match self.0.front() {
            Some(oldest) if oldest.position <= confirmed => Known::ConfirmedAt(oldest.millis),
            Some(oldest) if oldest.millis < now => Known::UnconfirmedSince(oldest.millis),
            _ => Known::Nothing,
        }
    }
}

/// The knowledge about the time up to which everything is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The writes up to this time are confirmed, and nothing later is known to be.
    ConfirmedAt(u64),
    /// The position that the first check saw, at this time, is not confirmed yet.
    UnconfirmedSince(u64),
    /// This is the first check, and the slot has not confirmed what it saw.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_what_is_unconfirmed_is_that_of_the_last_position_that_was_confirmed() {
        let mut samples = Samples::default();
        assert_eq!(samples.look(50, 100, 1), Known::Nothing);
        assert_eq!(samples.look(60, 110, 5), Known::UnconfirmedSince(1), "it stood still before the first check");
        assert_eq!(samples.look(100, 200, 6), Known::ConfirmedAt(1));
        for now in 7..3_000 {
            assert_eq!(samples.look(100, 200 + now, now), Known::ConfirmedAt(1));
        }
        assert!(samples.0.len() <= CAPACITY);
        assert_eq!(samples.look(9_000, 9_000, 3_000), Known::ConfirmedAt(3_000));
        assert_eq!(samples.0.len(), 1);
    }
}
