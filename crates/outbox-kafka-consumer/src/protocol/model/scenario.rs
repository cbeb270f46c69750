use stateright::Property;

use super::{Consumers, property};
use crate::Isolation;

/// A record of a topic: event and key.
pub type Logged = (u8, u8);

/// A situation whose interleavings are walked.
pub struct Scenario {
    /// The records, by life of the topic, partition and offset. A topic that is created again begins another life.
    pub lives: &'static [&'static [&'static [Logged]]],
    pub lanes: usize,
    pub handler: Handler,
    pub begin: Begin,
    /// The largest number of faults.
    pub faults: u8,
    /// The states that must be seen, so that the walk shows something.
    pub witnesses: fn() -> Vec<Property<Consumers>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Its effects are in the transaction.
    Inside,
    /// The same, and it never fails.
    Healthy,
    /// Its effects are outside of the transaction: each event's at least once.
    Outside,
}

/// The beginning of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At once, at `READ COMMITTED`.
    AtOnce,
    /// Its snapshot comes first. Other transactions may commit while it waits for the lock of its partition.
    InSteps(Isolation),
}

/// The rule that is left out, to see that its absence is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    Nothing,
    NoEpochCheck,
    InboxAfterEffect,
    PurgeAbovePosition,
    /// The position is kept although the topic is another one.
    PositionOfAnotherLife,
    /// An event is not held if another one is held at its offset.
    HeldByOffset,
    /// An event that came by another partition is not known.
    InboxOfPartition,
    /// A handler that loses against another transaction counts as one that has returned.
    RecordedAfterConflict,
    /// An event is recorded as handled before its handler is called.
    RecordedBeforeCall,
    /// The epoch is read before the partition's lock is there.
    EpochBeforeLock,
    /// The row of the epoch is not locked before a commit.
    FenceOfSnapshot,
    /// An event whose transaction fails at the fence counts as failed.
    ConflictParks,
}

/// One partition and one life. The last record is the first one again.
pub static BASE: Scenario = Scenario {
    lives: &[&[&[(0, b'a'), (1, b'b'), (2, b'a'), (0, b'a')]]],
    lanes: 2,
    handler: Handler::Inside,
    begin: Begin::AtOnce,
    faults: 3,
    witnesses: property::base,
};

/// The topic is created again, and its offsets begin at 0 again. One event is in both lives, at another offset.
pub static TWO_LIVES: Scenario = Scenario {
    lives: &[&[&[(0, b'a'), (1, b'b')]], &[&[(2, b'b'), (0, b'a'), (3, b'a')]]],
    lanes: 1,
    handler: Handler::Inside,
    begin: Begin::AtOnce,
    faults: 3,
    witnesses: property::two_lives,
};

/// Two partitions, each with another key. One event is in both.
pub static TWO_PARTITIONS: Scenario = Scenario {
    lives: &[&[&[(0, b'a'), (2, b'a')], &[(1, b'b'), (2, b'b')]]],
    lanes: 1,
    handler: Handler::Inside,
    begin: Begin::AtOnce,
    faults: 2,
    witnesses: property::two_partitions,
};

/// A handler with effects outside of the transaction.
pub static OUTSIDE: Scenario = Scenario {
    lives: &[&[&[(0, b'a'), (1, b'a'), (0, b'a')]]],
    lanes: 1,
    handler: Handler::Outside,
    begin: Begin::AtOnce,
    faults: 3,
    witnesses: property::outside,
};

/// Transactions at each isolation level.
pub static READ_COMMITTED: Scenario = at(Isolation::ReadCommitted, property::fenced);
pub static REPEATABLE_READ: Scenario = at(Isolation::RepeatableRead, property::strict);
pub static SERIALIZABLE: Scenario = at(Isolation::Serializable, property::strict);

const fn at(level: Isolation, witnesses: fn() -> Vec<Property<Consumers>>) -> Scenario {
    Scenario {
        lives: &[&[&[(0, b'a'), (1, b'a')]]],
        lanes: 1,
        handler: Handler::Healthy,
        begin: Begin::InSteps(level),
        faults: 3,
        witnesses,
    }
}
