use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::FailureKind;

/// The time at which a failed event is tried again: a pure function of the failed attempt.
///
/// The default doubles from 1 s to 5 min, each delay shortened by up to a half at random, and gives up after 12
/// attempts (about half an hour). Rejected events, and data that PostgreSQL refuses (SQLSTATE class 22), get no other
/// attempt.
#[derive(Clone)]
pub struct RetryPolicy(Arc<DelayAfter>);

type DelayAfter = dyn Fn(&FailedAttempt<'_>) -> Option<Duration> + Send + Sync;

/// An attempt at an event that failed, for a [`RetryPolicy`].
#[derive(Clone, Copy, Debug)]
pub struct FailedAttempt<'a> {
    pub(crate) attempt: u32,
    pub(crate) kind: FailureKind,
    pub(crate) error: Option<&'a (dyn StdError + 'static)>,
}

impl<'a> FailedAttempt<'a> {
    /// Returns the number of the attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the kind of failure.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns the first error of type `E` in the handler's error: the error itself, or a source of it.
    ///
    /// There is none after a panic or a timeout, nor of an earlier attempt.
    #[must_use]
    pub fn error<E: StdError + 'static>(&self) -> Option<&'a E> {
        std::iter::successors(self.error, |&error| error.source()).find_map(|error| error.downcast_ref())
    }
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

    /// Creates a policy from a function: the delay after the `attempt`-th attempt (from 1), or `None` to give up.
    #[must_use]
    pub fn new(policy: impl Fn(u32, FailureKind) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self::by_failure(move |failed| policy(failed.attempt, failed.kind))
    }

    /// Creates a policy as [`new`](Self::new) does, with the handler's error.
    ///
    /// ```
    /// # use std::{io, time::Duration};
    /// # use outbox_kafka_consumer::RetryPolicy;
    /// let default = RetryPolicy::default();
    /// RetryPolicy::by_failure(move |failed| match failed.error::<io::Error>() {
    ///     Some(error) if error.kind() == io::ErrorKind::InvalidData => None,
    ///     Some(_) => Some(Duration::from_secs(30)),
    ///     None => default.delay(failed),
    /// });
    /// ```
    #[must_use]
    pub fn by_failure(policy: impl Fn(&FailedAttempt<'_>) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self(Arc::new(policy))
    }

    /// Returns the delay after a failed attempt, before it is shortened at random, or `None` to give up.
    #[must_use]
    pub fn delay(&self, failed: &FailedAttempt<'_>) -> Option<Duration> {
        (self.0)(failed)
    }

    /// Creates a policy without a second attempt.
    #[must_use]
    pub fn never() -> Self {
        Self::new(|_, _| None)
    }

    /// Returns the delay as it is stored: shortened by up to a half, so that events that failed together are not
    /// retried together. `random` is from 0 to 1.
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

    fn failed(attempt: u32, kind: FailureKind) -> FailedAttempt<'static> {
        FailedAttempt { attempt, kind, error: None }
    }

    #[test]
    fn an_error_is_found_below_others() {
        let error = std::io::Error::other(std::fmt::Error);
        let failed = FailedAttempt { error: Some(&error), ..failed(1, FailureKind::Failed) };
        assert!(failed.error::<std::io::Error>().is_some() && failed.error::<std::str::Utf8Error>().is_none());
    }

    #[test]
    fn delays_double_up_to_the_longest_and_end() {
        let policy = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(5), 5);
        let after = |attempt| policy.delay(&failed(attempt, FailureKind::Failed));
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!([after(1), after(2), after(3), after(4)], [seconds(1), seconds(2), seconds(4), seconds(5)]);
        assert_eq!(after(5), None);
        let endless = RetryPolicy::exponential(Duration::from_secs(1), Duration::from_secs(5), u32::MAX);
        assert_eq!(endless.delay(&failed(4_000_000, FailureKind::Panicked)), seconds(5));
    }

    #[test]
    fn what_says_the_same_each_time_is_given_up_at_once() {
        for kind in [FailureKind::Rejected, FailureKind::Data, FailureKind::Undecodable] {
            assert_eq!(RetryPolicy::default().delay(&failed(1, kind)), None);
        }
        assert_eq!(RetryPolicy::never().delay(&failed(1, FailureKind::Failed)), None);
    }

    #[test]
    fn jitter_shortens_by_up_to_a_half() {
        let delay = Duration::from_secs(8);
        assert_eq!(RetryPolicy::jittered(delay, 0.), delay);
        assert_eq!(RetryPolicy::jittered(delay, 1.), Duration::from_secs(4));
        assert_eq!(RetryPolicy::jittered(delay, 7.), Duration::from_secs(4));
    }
}
