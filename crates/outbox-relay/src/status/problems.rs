use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::progress::PartitionId;
use outbox_net::ErrorChain;

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

/// The operations that fail at present, and are tried again.
#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<Work, Problem>);

#[derive(Debug)]
struct Problem {
    since: Instant,
    error: outbox_kafka::Error,
}

/// Leaders move and connections break within this time; that is no reason to be not ready.
const BRIEF: Duration = Duration::from_secs(1);
/// How many different failures a reason names.
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
