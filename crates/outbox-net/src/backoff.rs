use std::time::Duration;

/// Growing delays between attempts: each is twice as long as the one before, up to a bound.
///
/// It holds no clock: the caller waits, and decides when it has waited long enough.
///
/// ```
/// use std::time::Duration;
///
/// use outbox_net::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(300));
/// let delays: Vec<_> = (0..4).map(|_| backoff.delay().as_millis()).collect();
/// assert_eq!(delays, [100, 200, 300, 300]);
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Creates delays that start at `first` and never exceed `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Returns the delay before the next attempt.
    #[must_use]
    pub fn delay(&mut self) -> Duration {
        let delay = self.next.min(self.longest);
        self.next = delay.saturating_mul(2);
        delay
    }

    /// Starts again with the first delay, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_start_again_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        assert_eq!((backoff.delay().as_millis(), backoff.delay().as_millis()), (100, 200));
        backoff.reset();
        assert_eq!(backoff.delay().as_millis(), 100);
    }

    #[test]
    fn the_first_delay_is_bounded_too() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::from_secs(1));
        assert_eq!((backoff.delay().as_secs(), backoff.delay().as_secs()), (1, 1));
    }
}
