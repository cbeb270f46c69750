use super::store::{Store, key_of};
use super::{LANES, LOG, Planted, World};
use crate::protocol::{OffsetTracker, lane_of};

/// The memory of an owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Session {
    epoch: u8,
    prefix: OffsetTracker,
    pub(super) lanes: [Lane; LANES],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    /// Offsets that wait.
    queue: Vec<i64>,
    pub(super) tx: Option<Tx>,
    /// Only with the planted bug: events whose effects are committed, and not yet in the inbox.
    unremembered: Vec<u8>,
}

/// A transaction that is open. From its begin to its end it shares the lock that a successor waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tx {
    pub(super) work: Work,
    pub(super) taken: Vec<u8>,
    pub(super) effects: Vec<u8>,
    pub(super) parked: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Work {
    Batch(Vec<i64>),
    FailedEvent(u8),
}

fn lane(offset: i64) -> usize {
    LOG.get(offset as usize).map_or(0, |(_, key)| lane_of(Some(&[*key]), offset, LANES))
}

impl Session {
    /// Reads the position, and deals everything behind it.
    pub(super) fn open(store: &Store) -> Self {
        let mut session = Self {
            epoch: store.epoch,
            prefix: OffsetTracker::new(store.next),
            lanes: [Lane::default(), Lane::default()],
        };
        for offset in store.next..LOG.len() as i64 {
            session.prefix.deal(offset);
            session.lanes[lane(offset)].queue.push(offset);
        }
        session
    }

    /// Checks the fence: the epoch as it is when the transaction begins, or when the position moves.
    fn is_owner(&self, store: &Store, planted: Planted) -> bool {
        self.epoch == store.epoch || planted == Planted::NoEpochCheck
    }
}

impl Tx {
    /// Fails the handler of its first event. In a batch of several, they are done one by one then.
    pub(super) fn fail(&mut self) -> bool {
        let Work::Batch(offsets) = &mut self.work else { return false };
        let Some(event) = self.effects.first().copied() else { return false };
        offsets.truncate(offsets.iter().position(|o| LOG[*o as usize].0 == event).unwrap_or(0) + 1);
        (self.taken, self.effects, self.parked) = (vec![event], Vec::new(), vec![event]);
        // What was before it in the batch had no effect, and is skipped again.
        true
    }
}

impl World {
    pub(super) fn begin(&mut self, c: usize, l: usize, planted: Planted) -> bool {
        // An event that another open transaction has taken is waited for.
        let busy: Vec<u8> = self.txs().flat_map(|tx| tx.taken.clone()).collect();
        let (store, Some(session)) = (&self.store, &mut self.sessions[c]) else { return false };
        let is_owner = session.is_owner(store, planted);
        let lane = &mut session.lanes[l];
        if lane.tx.is_some() || lane.queue.is_empty() || !lane.unremembered.is_empty() {
            return false;
        }
        if !is_owner {
            return self.reopens(c);
        }
        let offsets: Vec<i64> = lane.queue.iter().copied().take(2).collect();
        let mut tx =
            Tx { work: Work::Batch(offsets.clone()), taken: Vec::new(), effects: Vec::new(), parked: Vec::new() };
        for offset in offsets {
            let (event, key) = LOG[offset as usize];
            if busy.contains(&event) {
                return false;
            }
            if store.inbox.contains(&event) || tx.taken.contains(&event) {
                continue;
            }
            tx.taken.push(event);
            if store.is_blocked(key) { tx.parked.push(event) } else { tx.effects.push(event) }
        }
        lane.tx = Some(tx);
        true
    }

    pub(super) fn retry(&mut self, c: usize, l: usize, planted: Planted) -> bool {
        let (store, Some(session)) = (&self.store, &mut self.sessions[c]) else { return false };
        let is_owner = session.is_owner(store, planted);
        let lane = &mut session.lanes[l];
        let head = store.held.iter().copied().find(|event| lane_of(Some(&[key_of(*event)]), 0, LANES) == l);
        let (None, Some(event)) = (&lane.tx, head) else { return false };
        if !is_owner {
            return self.reopens(c);
        }
        let work = Work::FailedEvent(event);
        lane.tx = Some(Tx { work, taken: Vec::new(), effects: vec![event], parked: Vec::new() });
        true
    }

    /// Rolls back all transactions of a fenced consumer, and returns whether it may open the partition again.
    fn reopens(&mut self, c: usize) -> bool {
        self.sessions[c] = None;
        true
    }

    pub(super) fn commit(&mut self, c: usize, l: usize, planted: Planted) -> bool {
        let Some(session) = &mut self.sessions[c] else { return false };
        let lane = &mut session.lanes[l];
        let Some(mut tx) = lane.tx.take() else { return false };
        if planted == Planted::InboxAfterEffect {
            lane.unremembered.append(&mut tx.taken);
        }
        self.store.apply(&tx);
        if let Work::Batch(offsets) = &tx.work {
            lane.queue.retain(|offset| !offsets.contains(offset));
            session.prefix.committed(offsets);
        }
        true
    }

    /// Moves the position after what is done, now and then.
    pub(super) fn advance(&mut self, c: usize, planted: Planted) -> bool {
        let (store, Some(session)) = (&mut self.store, &mut self.sessions[c]) else { return false };
        let Some(position) = session.prefix.to_store() else { return false };
        if !session.is_owner(store, planted) {
            return self.reopens(c);
        }
        store.next = store.next.max(position);
        session.prefix.stored(position);
        true
    }

    pub(super) fn remember(&mut self, c: usize, l: usize) -> bool {
        let Some(session) = &mut self.sessions[c] else { return false };
        let events = std::mem::take(&mut session.lanes[l].unremembered);
        self.store.inbox.extend(&events);
        !events.is_empty()
    }
}
