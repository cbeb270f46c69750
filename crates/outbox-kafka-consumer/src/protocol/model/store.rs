use std::collections::BTreeSet;

use super::LOG;
use super::consumer::{Tx, Work};

/// The committed state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub(super) lease: Option<usize>,
    pub(super) is_expired: bool,
    pub(super) epoch: u8,
    pub(super) next: i64,
    pub(super) inbox: BTreeSet<u8>,
    /// In the order in which they wait.
    pub(super) held: Vec<u8>,
    pub(super) effects: Vec<u8>,
    pub(super) is_purged: bool,
}

pub(super) fn key_of(event: u8) -> u8 {
    LOG.iter().find(|(id, _)| *id == event).map_or(0, |(_, key)| *key)
}

impl Store {
    pub(super) fn is_blocked(&self, key: u8) -> bool {
        self.held.iter().any(|event| key_of(*event) == key)
    }

    /// Commits a transaction, with all that is in it.
    pub(super) fn apply(&mut self, tx: &Tx) {
        self.inbox.extend(&tx.taken);
        self.effects.extend(&tx.effects);
        self.held.extend(&tx.parked);
        if let Work::FailedEvent(event) = tx.work {
            self.held.retain(|held| *held != event);
        }
    }

    /// Forgets what cannot come again, which is what a retention beyond the topic's means.
    pub(super) fn purge(&mut self, is_planted: bool) -> bool {
        let aged = |event: &u8| {
            let last = LOG.iter().rposition(|(id, _)| id == event).map_or(0, |offset| offset as i64);
            is_planted || last < self.next
        };
        let before = self.inbox.len();
        let held = self.held.clone();
        self.inbox = self.inbox.iter().copied().filter(|event| held.contains(event) || !aged(event)).collect();
        self.is_purged |= self.inbox.len() < before;
        self.inbox.len() < before
    }
}
