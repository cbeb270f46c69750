use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use outbox_core::record::{DecodeHints, Decoded};
use outbox_core::uuid::Uuid;
use tokio::sync::{Notify, OwnedSemaphorePermit, RwLock, Semaphore, mpsc};

use super::Shared;
use super::item::{Item, Todo, Work};
use crate::Error;
use crate::protocol::{OffsetTracker, PoisonCheck, lane_of};
use crate::source::Message;
use crate::store::{Fence, HeldEventTask, Progress};

/// The state that the lanes of a partition share.
pub(super) struct InFlight {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) fence: Fence,
    pub(super) prefix: Mutex<OffsetTracker>,
    /// Errands that lanes have.
    pub(super) errands: AtomicUsize,
    /// A lane has finished something.
    pub(super) progress: Notify,
    /// Transactions share it. One that loses every conflict has it to itself.
    pub(super) turns: RwLock<()>,
    /// A handler has changed settings of its session, and the log says so.
    pub(super) has_changed_settings: AtomicBool,
    /// One after the last record, as of the last fetch and as it is in the store; negative before the first one.
    end: AtomicI64,
    stored_end: AtomicI64,
}

impl InFlight {
    pub(super) fn new(topic: Arc<str>, partition: i32, fence: Fence, next_offset: i64) -> Self {
        Self {
            topic,
            partition,
            fence,
            prefix: Mutex::new(OffsetTracker::new(next_offset)),
            errands: AtomicUsize::new(0),
            progress: Notify::new(),
            turns: RwLock::new(()),
            has_changed_settings: AtomicBool::new(false),
            end: AtomicI64::new(-1),
            stored_end: AtomicI64::new(-1),
        }
    }

    pub(super) fn set_end(&self, end: i64) {
        self.end.store(end, Ordering::Relaxed);
    }

    pub(super) fn end(&self) -> Option<i64> {
        Some(self.end.load(Ordering::Relaxed)).filter(|end| *end >= 0)
    }

    /// Returns how far the partition is, if the store does not know it yet.
    pub(super) fn progress_to_store(&self) -> Option<Progress> {
        let prefix = self.prefix();
        let is_new_end = self.end.load(Ordering::Relaxed) != self.stored_end.load(Ordering::Relaxed);
        let position = prefix.to_store().or(is_new_end.then(|| prefix.done()))?;
        Some(Progress { fence: self.fence, position, end: self.end() })
    }

    pub(super) fn stored(&self, progress: Progress) {
        self.prefix().stored(progress.position);
        self.stored_end.store(progress.end.unwrap_or(-1), Ordering::Relaxed);
    }

    /// Returns whether the lanes have carried out what they had to do next to the topic's records.
    pub(super) fn has_room_for_errands(&self) -> bool {
        self.errands.load(Ordering::Relaxed) == 0
    }

    pub(super) fn prefix(&self) -> std::sync::MutexGuard<'_, OffsetTracker> {
        self.prefix.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        self.prefix().is_idle() && self.has_room_for_errands()
    }
}

/// Deals a partition's records to its lanes.
pub(super) struct Dispatcher {
    pub(super) shared: Arc<Shared>,
    pub(super) dealt: Arc<InFlight>,
    pub(super) lanes: Vec<mpsc::Sender<Work>>,
    /// The bytes that may be in flight.
    pub(super) budget: Arc<Semaphore>,
    pub(super) records: VecDeque<(i64, Message)>,
    /// The memory of the records that were not dealt yet.
    pub(super) memory: Option<OwnedSemaphorePermit>,
    /// Of the last record.
    pub(super) hints: DecodeHints,
    /// Behind the records, and the offsets without one that were read with them.
    pub(super) read_to: i64,
    /// Sorted, and waiting for room.
    pub(super) next: Option<Item>,
    /// Below this offset a handler may have been called before, by this process.
    pub(super) called_until: i64,
    /// Below this offset events are handled one at a time.
    pub(super) careful_until: i64,
    /// How many offsets are handled with care after the first event that the inbox does not know; `None` behind that
    /// one.
    pub(super) care: Option<i64>,
    /// Who handles them: gone when it is no longer a member of the group.
    pub(super) starter: Uuid,
}

/// How many events the inbox is asked about at a time.
const LOOK_AHEAD: usize = 1_000;

