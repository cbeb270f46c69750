//! The readiness and liveness of one relay. The health indicators of PostgreSQL are in `outbox-pg`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::Lsn;
use crate::progress::PartitionId;
use outbox_net::ErrorChain;

/// The time of a loop's last heartbeat.
#[derive(Debug)]
pub(super) struct LoopHeartbeat {
    born: Instant,
    /// Milliseconds since `born`.
    last: AtomicU64,
}

impl LoopHeartbeat {
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

/// A check whether pending work makes progress.
#[derive(Debug, Default)]
pub(super) struct Movement {
    /// The time since which there has been work without progress.
    since: Option<Instant>,
}

impl Movement {
    /// Records progress; `done` is the amount of work since the last call.
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

/// The part of the relay's work that fails.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// Reaching any broker.
    Cluster,
    /// Getting a producer id.
    ProducerId,
    /// Finding or creating a topic.
    Topic(Box<str>),
    /// Reading a partition's end.
    Log(PartitionId),
    /// Writing to a partition.
    Batch(PartitionId),
    /// The right to read a topic, which the next start needs.
    ReadAccess(Box<str>),
}

/// The operations that fail at present, and are retried.
#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<Work, Problem>);

#[derive(Debug)]
struct Problem {
    since: Instant,
    error: outbox_kafka::Error,
}

/// The time within which leaders usually move and connections recover. Up to it, the relay stays ready.
const BRIEF: Duration = Duration::from_secs(1);
/// The number of different failures that a reason names.
const SHOWN: usize = 3;

impl Problems {
    /// Returns whether this failure is new: it is logged once and not for each attempt or partition.
    pub(super) fn add(&mut self, work: Work, error: outbox_kafka::Error, now: Instant) -> bool {
        let is_new = !self.has(&error);
        let since = self.0.get(&work).map_or(now, |problem| problem.since);
        self.0.insert(work, Problem { since, error });
        is_new
    }

    /// Returns the failure if it has ended everywhere.
    pub(super) fn remove(&mut self, work: &Work) -> Option<outbox_kafka::Error> {
        let removed = self.0.remove(work)?;
        (!self.has(&removed.error)).then_some(removed.error)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the different failures in words, the oldest first, unless all of them are brief.
    pub(super) fn reason(&self, now: Instant) -> Option<String> {
        let mut lasting: Vec<&Problem> =
            self.0.values().filter(|problem| now.saturating_duration_since(problem.since) >= BRIEF).collect();
        lasting.sort_by_key(|problem| problem.since);
        let seconds = now.saturating_duration_since(lasting.first()?.since).as_secs();

        let mut different: Vec<&Problem> = Vec::new();
        for problem in lasting {
            if !different.iter().any(|other| other.error.is_same_failure(&problem.error)) {
                different.push(problem);
            }
        }
        let shown: Vec<String> =
            different.iter().take(SHOWN).map(|problem| ErrorChain::new(&problem.error).to_string()).collect();
        let others = match different.len().saturating_sub(SHOWN) {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        Some(format!("retrying for {seconds} s: {}{others}", shown.join("; ")))
    }

    fn has(&self, error: &outbox_kafka::Error) -> bool {
        self.0.values().any(|problem| problem.error.is_same_failure(error))
    }
}

/// The time for which PostgreSQL has sent nothing because a standby of `synchronized_standby_slots` is behind.
#[derive(Debug, Default)]
pub(super) struct StandbyWait {
    /// The position that the walsender had sent when it was seen to wait, and when that was.
    first: Option<(Lsn, Instant)>,
    /// Whether it was seen there again. A single observation may be one of the moments between two messages.
    is_repeated: bool,
}

impl StandbyWait {
    /// Takes an observation: the position that the walsender has sent, if it waits for a standby.
    pub(super) fn observe(&mut self, sent: Option<Lsn>, now: Instant) {
        match (self.first, sent) {
            (Some((before, _)), Some(sent)) if before == sent => self.is_repeated = true,
            _ => *self = Self { first: sent.map(|sent| (sent, now)), is_repeated: false },
        }
    }

    /// Returns how long the walsender waits, once that is certain.
    pub(super) fn duration(&self, now: Instant) -> Option<Duration> {
        let (_, since) = self.first.filter(|_| self.is_repeated)?;
        Some(now.saturating_duration_since(since))
    }
}

/// The activity of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// It is connecting to take the slot, for the first time or again.
    Connecting,
    /// Another process holds the slot; this one waits.
    Standby,
    /// It holds the slot, and reads what was written before it took it.
    CatchUp,
    /// It holds the slot, and reads what is written.
    Live,
    /// It was instructed to stop, and waits for acknowledgements.
    Draining,
    /// It has ended.
    Stopped,
}

impl Mode {
    pub(super) const ALL: [Self; 6] =
        [Self::Connecting, Self::Standby, Self::CatchUp, Self::Live, Self::Draining, Self::Stopped];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Standby => "standby",
            Self::CatchUp => "catch-up",
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The readiness of a relay. `Display` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// It holds the slot and makes progress.
    Ready,
    /// Another process holds the slot, and this one would take over: nothing is wrong.
    Standby(String),
    /// It does not do its work, for this reason.
    NotReady(String),
}

impl Readiness {
    /// Returns whether it holds the slot and makes progress.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Standby(reason) => write!(f, "standby: {reason}"),
            Self::NotReady(reason) => write!(f, "not ready: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_certain_if_nothing_was_sent_between_two_observations() {
        let (mut wait, start) = (StandbyWait::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        wait.observe(Some(Lsn::new(10)), at(0));
        assert_eq!(wait.duration(at(9)), None);
        wait.observe(Some(Lsn::new(20)), at(10));
        assert_eq!(wait.duration(at(19)), None);
        wait.observe(Some(Lsn::new(20)), at(20));
        assert_eq!(wait.duration(at(25)), Some(Duration::from_secs(15)));
        wait.observe(None, at(30));
        assert_eq!(wait.duration(at(31)), None);
    }
}
