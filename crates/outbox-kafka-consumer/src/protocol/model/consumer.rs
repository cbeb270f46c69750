use super::scenario::{Begin, Handler};
use super::store::{Position, Record, Snapshot, Store};
use super::{Consumers, Place, Planted, World};
use crate::Isolation;
use crate::protocol::{OffsetTracker, lane_of};

/// The memory of an owner of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    epoch: u8,
    /// The life of the topic that it reads.
    life: usize,
    /// The position belongs to another life: nothing is read.
    is_lost: bool,
    tracker: OffsetTracker,
    pub lanes: Vec<Lane>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lane {
    /// Offsets that wait.
    queue: Vec<i64>,
    pub tx: Option<Tx>,
    /// The snapshot of a transaction that waits for the lock of the partition.
    waiting: Option<Snapshot>,
    /// The event whose handler outside of the transaction has returned, or is said to have.
    pub called: Option<u8>,
    /// Only with a planted bug: events whose effects are committed, and not yet in the inbox.
    unremembered: Vec<Record>,
}

/// An open transaction. From its begin to its end it shares the lock that a successor waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tx {
    pub work: Work,
    pub partition: usize,
    pub taken: Vec<Record>,
    pub effects: Vec<Record>,
    pub parked: Vec<Record>,
    /// The version of the position that its snapshot shows.
    version: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    Batch(Vec<i64>),
    Held(Record),
    /// The attempts at a held event are used up.
    GivenUp(Record),
}

impl Session {
    /// Reads the position, and deals everything from there on.
    pub fn open(store: &Store, partition: usize, life: usize, rules: &Consumers) -> Self {
        let Position { epoch, next, life: known, .. } = store.positions[partition];
        let is_lost = known != Some(life) && !rules.has(Planted::PositionOfAnotherLife);
        let lanes = vec![Lane::default(); rules.scenario.lanes];
        let mut session = Self { epoch, life, is_lost, tracker: OffsetTracker::new(next), lanes };

        for offset in next..rules.scenario.lives[life][partition].len() as i64 {
            if is_lost {
                break;
            }
            let key = rules.record(life, partition, offset).key;
            session.tracker.deal(offset);
            session.lanes[lane_of(Some(&[key]), offset, rules.scenario.lanes)].queue.push(offset);
        }
        session
    }

    /// Checks the fence.
    fn is_owner(&self, epoch: u8, rules: &Consumers) -> bool {
        self.epoch == epoch || rules.has(Planted::NoEpochCheck)
    }

    /// Returns whether it has noticed that the topic was created again, and has finished the records that it had read.
    fn is_at_end_of_life(&self, life: usize) -> bool {
        self.is_lost || self.life != life && self.tracker.is_idle() && self.lanes.iter().all(|lane| lane.tx.is_none())
    }
}

impl Tx {
    /// Fails the handler of its first event. In a batch of several, they are done one by one then.
    pub fn fail(&mut self, rules: &Consumers) -> bool {
        let Some(failed) = self.effects.first().copied() else { return false };
        match &mut self.work {
            Work::Batch(offsets) => {
                offsets.truncate(offsets.iter().position(|offset| *offset == failed.offset).unwrap_or(0) + 1);
                // Events before it in the batch had no effect, and are skipped again.
                (self.taken, self.effects, self.parked) = (vec![failed], Vec::new(), vec![failed]);
                true
            }
            Work::Held(record) if rules.has_dead_letters() => {
                self.work = Work::GivenUp(*record);
                self.effects.clear();
                true
            }
            _ => false,
        }
    }
}

impl World {
    /// Begins a transaction, whose snapshot is of now, and waits for the lock of the partition.
    pub fn wait(&mut self, place: Place, rules: &Consumers) -> bool {
        let snapshot = self.store.snapshot(place.partition);
        let Some(lane) = self.lane(place) else { return false };
        let waits = rules.scenario.begin != Begin::AtOnce && lane.waiting.is_none();
        if !waits || lane.tx.is_some() || lane.queue.is_empty() {
            return false;
        }
        lane.waiting = Some(snapshot);
        true
    }

