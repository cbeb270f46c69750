use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When a loop showed itself last.
#[derive(Debug)]
pub(super) struct Pulse {
    born: Instant,
    /// Milliseconds since `born`.
    last: AtomicU64,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { born: now, last: AtomicU64::new(0) }
    }

    pub(super) fn beat(&self, now: Instant) {
        let since = now.saturating_duration_since(self.born).as_millis();
        self.last.fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn silence(&self, now: Instant) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        now.saturating_duration_since(self.born).saturating_sub(last)
    }
}

/// Whether work that is there is being done.
#[derive(Debug, Default)]
pub(super) struct Movement {
    /// Since when there has been work, and none of it was done.
    since: Option<Instant>,
}

impl Movement {
    /// Records progress; `done` is how much was done since the last look.
    pub(super) fn observe(&mut self, now: Instant, has_work: bool, done: u64) {
        self.since = match self.since {
            _ if !has_work => None,
            Some(since) if done == 0 => Some(since),
            _ => Some(now),
        };
    }

    pub(super) fn stalled(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}
