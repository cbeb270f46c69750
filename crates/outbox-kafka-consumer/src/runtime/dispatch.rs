use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use outbox_core::DecodeHints;
use outbox_core::uuid::Uuid;
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock, Semaphore, mpsc};

use super::Shared;
use super::item::{Item, Todo, Work};
use crate::Error;
use crate::protocol::{Alone, Prefix, lane_of};
use crate::source::Message;
use crate::store::{Errand, Fence};

/// What the lanes of a partition share.
pub(super) struct Dealt {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) fence: Fence,
    pub(super) prefix: Mutex<Prefix>,
    /// Errands that lanes have.
    pub(super) errands: AtomicUsize,
    /// A lane has finished something.
    pub(super) progress: Notify,
    /// Transactions share it. One that loses every conflict has it to itself.
    pub(super) turns: RwLock<()>,
    /// A handler has changed settings of its session, and the log says so.
    pub(super) has_changed_settings: AtomicBool,
}

impl Dealt {
    pub(super) fn prefix(&self) -> std::sync::MutexGuard<'_, Prefix> {
        self.prefix.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        self.prefix().is_idle() && self.errands.load(Ordering::Relaxed) == 0
    }
}

/// Deals a partition's records to its lanes.
pub(super) struct Dispatch {
    pub(super) shared: Arc<Shared>,
    pub(super) dealt: Arc<Dealt>,
    pub(super) lanes: Vec<mpsc::Sender<Work>>,
    /// The bytes that may be in flight.
    pub(super) budget: Arc<Semaphore>,
    pub(super) records: VecDeque<(i64, Message)>,
    /// Of the last record.
    pub(super) hints: DecodeHints,
    /// Behind the records, and the offsets without one that were read with them.
    pub(super) read_to: i64,
    /// Sorted, and waiting for room.
    pub(super) next: Option<Item>,
    /// Below this offset events are handled one at a time.
    pub(super) careful_until: i64,
    /// Who handles them: gone when it is no longer a member of the group.
    pub(super) starter: Uuid,
}

/// The bytes of records of one partition that may be in flight. A lane's transactions add what the handlers hold.
pub(super) const BUDGET: usize = 8 << 20;
/// How many records may be in flight for each event of a batch.
const BATCHES_AHEAD: usize = 2;

/// How many records may be in flight: what a successor is careful with.
pub(super) fn window(lanes: NonZeroUsize, batch: NonZeroUsize) -> usize {
    lanes.get() * batch.get() * (BATCHES_AHEAD + 1)
}

/// How many a lane's queue takes.
pub(super) fn queue(batch: NonZeroUsize) -> usize {
    batch.get() * BATCHES_AHEAD
}

impl Dispatch {
    /// Whether there is something to deal.
    pub(super) fn has_work(&self) -> bool {
        self.next.is_some() || !self.records.is_empty()
    }

    /// Moves the position over the offsets without a record (markers, aborted or compacted ones) behind those that were
    /// dealt. Nothing happens while there is work.
    pub(super) fn pass_read(&self) {
        if !self.has_work() && self.read_to > 0 {
            self.dealt.prefix().pass(self.read_to - 1);
        }
    }

    /// Whether the next event is to be dealt alone.
    pub(super) fn is_next_alone(&self) -> bool {
        self.next.as_ref().is_some_and(|item| item.offset < self.careful_until)
    }

    /// Deals what there is room for, one record at least. To be called again while there [is work](Self::has_work).
    /// Dropping it on the way loses nothing; where the next one is alone, its start may be recorded, and the partition
    /// is to be opened anew.
    pub(super) async fn deal_next(&mut self) -> Result<(), Error> {
        if self.is_next_alone() { self.deal_alone().await } else { self.deal().await }
    }