    /// Begins the transaction of a lane's next batch, and returns whether it could. Depending on the isolation, what it
    /// sees is the state of now or of an earlier snapshot.
    pub fn begin(&mut self, place: Place, rules: &Consumers) -> bool {
        // An event that another open transaction has taken is waited for.
        let busy: Vec<u8> = self.txs().flat_map(|tx| tx.taken.iter().map(|record| record.event)).collect();
        let (partition, now) = (place.partition, self.store.snapshot(place.partition));
        let Some(session) = &mut self.sessions[partition][place.consumer] else { return false };
        let (session_epoch, life) = (session.epoch, session.life);
        let lane = &mut session.lanes[place.lane];
        if lane.tx.is_some() || lane.queue.is_empty() || !lane.unremembered.is_empty() {
            return false;
        }

        let seen = match (rules.scenario.begin, lane.waiting.take()) {
            (Begin::AtOnce, _) => now.clone(),
            (Begin::InSteps(_), None) => return false,
            (Begin::InSteps(Isolation::ReadCommitted), Some(before)) if rules.has(Planted::EpochBeforeLock) => {
                Snapshot { epoch: before.epoch, ..now.clone() }
            }
            (Begin::InSteps(Isolation::ReadCommitted), Some(_)) => now.clone(),
            (Begin::InSteps(_), Some(before)) => before,
        };

        if session_epoch != seen.epoch && !rules.has(Planted::NoEpochCheck) {
            return self.fenced(place);
        }

        let lane = &mut session.lanes[place.lane];
        let offsets: Vec<i64> = lane.queue.iter().copied().take(rules.batch()).collect();
        let mut tx = Tx::new(Work::Batch(offsets.clone()), partition, seen.version);

        for offset in offsets {
            let record = rules.record(life, partition, offset);
            if busy.contains(&record.event) {
                return false;
            }
            if seen.knows(&record, rules) || tx.taken.iter().any(|taken| taken.event == record.event) {
                continue;
            }
            if now.knows(&record, rules) {
                // The inbox has a row that the snapshot does not show: a serialization failure.
                self.has_conflicted = true;
                return true;
            }

            let is_blocked = seen.is_blocked(record.key);
            let is_outside = rules.scenario.handler == Handler::Outside;
            if is_outside && !is_blocked && lane.called != Some(record.event) && !rules.has(Planted::RecordedBeforeCall)
            {
                return false;
            }
            tx.taken.push(record);

            match is_blocked {
                true => tx.parked.push(record),
                false if is_outside => {}
                false => tx.effects.push(record),
            }
        }

        lane.tx = Some(tx);
        true
    }

    /// Tries the first held event of a key again.
    pub fn retry(&mut self, place: Place, rules: &Consumers) -> bool {
        let is_of_lane = |key: u8| lane_of(Some(&[key]), 0, rules.scenario.lanes) == place.lane;
        let head = self.store.head(place.partition, is_of_lane);
        let Position { epoch, version, .. } = self.store.positions[place.partition];
        let Some(session) = &mut self.sessions[place.partition][place.consumer] else { return false };
        let is_owner = session.is_owner(epoch, rules);
        let lane = &mut session.lanes[place.lane];
        let (None, Some(record)) = (&lane.tx, head) else { return false };
        if !is_owner {
            return self.fenced(place);
        }

        let mut tx = Tx::new(Work::Held(record), place.partition, version);
        if rules.scenario.handler == Handler::Outside {
            // Its handler returns before the transaction begins.
            self.store.effects.push((record.event, record.key));
        } else {
            tx.effects.push(record);
        }
        lane.tx = Some(tx);
        true
    }

    /// Commits the transaction of a lane, and returns whether it had one. A serialization failure also counts as a
    /// step.
    pub fn commit(&mut self, place: Place, rules: &Consumers) -> bool {
        let version = self.store.positions[place.partition].version;
        let Some(session) = &mut self.sessions[place.partition][place.consumer] else { return false };
        let lane = &mut session.lanes[place.lane];
        let Some(mut tx) = lane.tx.take() else { return false };
        if rules.is_strict() && !rules.has(Planted::FenceOfSnapshot) && tx.version != version {
            // PostgreSQL does not lock a row that has changed since the snapshot: a serialization failure.
            self.has_conflicted = true;
            if rules.has(Planted::ConflictParks) {
                tx.parked.append(&mut tx.effects);
                lane.tx = Some(Tx { version, ..tx });
            }
            return true;
        }

        if rules.has(Planted::InboxAfterEffect) {
            lane.unremembered.append(&mut tx.taken);
        }
        self.store.apply(&tx, rules);
        if let Work::Batch(offsets) = &tx.work {
            lane.queue.retain(|offset| !offsets.contains(offset));
            session.tracker.committed(offsets);
            lane.called = None;
        }
        true
    }

