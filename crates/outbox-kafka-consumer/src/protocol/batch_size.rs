/// The number of events that share a transaction: fewer after a conflict with another transaction, and slowly more
/// again.
///
/// Events of different aggregates may change the same rows. The more of them a transaction holds, the more often two
/// transactions wait for each other.
#[derive(Debug)]
pub struct BatchSize {
    most: usize,
    now: usize,
    /// The number of transactions of this size that have committed in a row.
    commits: u32,
}

/// After this many commits in a row the size grows by a sixteenth, and at least by one.
const COMMITS: u32 = 16;

impl BatchSize {
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), now: most.max(1), commits: 0 }
    }

    pub fn get(&self) -> usize {
        self.now
    }

    /// Halves the size after a transaction of this many events has lost against another one.
    pub fn conflicted(&mut self, events: usize) {
        self.now = (events / 2).clamp(1, self.now);
        self.commits = 0;
    }

    /// Counts a commit of this many events. Smaller transactions say nothing about this size.
    pub fn committed(&mut self, events: usize) {
        if events < self.now || self.now == self.most {
            return;
        }
        self.commits += 1;
        if self.commits >= COMMITS {
            self.commits = 0;
            self.now = (self.now + (self.now / 16).max(1)).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_size_halves_at_each_conflict_and_grows_slowly_again() {
        let mut size = BatchSize::new(256);
        size.conflicted(256);
        assert_eq!(size.get(), 128);
        size.conflicted(100);
        assert_eq!(size.get(), 50);
        for _ in 0..COMMITS {
            size.committed(49);
        }

        assert_eq!(size.get(), 50, "smaller transactions do not count");
        for _ in 0..COMMITS {
            size.committed(50);
        }

        assert_eq!(size.get(), 53);
        size.conflicted(1);
        assert_eq!(size.get(), 1);
        let mut commits = 0;
        while size.get() < 256 {
            size.committed(size.get());
            commits += 1;
        }
        assert!((500..2_000).contains(&commits), "{commits}");
    }

    proptest! {
        #[test]
        fn it_stays_between_one_and_the_most(most in 0_usize..1_000, steps: Vec<(bool, u16)>) {
            let mut size = BatchSize::new(most);
            for (conflicts, events) in steps {
                let events = usize::from(events);
                if conflicts { size.conflicted(events) } else { size.committed(events) }
                prop_assert!((1..=most.max(1)).contains(&size.get()));
            }
        }
    }
}