/// The bytes of records of one partition that may be in flight. A lane's transactions add what the handlers hold.
pub(super) const BUDGET: usize = 8 << 20;
/// How many records may be in flight for each event of a batch.
const BATCHES_AHEAD: usize = 2;

/// Returns how many records may be in flight: what a successor is careful with.
pub(super) fn window(lanes: NonZeroUsize, batch: NonZeroUsize) -> usize {
    lanes.get() * batch.get() * (BATCHES_AHEAD + 1)
}

/// Returns how many a lane's queue takes.
pub(super) fn queue(batch: NonZeroUsize) -> usize {
    batch.get() * BATCHES_AHEAD
}

impl Dispatcher {
    /// Returns whether there is something to deal.
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

    /// Returns whether nothing is dealt at the moment, because the topic or the next event's type is paused.
    pub(super) fn is_paused(&self) -> bool {
        let pauses = &self.shared.pauses;
        pauses.is_topic_paused(&self.dealt.topic)
            || self.next.as_ref().is_some_and(|item| pauses.is_paused(&self.dealt.topic, item.event_type()))
    }

    /// Returns the offset below which a handler may have been called.
    pub(super) fn may_have_called(&self) -> i64 {
        let next = self.next.as_ref().map(|item| item.offset);
        let unsorted = self.records.front().map(|(offset, _)| *offset);
        next.or(unsorted).unwrap_or(self.read_to).max(self.called_until)
    }

    /// Returns whether the next event is to be dealt alone.
    pub(super) fn is_next_alone(&self) -> bool {
        self.next.as_ref().is_some_and(|item| item.offset < self.careful_until)
    }

    /// Deals what there is room for, one record at least. To be called again while there [is work](Self::has_work).
    /// Dropping it on the way loses nothing; where the next one is alone, its start may be recorded, and the partition
    /// is to be opened again.
    pub(super) async fn deal_next(&mut self) -> Result<(), Error> {
        if self.is_next_alone() { self.deal_alone().await } else { self.deal().await }
    }

    async fn deal(&mut self) -> Result<(), Error> {
        loop {
            if !self.sort_next()? || self.is_next_alone() || self.is_paused() {
                return Ok(());
            }
            let Some(item) = &self.next else { return Ok(()) };
            let (cost, lane) = (self.cost(item), lane_of(item.message.key(), item.offset, self.lanes.len()));
            let Some(lane) = self.lanes.get(lane) else { return Ok(()) };
            match (Arc::clone(&self.budget).try_acquire_many_owned(cost), lane.try_reserve()) {
                (Ok(permit), Ok(room)) => hand_over(&self.dealt, &mut self.next, &mut self.memory, permit, room),
                _ => break,
            }
        }
        // There is no room at the moment.
        let Some(item) = &self.next else { return Ok(()) };
        let lane = lane_of(item.message.key(), item.offset, self.lanes.len());
        let permit = Arc::clone(&self.budget).acquire_many_owned(self.cost(item)).await;
        let Some(lane) = self.lanes.get(lane) else { return Ok(()) };
        if let (Ok(permit), Ok(room)) = (permit, lane.reserve().await) {
            hand_over(&self.dealt, &mut self.next, &mut self.memory, permit, room);
        }
        Ok(())
    }

