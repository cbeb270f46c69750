use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::FailureKind;

/// When an event that failed is tried again: a pure function of the attempt and the kind of failure.
///
/// The default doubles from 1 s to 5 min, each delay shortened by up to a half at random, and gives up after 12
/// attempts (about half an hour). What was rejected, and data that PostgreSQL refuses (SQLSTATE class 22), is given up
/// at once.
#[derive(Clone)]
pub struct RetryPolicy(Arc<dyn Fn(u32, FailureKind) -> Decision + Send + Sync>);

/// What comes after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Another attempt, this long from now; the delay is shortened by up to a half.
    Retry(Duration),
    /// No other attempt.
    GiveUp,
}

impl RetryPolicy {
    /// Delays that double from `first` up to `longest`, until there were `attempts` attempts.
    #[must_use]
    pub fn exponential(first: Duration, longest: Duration, attempts: u32) -> Self {
        Self::new(move |attempt, kind| match kind {
            FailureKind::Rejected | FailureKind::Data | FailureKind::Undecodable => None,
            _ if attempt >= attempts => None,
            _ => Some(
                first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(longest),
            ),
        })
    }

    /// A policy of one's own: the delay after the `attempt`-th attempt (from 1), or `None` to give up.
    #[must_use]
    pub fn new(policy: impl Fn(u32, FailureKind) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |attempt, kind| policy(attempt, kind).map_or(Decision::GiveUp, Decision::Retry)))
    }

    /// No second attempt.
    #[must_use]
    pub fn never() -> Self {
        Self::new(|_, _| None)
    }

    pub(crate) fn decide(&self, attempt: u32, kind: FailureKind) -> Decision {
        (self.0)(attempt, kind)
    }

    /// The delay as it is stored: shortened by up to a half, so that what failed together does not come back together.
    /// `random` is from 0 to 1.
    pub(crate) fn jittered(delay: Duration, random: f64) -> Duration {
        delay.mul_f64(1. - random.clamp(0., 1.) / 2.)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::exponential(Duration::from_secs(1), Duration::from_secs(300), 12)
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_end() {
        let policy = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(5), 5);
        let after = |attempt| policy.decide(attempt, FailureKind::Failed);
        let seconds = |n| Decision::Retry(Duration::from_secs(n));
        assert_eq!([after(1), after(2), after(3), after(4)], [seconds(1), seconds(2), seconds(4), seconds(5)]);
        assert_eq!(after(5), Decision::GiveUp);
        let endless = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(5), u32::MAX);
        assert_eq!(endless.decide(4_000_000, FailureKind::Panicked), seconds(5));
    }

    #[test]
    fn what_says_the_same_each_time_is_given_up_at_once() {
        for kind in [FailureKind::Rejected, FailureKind::Data, FailureKind::Undecodable] {
            assert_eq!(RetryPolicy::default().decide(1, kind), Decision::GiveUp);
        }
        assert_eq!(RetryPolicy::never().decide(1, FailureKind::Failed), Decision::GiveUp);
    }

    #[test]
    fn jitter_shortens_by_up_to_a_half() {
        let delay = Duration::from_secs(8);
        assert_eq!(RetryPolicy::jittered(delay, 0.), delay);
        assert_eq!(RetryPolicy::jittered(delay, 1.), Duration::from_secs(4));
        assert_eq!(RetryPolicy::jittered(delay, 7.), Duration::from_secs(4));
    }
}