    async fn deal(&mut self) -> Result<(), Error> {
        loop {
            if !self.sort_next()? || self.is_next_alone() {
                return Ok(());
            }
            let Some(item) = &self.next else { return Ok(()) };
            let (cost, lane) = (self.cost(item), lane_of(item.message.key(), item.offset, self.lanes.len()));
            let Some(lane) = self.lanes.get(lane) else { return Ok(()) };
            match (Arc::clone(&self.budget).try_acquire_many_owned(cost), lane.try_reserve()) {
                (Ok(permit), Ok(room)) => hand_over(&self.dealt, &mut self.next, permit, room),
                _ => break,
            }
        }
        // There is no room at the moment.
        let Some(item) = &self.next else { return Ok(()) };
        let lane = lane_of(item.message.key(), item.offset, self.lanes.len());
        let permit = Arc::clone(&self.budget).acquire_many_owned(self.cost(item)).await;
        let Some(lane) = self.lanes.get(lane) else { return Ok(()) };
        if let (Ok(permit), Ok(room)) = (permit, lane.reserve().await) {
            hand_over(&self.dealt, &mut self.next, permit, room);
        }
        Ok(())
    }

    /// Finds the next record that asks for something; false where there is none.
    fn sort_next(&mut self) -> Result<bool, Error> {
        while self.next.is_none() {
            let Some((offset, message)) = self.records.pop_front() else { return Ok(false) };
            match self.shared.sort(&self.dealt.topic, self.dealt.partition, offset, message, &mut self.hints) {
                Ok(Some(item)) => self.next = Some(item),
                Ok(None) => self.dealt.prefix().pass(offset),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// One event at a time, its start recorded first: should it end the process, its successor knows.
    async fn deal_alone(&mut self) -> Result<(), Error> {
        while !self.dealt.is_idle() {
            self.dealt.progress.notified().await;
        }
        let Some(item) = &mut self.next else { return Ok(()) };
        let is_known = match item.id {
            Some(id) => self.shared.store.is_known(id).await?,
            None => false,
        };
        if !is_known && matches!(item.todo, Todo::Handle { .. }) {
            let ended = self.shared.store.start_alone(self.dealt.fence, item.offset, self.starter).await?;
            if Alone::of(ended, self.shared.options.poison_after.get()) == Alone::Poison {
                item.todo = Todo::Poison;
            }
        }
        let lane = lane_of(item.message.key(), item.offset, self.lanes.len());
        let cost = self.next.as_ref().map_or(1, |item| self.cost(item));
        let permit = Arc::clone(&self.budget).acquire_many_owned(cost).await;
        let Some(lane) = self.lanes.get(lane) else { return Ok(()) };
        if let (Ok(permit), Ok(room)) = (permit, lane.reserve().await) {
            hand_over(&self.dealt, &mut self.next, permit, room);
        }
        Ok(())
    }

    /// What is due and what was asked for goes to the lanes of its keys; what finds no room comes up again.
    pub(super) fn deal_errands(&self, errands: Vec<Errand>) {
        for errand in errands {
            let lane = lane_of(errand.key.as_deref(), errand.offset, self.lanes.len());
            if let Some(room) = self.lanes.get(lane).and_then(|lane| lane.try_reserve().ok()) {
                self.dealt.errands.fetch_add(1, Ordering::Relaxed);
                room.send(Work::Errand(errand));
            }
        }
    }

    /// Whether held events may be tried now: not while one event is to be alone.
    pub(super) fn takes_errands(&self) -> bool {
        self.dealt.errands.load(Ordering::Relaxed) == 0
            && (!self.is_careful() || !self.has_work() && self.dealt.is_idle())
    }

    fn is_careful(&self) -> bool {
        self.dealt.prefix().stored() < self.careful_until
    }

    /// A record's share of the budget: its bytes, and never so little that more than the window are in flight.
    fn cost(&self, item: &Item) -> u32 {
        let options = &self.shared.options;
        let least = BUDGET / window(options.lanes, options.batch).max(1);
        u32::try_from(item.message.size().clamp(least.max(1), BUDGET)).unwrap_or(u32::MAX)
    }
}

fn hand_over(dealt: &Dealt, next: &mut Option<Item>, permit: OwnedSemaphorePermit, room: mpsc::Permit<'_, Work>) {
    if let Some(mut item) = next.take() {
        dealt.prefix().deal(item.offset);
        item.permit = Some(permit);
        room.send(Work::Event(item));
    }
}