    /// Finds the next record that asks for something; false where there is none.
    fn sort_next(&mut self) -> Result<bool, Error> {
        while self.next.is_none() {
            let Some((offset, message)) = self.records.pop_front() else { return Ok(false) };
            match self.shared.sort(&self.dealt.topic, self.dealt.partition, offset, message, &mut self.hints) {
                Ok(Some(mut item)) => {
                    item.delivery.is_redelivery = offset < self.called_until;
                    self.next = Some(item);
                }
                Ok(None) => self.dealt.prefix().pass(offset),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Handles one event at a time, and records its start first: should it end the process, its successor knows.
    async fn deal_alone(&mut self) -> Result<(), Error> {
        while !self.dealt.is_idle() {
            self.dealt.progress.notified().await;
        }
        self.skip_known().await?;
        let pauses = &self.shared.pauses;
        let Some(item) = &mut self.next else { return Ok(()) };
        if item.offset >= self.careful_until || pauses.is_paused(&self.dealt.topic, item.event_type()) {
            return Ok(());
        }
        // The process that ended may have called the handler.
        item.delivery.is_redelivery = true;
        if matches!(item.todo, Todo::Handle { .. }) {
            let ended = self.shared.store.start_alone(self.dealt.fence, item.offset, self.starter).await?;
            if PoisonCheck::of(ended, self.shared.options.poison_after.get()) == PoisonCheck::Poison {
                item.todo = Todo::Poison;
            }
        }
        let lane = lane_of(item.message.key(), item.offset, self.lanes.len());
        let cost = self.next.as_ref().map_or(1, |item| self.cost(item));
        let permit = Arc::clone(&self.budget).acquire_many_owned(cost).await;
        let Some(lane) = self.lanes.get(lane) else { return Ok(()) };
        if let (Ok(permit), Ok(room)) = (permit, lane.reserve().await) {
            hand_over(&self.dealt, &mut self.next, &mut self.memory, permit, room);
        }
        Ok(())
    }

    /// Skips events that the inbox knows. The position in the store is moved now and then only, so that a successor
    /// finds many of them; those that were in flight come after the first ones, and the care extends to them.
    async fn skip_known(&mut self) -> Result<(), Error> {
        let mut known = HashSet::new();
        let mut asked_until = i64::MIN;
        loop {
            if !self.sort_next()? {
                return Ok(());
            }
            let Some(item) = &self.next else { return Ok(()) };
            let (offset, id) = (item.offset, item.id);
            if offset >= asked_until {
                let (ids, until) = self.ids_ahead(offset, id);
                known = self.shared.store.known(&ids).await?;
                asked_until = until;
            }
            if !id.is_some_and(|id| known.contains(&id)) {
                break;
            }
            self.next = None;
            self.dealt.prefix().pass(offset);
            if let Some(care) = self.care {
                self.careful_until = self.careful_until.max(offset.saturating_add(1).saturating_add(care));
            }
        }
        self.care = None;
        Ok(())
    }

    /// Returns the ids of the next events, and the offset behind the last one of them.
    fn ids_ahead(&self, offset: i64, id: Option<Uuid>) -> (Vec<Uuid>, i64) {
        let mut hints = DecodeHints::default();
        let ahead = self.records.iter().take(LOOK_AHEAD);
        let until = ahead.clone().last().map_or(offset, |(offset, _)| *offset).saturating_add(1);
        let of = |message: &Message, hints: &mut DecodeHints| {
            let decoded = message.decode(&self.shared.pipeline, &self.dealt.topic, hints);
            decoded.ok().and_then(|decoded| if let Decoded::Event(event) = decoded { Some(event.id) } else { None })
        };
        (id.into_iter().chain(ahead.filter_map(|(_, message)| of(message, &mut hints))).collect(), until)
    }

    /// Gives what is due and what was asked for to the lanes of its keys; what finds no room comes up again.
    pub(super) fn deal_errands(&self, errands: Vec<HeldEventTask>) {
        for errand in errands {
            let lane = lane_of(errand.key.as_deref(), errand.offset, self.lanes.len());
            if let Some(room) = self.lanes.get(lane).and_then(|lane| lane.try_reserve().ok()) {
                self.dealt.errands.fetch_add(1, Ordering::Relaxed);
                room.send(Work::HeldEventTask(errand));
            }
        }
    }

    /// Returns whether held events may be tried now: not while one event is to be alone.
    pub(super) fn takes_errands(&self) -> bool {
        self.dealt.has_room_for_errands() && (!self.is_careful() || !self.has_work() && self.dealt.is_idle())
    }

    fn is_careful(&self) -> bool {
        self.dealt.prefix().done() < self.careful_until
    }

    /// Returns a record's share of the budget: its bytes, and never so little that more than the window are in flight.
    fn cost(&self, item: &Item) -> u32 {
        let options = &self.shared.options;
        let least = BUDGET / window(options.lanes, options.batch).max(1);
        u32::try_from(item.message.size().clamp(least.max(1), BUDGET)).unwrap_or(u32::MAX)
    }
}

fn hand_over(
    dealt: &InFlight,
    next: &mut Option<Item>,
    memory: &mut Option<OwnedSemaphorePermit>,
    permit: OwnedSemaphorePermit,
    room: mpsc::Permit<'_, Work>,
) {
    if let Some(mut item) = next.take() {
        dealt.prefix().deal(item.offset);
        let share = memory.as_mut().and_then(|memory| memory.split(item.message.size().min(memory.num_permits())));
        item.permits = [Some(permit), share];
        room.send(Work::Event(item));
    }
}
