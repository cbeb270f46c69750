//! Every interleaving of two consumers over a few events of two keys: claims, expiries (so pauses), crashes, late and
//! unknown commits, failures with parking and retries, purges. Each [scenario](scenario) adds a dimension to that: two
//! lives of a topic, two partitions, a handler outside of the transaction, isolation levels. The functions of this
//! module's parent decide what the consumers do; [`store`] does what PostgreSQL does.

mod consumer;
mod property;
mod scenario;
mod store;

use stateright::{Checker as _, HasDiscoveries, Model, Property};

use self::consumer::{Lane, Session, Tx};
use self::scenario::{Begin, Handler, Planted, Scenario};
use self::store::{Record, Store};
use crate::Isolation;

/// The rules by which two consumers work in a scenario.
#[derive(Clone, Copy)]
struct Consumers {
    scenario: &'static Scenario,
    planted: Planted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    store: Store,
    /// By partition and consumer.
    sessions: Vec<[Option<Session>; 2]>,
    /// Transactions whose client is gone: a COMMIT that was sent may still be carried out.
    orphans: Vec<Tx>,
    /// The life of the topic.
    life: usize,
    /// The number of faults that may still happen.
    faults: u8,
    /// A transaction has lost against another one.
    has_conflicted: bool,
}

/// A lane of a consumer in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    partition: usize,
    consumer: usize,
    lane: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// Lets the lease of a partition expire.
    Expire(usize),
    /// Deletes the topic and creates it again.
    Recreate,
    /// Takes the lease of a partition, or opens the partition again, under a new epoch.
    Open(usize, usize),
    /// Begins again in a topic that was created again.
    Reset(usize, usize),
    /// Moves the position of a partition in the store.
    Advance(usize, usize),
    /// Ends a consumer, with its connections.
    Crash(usize),
    CommitLate(usize),
    RollBack(usize),
    Purge,
    InLane(Place, LaneStep),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum LaneStep {
    Wait,
    Begin,
    Retry,
    /// Fails a handler of the transaction: its event is parked.
    Fail,
    Commit,
    /// Commits, and the owner does not learn it.
    CommitUnknown,
    /// Loses against another transaction at the commit.
    Lose,
    /// Calls the handler outside of the transaction.
    Call,
    FailCall,
    LoseCall,
    /// Only with a planted bug: writes the inbox row in a later transaction.
    Remember,
}

const IN_LANE: [LaneStep; 11] = [
    LaneStep::Wait,
    LaneStep::Begin,
    LaneStep::Retry,
    LaneStep::Fail,
    LaneStep::Commit,
    LaneStep::CommitUnknown,
    LaneStep::Lose,
    LaneStep::Call,
    LaneStep::FailCall,
    LaneStep::LoseCall,
    LaneStep::Remember,
];