    /// Loses a transaction against another one at its commit, as happens at `SERIALIZABLE`.
    pub fn lose(&mut self, place: Place, rules: &Consumers) -> bool {
        let is_serializable = rules.scenario.begin == Begin::InSteps(Isolation::Serializable);
        is_serializable && self.lane(place).is_some_and(|lane| lane.tx.take().is_some())
    }

    /// Moves the position after the events that are done, at intervals.
    pub fn advance(&mut self, partition: usize, consumer: usize, rules: &Consumers) -> bool {
        let stored = &mut self.store.positions[partition];
        let Some(session) = &mut self.sessions[partition][consumer] else { return false };
        let Some(position) = session.tracker.to_store() else { return false };
        if !session.is_owner(stored.epoch, rules) {
            self.sessions[partition][consumer] = None;
            return true;
        }
        stored.next = stored.next.max(position);
        stored.changed(rules);
        session.tracker.stored(position);
        true
    }

    /// Begins again in a topic that was created again, if this owner still has the partition.
    pub fn reset(&mut self, partition: usize, consumer: usize, rules: &Consumers) -> bool {
        let (life, stored) = (self.life, &mut self.store.positions[partition]);
        let Some(session) = self.sessions[partition][consumer].take_if(|session| session.is_at_end_of_life(life))
        else {
            return false;
        };
        if session.is_owner(stored.epoch, rules) && !rules.has(Planted::PositionOfAnotherLife) {
            (stored.next, stored.life) = (0, None);
            stored.epoch += 1;
        }
        true
    }

    pub fn remember(&mut self, place: Place, rules: &Consumers) -> bool {
        let Some(lane) = self.lane(place) else { return false };
        let records = std::mem::take(&mut lane.unremembered);
        self.store.take_in(&records, rules);
        !records.is_empty()
    }

    /// Rolls back all transactions of a fenced owner, which may then open the partition again.
    fn fenced(&mut self, place: Place) -> bool {
        self.sessions[place.partition][place.consumer] = None;
        true
    }

    fn lane(&mut self, place: Place) -> Option<&mut Lane> {
        self.sessions[place.partition][place.consumer].as_mut().map(|session| &mut session.lanes[place.lane])
    }
}

impl World {
    /// Calls the handler outside of the transaction with the next event, unless the event is known or its key blocked.
    pub fn call(&mut self, place: Place, rules: &Consumers) -> bool {
        let Some(record) = self.to_call(place, rules) else { return false };
        self.store.effects.push((record.event, record.key));
        self.lane(place).is_some_and(|lane| lane.called.replace(record.event).is_none())
    }

    /// Fails the handler outside of the transaction: a transaction parks its event.
    pub fn fail_call(&mut self, place: Place, rules: &Consumers) -> bool {
        let Some(record) = self.to_call(place, rules) else { return false };
        // The transaction that parks it begins as any other one.
        if self.lane(place).is_none_or(|lane| lane.called.replace(record.event).is_some()) || !self.begin(place, rules)
        {
            return false;
        }
        let Some(lane) = self.lane(place) else { return true };
        lane.called = None;
        if let Some(tx) = &mut lane.tx {
            tx.parked = tx.taken.clone();
        }
        true
    }

    /// Lets the handler outside of the transaction lose against another transaction: it is called again.
    pub fn lose_call(&mut self, place: Place, rules: &Consumers) -> bool {
        let Some(record) = self.to_call(place, rules) else { return false };
        if rules.has(Planted::RecordedAfterConflict) {
            return self.lane(place).is_some_and(|lane| lane.called.replace(record.event).is_none());
        }
        true
    }

    /// Returns the event whose handler outside of the transaction is to be called.
    fn to_call(&self, place: Place, rules: &Consumers) -> Option<Record> {
        let session = self.sessions[place.partition][place.consumer].as_ref()?;
        let lane = &session.lanes[place.lane];
        if rules.scenario.handler != Handler::Outside || lane.tx.is_some() || lane.called.is_some() {
            return None;
        }
        let record = rules.record(session.life, place.partition, *lane.queue.first()?);
        let seen = self.store.snapshot(place.partition);
        (!seen.knows(&record, rules) && !seen.is_blocked(record.key)).then_some(record)
    }
}

impl Tx {
    fn new(work: Work, partition: usize, version: u8) -> Self {
        Self { work, partition, taken: Vec::new(), effects: Vec::new(), parked: Vec::new(), version }
    }

    /// Returns whether a COMMIT that was sent may still be carried out.
    pub fn may_commit(&self, position: &Position, rules: &Consumers) -> bool {
        !rules.is_strict() || self.version == position.version
    }
}
