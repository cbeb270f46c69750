use std::collections::BTreeSet;

use super::consumer::{Tx, Work};
use super::{Consumers, Planted};

/// A record with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub event: u8,
    pub key: u8,
    pub partition: usize,
    pub offset: i64,
}

/// The committed state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Store {
    pub positions: Vec<Position>,
    pub inbox: BTreeSet<Known>,
    /// In the order in which they wait.
    pub held: Vec<Held>,
    /// Events and their keys, in the order of the effects. Those of a handler outside of the transaction are not
    /// PostgreSQL's, but nothing takes them back either.
    pub effects: Vec<(u8, u8)>,
    pub is_purged: bool,
}

/// Position and lease of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    pub lease: Option<usize>,
    pub is_expired: bool,
    pub epoch: u8,
    pub next: i64,
    /// The life of the topic that the position belongs to.
    pub life: Option<usize>,
    /// The number of changes, if snapshots matter.
    pub version: u8,
}

/// An event in the inbox. The partition is the same for all, unless that bug is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Known {
    partition: usize,
    pub event: u8,
}

/// An event that is parked, or a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    pub record: Record,
    pub is_dead: bool,
}

/// The state that a transaction sees.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    pub epoch: u8,
    pub version: u8,
    pub inbox: BTreeSet<Known>,
    pub held: Vec<Held>,
}

impl Position {
    /// Counts a change of the row, if snapshots matter.
    pub fn changed(&mut self, rules: &Consumers) {
        if rules.is_strict() {
            self.version += 1;
        }
    }
}

impl Known {
    fn of(record: &Record, rules: &Consumers) -> Self {
        let partition = if rules.has(Planted::InboxOfPartition) { record.partition } else { 0 };
        Self { partition, event: record.event }
    }
}

impl Snapshot {
    pub fn knows(&self, record: &Record, rules: &Consumers) -> bool {
        self.inbox.contains(&Known::of(record, rules))
    }

    pub fn is_blocked(&self, key: u8) -> bool {
        self.held.iter().any(|held| held.record.key == key)
    }
}

impl Store {
    pub fn new(partitions: usize) -> Self {
        Self { positions: vec![Position::default(); partitions], ..Self::default() }
    }

    pub fn snapshot(&self, partition: usize) -> Snapshot {
        let Position { epoch, version, .. } = self.positions[partition];
        Snapshot { epoch, version, inbox: self.inbox.clone(), held: self.held.clone() }
    }

    /// Returns whether nothing is lost if this event does not come again.
    pub fn has(&self, event: u8) -> bool {
        self.effects.iter().any(|(done, _)| *done == event) || self.held.iter().any(|held| held.record.event == event)
    }

    /// Returns the held event of the partition that is tried next.
    pub fn head(&self, partition: usize, is_of_lane: impl Fn(u8) -> bool) -> Option<Record> {
        let is_first = |n: usize| {
            let key = self.held[n].record.key;
            !self.held[..n].iter().any(|held| held.record.key == key)
        };
        let head = self.held.iter().enumerate().find(|(n, held)| {
            held.record.partition == partition && is_of_lane(held.record.key) && !held.is_dead && is_first(*n)
        });
        head.map(|(_, held)| held.record)
    }

    /// Takes events into the inbox.
    pub fn take_in(&mut self, records: &[Record], rules: &Consumers) {
        self.inbox.extend(records.iter().map(|record| Known::of(record, rules)));
    }

    /// Commits a transaction, with all that is in it.
    pub fn apply(&mut self, tx: &Tx, rules: &Consumers) {
        self.take_in(&tx.taken, rules);
        self.effects.extend(tx.effects.iter().map(|record| (record.event, record.key)));

        for record in &tx.parked {
            let by_offset = rules.has(Planted::HeldByOffset);
            let is_there = self.held.iter().map(|held| held.record).any(|held| {
                let is_same = by_offset || held.event == record.event;
                (held.partition, held.offset) == (record.partition, record.offset) && is_same
            });
            if !is_there {
                self.held.push(Held { record: *record, is_dead: false });
            }
        }

        match tx.work {
            Work::Batch(_) => {}
            Work::Held(record) => self.held.retain(|held| held.record != record),
            Work::GivenUp(record) => {
                self.held.iter_mut().filter(|held| held.record == record).for_each(|held| held.is_dead = true);
            }
        }
    }

    /// Forgets events that cannot be delivered again, because the inbox's retention exceeds the topic's.
    pub fn purge(&mut self, life: usize, rules: &Consumers) -> bool {
        let comes_again = |event: u8| {
            self.positions.iter().enumerate().any(|(partition, position)| {
                let first = position.life.unwrap_or(life);
                let lives = rules.scenario.lives.iter().skip(first);
                let mut logged = lives.flat_map(|logs| logs[partition]).skip(position.next as usize);
                logged.any(|(logged, _)| *logged == event)
            })
        };
        let is_kept = |known: &Known| {
            let is_held = self.held.iter().any(|held| held.record.event == known.event);
            is_held || !rules.has(Planted::PurgeAbovePosition) && comes_again(known.event)
        };
        let kept: BTreeSet<Known> = self.inbox.iter().copied().filter(is_kept).collect();
        let has_purged = kept.len() < self.inbox.len();

        self.inbox = kept;
        self.is_purged |= has_purged;
        has_purged
    }
}