impl Model for Consumers {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let partitions = self.scenario.lives[0].len();
        vec![World {
            store: Store::new(partitions),
            sessions: vec![[None, None]; partitions],
            orphans: Vec::new(),
            life: 0,
            faults: self.scenario.faults,
            has_conflicted: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        actions.extend([Step::Recreate, Step::Purge, Step::Crash(0), Step::Crash(1)]);
        for orphan in 0..world.orphans.len() {
            actions.extend([Step::CommitLate(orphan), Step::RollBack(orphan)]);
        }
        for partition in 0..world.sessions.len() {
            actions.push(Step::Expire(partition));
            for consumer in 0..2 {
                let of_owner = [Step::Open, Step::Reset, Step::Advance];
                actions.extend(of_owner.map(|step| step(partition, consumer)));
                for lane in 0..self.scenario.lanes {
                    let place = Place { partition, consumer, lane };
                    actions.extend(IN_LANE.map(|step| Step::InLane(place, step)));
                }
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut world = world.clone();
        world.take(step, self).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all(self.scenario)
    }
}

impl Consumers {
    fn has(&self, planted: Planted) -> bool {
        self.planted == planted
    }

    fn record(&self, life: usize, partition: usize, offset: i64) -> Record {
        let (event, key) = self.scenario.lives[life][partition][offset as usize];
        Record { event, key, partition, offset }
    }

    /// Returns how many events share a transaction at most.
    fn batch(&self) -> usize {
        if self.scenario.handler == Handler::Outside { 1 } else { 2 }
    }

    /// Returns whether the snapshot of a transaction is of its begin.
    fn is_strict(&self) -> bool {
        matches!(self.scenario.begin, Begin::InSteps(level) if level != Isolation::ReadCommitted)
    }

    fn has_dead_letters(&self) -> bool {
        self.scenario.lives.len() > 1
    }
}

impl World {
    /// Takes a step; returns `false` if it cannot be taken.
    fn take(&mut self, step: Step, rules: &Consumers) -> bool {
        match step {
            Step::Expire(partition) => {
                let position = &self.store.positions[partition];
                position.lease.is_some() && !position.is_expired && self.goes_wrong() && {
                    self.store.positions[partition].is_expired = true;
                    true
                }
            }
            Step::Recreate => {
                self.life + 1 < rules.scenario.lives.len() && {
                    self.life += 1;
                    true
                }
            }
            Step::Open(partition, consumer) => self.open(partition, consumer, rules),
            Step::Reset(partition, consumer) => self.reset(partition, consumer, rules),
            Step::Advance(partition, consumer) => self.advance(partition, consumer, rules),
            Step::Crash(consumer) => self.crash(consumer, rules),
            Step::CommitLate(orphan) => {
                let tx = self.orphans.remove(orphan);
                let may_commit = tx.may_commit(&self.store.positions[tx.partition], rules);
                may_commit && {
                    self.store.apply(&tx, rules);
                    true
                }
            }
            Step::RollBack(orphan) => {
                self.orphans.remove(orphan);
                true
            }
            Step::Purge => self.goes_wrong() && self.store.purge(self.life, rules),
            Step::InLane(place, step) => self.take_in_lane(place, step, rules),
        }
    }

    fn take_in_lane(&mut self, place: Place, step: LaneStep, rules: &Consumers) -> bool {
        match step {
            LaneStep::Wait => self.wait(place, rules),
            LaneStep::Begin => self.begin(place, rules),
            LaneStep::Retry => self.retry(place, rules),
            LaneStep::Fail => {
                let can_fail = rules.scenario.handler == Handler::Inside;
                can_fail && self.goes_wrong() && self.tx(place).is_some_and(|tx| tx.fail(rules))
            }
            LaneStep::Commit => self.commit(place, rules),
            LaneStep::CommitUnknown => {
                self.tx(place).is_some() && self.goes_wrong() && self.commit(place, rules) && {
                    self.sessions[place.partition][place.consumer] = None;
                    true
                }
            }
            LaneStep::Lose => self.lose(place, rules),
            LaneStep::Call => self.call(place, rules),
            LaneStep::FailCall => self.goes_wrong() && self.fail_call(place, rules),
            LaneStep::LoseCall => self.goes_wrong() && self.lose_call(place, rules),
            LaneStep::Remember => self.remember(place, rules),
        }
    }

    fn open(&mut self, partition: usize, consumer: usize, rules: &Consumers) -> bool {
        let position = &self.store.positions[partition];
        let is_free = position.is_expired || position.lease.is_none_or(|owner| owner == consumer);
        let is_open = self.sessions[partition][consumer].is_some() && position.lease == Some(consumer);
        if !is_free || is_open {
            return false;
        }

        self.end_transactions(partition);
        let (life, position) = (self.life, &mut self.store.positions[partition]);
        (position.lease, position.is_expired) = (Some(consumer), false);
        position.epoch += 1;
        position.life.get_or_insert(life);
        position.changed(rules);
        self.sessions[partition][consumer] = Some(Session::open(&self.store, partition, life, rules));
        true
    }

    /// Ends open transactions of a partition. A successor waits for the lock that they share, and ends those that keep
    /// it.
    fn end_transactions(&mut self, partition: usize) {
        self.orphans.retain(|tx| tx.partition != partition);
        for session in &mut self.sessions[partition] {
            if session.as_ref().is_some_and(|session| session.lanes.iter().any(|lane| lane.tx.is_some())) {
                *session = None;
            }
        }
    }

    fn crash(&mut self, consumer: usize, rules: &Consumers) -> bool {
        let sessions = self.sessions.iter_mut().filter_map(|of_partition| of_partition[consumer].take());
        let lanes: Vec<Lane> = sessions.flat_map(|session| session.lanes).collect();
        let (store, txs) = (&self.store, lanes.iter().filter_map(|lane| lane.tx.clone()));
        self.orphans.extend(txs.filter(|tx| tx.may_commit(&store.positions[tx.partition], rules)));
        !lanes.is_empty() && self.goes_wrong()
    }

    fn goes_wrong(&mut self) -> bool {
        self.faults > 0 && {
            self.faults -= 1;
            true
        }
    }

    fn tx(&mut self, place: Place) -> Option<&mut Tx> {
        let session = self.sessions[place.partition][place.consumer].as_mut();
        session.and_then(|session| session.lanes[place.lane].tx.as_mut())
    }

    fn txs(&self) -> impl Iterator<Item = &Tx> {
        let lanes = self.sessions.iter().flatten().flatten().flat_map(|session| &session.lanes);
        lanes.filter_map(|lane| lane.tx.as_ref()).chain(&self.orphans)
    }
}

/// Walks a scenario without a planted bug; returns how many states there are.
fn walk(scenario: &'static Scenario) -> usize {
    let rules = Consumers { scenario, planted: Planted::Nothing };
    let checker = rules.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
    checker.unique_state_count()
}

/// Checks that each bug leads to a state that must never be seen.
fn find(scenario: &'static Scenario, bugs: &[Planted]) {
    for planted in bugs.iter().copied() {
        let rules = Consumers { scenario, planted };
        let checker = rules.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let found = property::NEVER.iter().find(|name| checker.discovery(name).is_some());
        println!("{planted:?}: {found:?} after {} states", checker.unique_state_count());
        assert!(found.is_some(), "{planted:?} is not found in {} states", checker.unique_state_count());
    }
}

#[test]
fn no_interleaving_duplicates_loses_or_reorders_an_effect() {
    let states = walk(&scenario::BASE);
    assert!(states > 10_000, "{states}");
    find(&scenario::BASE, &[Planted::NoEpochCheck, Planted::InboxAfterEffect, Planted::PurgeAbovePosition]);
}

#[test]
fn a_topic_that_is_created_again_loses_and_duplicates_nothing() {
    walk(&scenario::TWO_LIVES);
    find(&scenario::TWO_LIVES, &[Planted::PositionOfAnotherLife, Planted::HeldByOffset]);
}

#[test]
fn an_event_in_two_partitions_takes_effect_once() {
    walk(&scenario::TWO_PARTITIONS);
    find(&scenario::TWO_PARTITIONS, &[Planted::InboxOfPartition, Planted::NoEpochCheck]);
}

#[test]
fn a_handler_outside_of_the_transaction_has_returned_before_its_event_is_recorded() {
    walk(&scenario::OUTSIDE);
    find(&scenario::OUTSIDE, &[Planted::RecordedAfterConflict, Planted::RecordedBeforeCall]);
}

#[test]
fn the_fence_holds_at_each_isolation_level_and_parks_no_healthy_event() {
    walk(&scenario::READ_COMMITTED);
    find(&scenario::READ_COMMITTED, &[Planted::EpochBeforeLock]);
    for strict in [&scenario::REPEATABLE_READ, &scenario::SERIALIZABLE] {
        walk(strict);
        find(strict, &[Planted::FenceOfSnapshot, Planted::ConflictParks]);
    }
}
