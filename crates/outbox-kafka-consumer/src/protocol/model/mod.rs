//! Every interleaving of two consumers over a few events of two keys: claims, expiries (so pauses), crashes, late and
//! unknown commits, failures with parking and retries, purges. What the consumers decide is decided by the functions of
//! this module's parent; what PostgreSQL does is in [`store`].

mod consumer;
mod property;
mod store;

use stateright::{Checker as _, HasDiscoveries, Model, Property};

use self::consumer::{Session, Tx};
use self::store::Store;

/// The records of the partition, by offset: event and key. The last one is the first one again.
const LOG: [(u8, u8); 4] = [(0, b'a'), (1, b'b'), (2, b'a'), (0, b'a')];
const LANES: usize = 2;
/// How many things go wrong at most.
const FAULTS: u8 = 3;

/// The rule that is left out, to see that its absence is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    Nothing,
    NoEpochCheck,
    InboxAfterEffect,
    PurgeAbovePosition,
}

struct Consumers(Planted);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    store: Store,
    sessions: [Option<Session>; 2],
    /// Transactions whose client is gone: a COMMIT that was sent may still be carried out.
    orphans: Vec<Tx>,
    /// How much may still go wrong.
    faults: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Expire,
    /// Takes the lease, or opens the partition again, under a new epoch.
    Open(usize),
    Begin(usize, usize),
    Retry(usize, usize),
    /// A handler of the lane's transaction fails: its event is parked.
    Fail(usize, usize),
    Commit(usize, usize),
    /// It commits, and its owner does not get to know.
    CommitUnknown(usize, usize),
    /// The position is moved in the store.
    Advance(usize),
    /// Only with the planted bug: the inbox row, in its own transaction.
    Remember(usize, usize),
    Crash(usize),
    CommitLate(usize),
    RollBack(usize),
    Purge,
}

impl Model for Consumers {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let sessions = [None, None];
        vec![World { store: Store::default(), sessions, orphans: Vec::new(), faults: FAULTS }]
    }

    fn actions(&self, _: &World, actions: &mut Vec<Step>) {
        actions.extend([Step::Expire, Step::Purge]);
        for c in 0..2 {
            actions.extend([Step::Open(c), Step::Advance(c), Step::Crash(c), Step::CommitLate(c), Step::RollBack(c)]);
            for l in 0..LANES {
                actions.extend([
                    Step::Begin(c, l),
                    Step::Retry(c, l),
                    Step::Fail(c, l),
                    Step::Commit(c, l),
                    Step::CommitUnknown(c, l),
                    Step::Remember(c, l),
                ]);
            }
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut world = world.clone();
        world.take(step, self.0).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all()
    }
}

impl World {
    /// Takes a step; returns `false` if it cannot be taken.
    fn take(&mut self, step: Step, planted: Planted) -> bool {
        match step {
            Step::Expire => {
                self.store.lease.is_some() && !self.store.is_expired && self.goes_wrong() && {
                    self.store.is_expired = true;
                    true
                }
            }
            Step::Open(c) => {
                let is_free = self.store.is_expired || self.store.lease.is_none_or(|owner| owner == c);
                is_free && (self.sessions[c].is_none() || self.store.lease != Some(c)) && {
                    self.end_transactions();
                    self.store.lease = Some(c);
                    self.store.is_expired = false;
                    self.store.epoch += 1;
                    self.sessions[c] = Some(Session::open(&self.store));
                    true
                }
            }
            Step::Begin(c, l) => self.begin(c, l, planted),
            Step::Retry(c, l) => self.retry(c, l, planted),
            Step::Fail(c, l) => self.goes_wrong() && self.tx(c, l).is_some_and(Tx::fail),
            Step::Commit(c, l) => self.commit(c, l, planted),
            Step::CommitUnknown(c, l) => {
                self.tx(c, l).is_some() && self.goes_wrong() && self.commit(c, l, Planted::Nothing) && {
                    self.sessions[c] = None;
                    true
                }
            }
            Step::Advance(c) => self.advance(c, planted),
            Step::Remember(c, l) => self.remember(c, l),
            Step::Crash(c) => {
                self.sessions[c].is_some() && self.goes_wrong() && {
                    if let Some(session) = self.sessions[c].take() {
                        self.orphans.extend(session.lanes.into_iter().filter_map(|lane| lane.tx));
                    }
                    true
                }
            }
            Step::CommitLate(n) => {
                n < self.orphans.len() && {
                    let tx = self.orphans.remove(n);
                    self.store.apply(&tx);
                    true
                }
            }
            Step::RollBack(n) => {
                n < self.orphans.len() && {
                    self.orphans.remove(n);
                    true
                }
            }
            Step::Purge => self.goes_wrong() && self.store.purge(planted == Planted::PurgeAbovePosition),
        }
    }

    fn goes_wrong(&mut self) -> bool {
        self.faults > 0 && {
            self.faults -= 1;
            true
        }
    }

    fn tx(&mut self, c: usize, l: usize) -> Option<&mut Tx> {
        self.sessions[c].as_mut().and_then(|session| session.lanes[l].tx.as_mut())
    }

    fn txs(&self) -> impl Iterator<Item = &Tx> {
        let lanes = self.sessions.iter().flatten().flat_map(|session| &session.lanes);
        lanes.filter_map(|lane| lane.tx.as_ref()).chain(&self.orphans)
    }

    /// Ends open transactions. A successor waits for the lock that open transactions share, and ends those that keep
    /// it.
    fn end_transactions(&mut self) {
        self.orphans.clear();
        for session in &mut self.sessions {
            if session.as_ref().is_some_and(|session| session.lanes.iter().any(|lane| lane.tx.is_some())) {
                *session = None;
            }
        }
    }
}

#[test]
fn no_interleaving_doubles_loses_or_reorders_an_effect() {
    let checker = Consumers(Planted::Nothing).checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 10_000, "{}", checker.unique_state_count());
}

#[test]
fn each_planted_bug_is_found() {
    for planted in [Planted::NoEpochCheck, Planted::InboxAfterEffect, Planted::PurgeAbovePosition] {
        let checker =
            Consumers(planted).checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let found = property::NEVER.iter().any(|name| checker.discovery(name).is_some());
        assert!(found, "{planted:?} is not found in {} states", checker.unique_state_count());
    }
}
