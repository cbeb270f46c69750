use std::collections::{HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use outbox_core::record::{DecodeHints, Decoded};
use outbox_core::uuid::Uuid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Shared;
use super::in_flight::InFlight;
use super::item::{Item, Todo, Work};
use crate::Error;
use crate::protocol::{PoisonCheck, lane_of};
use crate::source::Message;
use crate::store::HeldEventTask;

/// Deals a partition's records to its lanes.
pub struct Dispatcher {
    shared: Arc<Shared>,
    in_flight: Arc<InFlight>,
    lanes: Vec<mpsc::Sender<Work>>,
    /// The bytes that may be in flight.
    budget: Arc<Semaphore>,
    records: VecDeque<(i64, Message)>,
    /// The memory of the records that were not dealt yet.
    memory: Option<OwnedSemaphorePermit>,
    /// The decode hints of the last record.
    hints: DecodeHints,
    tasks: WaitingTasks,
    /// The offset after the records, and after the offsets without a record that were read with them.
    read_to: i64,
    /// The sorted records that wait for room.
    next: Option<Item>,
    earlier: EarlierAttempts,
    /// The number of offsets that are isolated after the first event that the inbox does not know; `None` behind that
    /// one.
    isolated: Option<i64>,
}

/// Tasks for which their lane had no room.
#[derive(Default)]
struct WaitingTasks {
    waiting: VecDeque<(usize, HeldEventTask)>,
    /// Whether the last task was dealt before a record, so that a record is next.
    is_records_turn: bool,
}

impl WaitingTasks {
    /// Returns the task that a lane gets before its next record: every other time if there are many.
    fn take(&mut self, lane: usize) -> Option<HeldEventTask> {
        if std::mem::take(&mut self.is_records_turn) {
            return None;
        }
        let first = self.waiting.iter().position(|(of, _)| *of == lane)?;
        self.is_records_turn = true;
        self.waiting.remove(first).map(|(_, task)| task)
    }
}

/// The attempts that may have been begun before the partition was opened.
#[derive(Clone, Copy, Debug)]
pub struct EarlierAttempts {
    /// The offset below which this process may have called a handler.
    pub called_until: i64,
    /// The offset below which events are handled one at a time.
    pub isolate_until: i64,
    /// The consumer that handles them: gone when it is no longer a member of the group.
    pub attempt_owner: Uuid,
}

/// The number of events that the inbox is asked about at a time.
const LOOK_AHEAD: usize = 1_000;

/// The bytes of records of one partition that may be in flight. The handlers of a lane hold additional memory.
const BUDGET: usize = 8 << 20;
/// The number of records that may be in flight for each event of a batch.
const BATCHES_AHEAD: usize = 2;

/// Returns how many records may be in flight, which is also the number that a successor isolates.
pub fn window(lanes: NonZeroUsize, batch: NonZeroUsize) -> usize {
    lanes.get() * batch.get() * (BATCHES_AHEAD + 1)
}

impl Dispatcher {
    /// Creates a dispatcher with the queues of its lanes.
    pub fn new(
        shared: &Arc<Shared>,
        in_flight: InFlight,
        earlier: EarlierAttempts,
    ) -> (Self, Vec<mpsc::Receiver<Work>>) {
        let options = &shared.options;
        let channels = (0..options.partition_concurrency.get())
            .map(|_| mpsc::channel(options.max_batch_size.get() * BATCHES_AHEAD));
        let (lanes, queues) = channels.unzip();
        let isolated = earlier.isolate_until - in_flight.prefix().done();
        let dispatcher = Self {
            shared: Arc::clone(shared),
            in_flight: Arc::new(in_flight),
            lanes,
            budget: Arc::new(Semaphore::new(BUDGET)),
            records: VecDeque::new(),
            memory: None,
            hints: DecodeHints::default(),
            tasks: WaitingTasks::default(),
            read_to: 0,
            next: None,
            earlier,
            isolated: Some(isolated.max(0)),
        };

        (dispatcher, queues)
    }

    /// Returns what the lanes share.
    pub fn in_flight(&self) -> &Arc<InFlight> {
        &self.in_flight
    }

    /// Takes the records that were read up to an offset. To be called while there is no [work](Self::has_work).
    pub fn take(&mut self, records: Vec<(i64, Message)>, read_to: i64, memory: Option<OwnedSemaphorePermit>) {
        self.pass_read();
        self.records = records.into();
        self.read_to = read_to;
        self.memory = memory;
    }

    /// Lets the lanes end after the dealt records.
    pub fn close_lanes(&mut self) {
        self.lanes.clear();
    }

    /// Returns whether there is something to deal.
    pub fn has_work(&self) -> bool {
        self.next.is_some() || !self.records.is_empty()
    }

    /// Moves the position over the offsets without a record (markers, aborted or compacted ones) after those that were
    /// dealt. Nothing happens while there is work.
    pub fn pass_read(&self) {
        if !self.has_work() && self.read_to > 0 {
            self.in_flight.prefix().pass(self.read_to - 1);
        }
    }

    /// Returns whether nothing is dealt at the moment, because the topic or the next event's type is paused.
    pub fn is_paused(&self) -> bool {
        let pauses = &self.shared.pauses;
        pauses.is_topic_paused(&self.in_flight.topic)
            || self.next.as_ref().is_some_and(|item| pauses.is_paused(&self.in_flight.topic, item.event_type()))
    }

    /// Returns whether the next event is to be dealt alone.
    pub fn is_next_alone(&self) -> bool {
        self.next.as_ref().is_some_and(|item| item.offset < self.earlier.isolate_until)
    }

    /// Deals as many records as there is room for, at least one. To be called again while there [is
    /// work](Self::has_work). Dropping the future loses nothing. If the next event is isolated, its start may be
    /// recorded, and the partition must be opened again.
    pub async fn deal_next(&mut self) -> Result<(), Error> {
        if self.is_next_alone() { self.deal_alone().await } else { self.deal().await }
    }

    /// Hands items to their lanes until there is none, or one must be handled alone. Waits for memory and for room in
    /// the lane only if there is none at once.
    async fn deal(&mut self) -> Result<(), Error> {
        loop {
            if !self.sort_next()? || self.is_next_alone() || self.is_paused() {
                return Ok(());
            }

            let Some(item) = &self.next else { return Ok(()) };
            let (cost, index) = (self.cost(item), lane_of(item.message.key(), item.offset, self.lanes.len()));
            let Some(lane) = self.lanes.get(index) else { return Ok(()) };
            match (Arc::clone(&self.budget).try_acquire_many_owned(cost), lane.try_reserve()) {
                (Ok(permit), Ok(room)) => match self.tasks.take(index) {
                    Some(task) => room.send(Work::HeldEventTask(task)),
                    None => hand_over(&self.in_flight, &mut self.next, &mut self.memory, permit, room),
                },
                _ => break,
            }
        }

        // There is no room at the moment.
        let Some(item) = &self.next else { return Ok(()) };
        let index = lane_of(item.message.key(), item.offset, self.lanes.len());
        let permit = Arc::clone(&self.budget).acquire_many_owned(self.cost(item)).await;
        let Some(lane) = self.lanes.get(index) else { return Ok(()) };
        let (Ok(permit), Ok(room)) = (permit, lane.reserve().await) else { return Ok(()) };

        match self.tasks.take(index) {
            Some(task) => room.send(Work::HeldEventTask(task)),
            None => hand_over(&self.in_flight, &mut self.next, &mut self.memory, permit, room),
        }
        Ok(())
    }

    /// Finds the next record that needs work; `false` if there is none.
    fn sort_next(&mut self) -> Result<bool, Error> {
        while self.next.is_none() {
            let Some((offset, message)) = self.records.pop_front() else { return Ok(false) };
            match self.shared.sort(&self.in_flight.topic, self.in_flight.partition, offset, message, &mut self.hints) {
                Ok(Some(mut item)) => {
                    item.delivery.is_redelivery = offset < self.earlier.called_until;
                    self.next = Some(item);
                }
                Ok(None) => self.in_flight.prefix().pass(offset),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Handles one event at a time, and records its start first, so that a successor knows the event if it ends the
    /// process.
    async fn deal_alone(&mut self) -> Result<(), Error> {
        while !self.in_flight.is_idle() {
            self.deal_waiting_tasks();
            self.in_flight.progress.notified().await;
        }
        self.skip_known().await?;
        let pauses = &self.shared.pauses;
        let Some(item) = &mut self.next else { return Ok(()) };
        if item.offset >= self.earlier.isolate_until || pauses.is_paused(&self.in_flight.topic, item.event_type()) {
            return Ok(());
        }

        // The process that ended may have called the handler.
        item.delivery.is_redelivery = true;
        if matches!(item.todo, Todo::Handle { .. }) {
            let ended =
                self.shared.store.start_alone(self.in_flight.fence, item.offset, self.earlier.attempt_owner).await?;
            if PoisonCheck::of(ended, self.shared.options.poison_after.get()) == PoisonCheck::Poison {
                item.todo = Todo::Poison;
            }
        }

        let lane = lane_of(item.message.key(), item.offset, self.lanes.len());
        let cost = self.next.as_ref().map_or(1, |item| self.cost(item));
        let permit = Arc::clone(&self.budget).acquire_many_owned(cost).await;
        let Some(lane) = self.lanes.get(lane) else { return Ok(()) };
        if let (Ok(permit), Ok(room)) = (permit, lane.reserve().await) {
            hand_over(&self.in_flight, &mut self.next, &mut self.memory, permit, room);
        }
        Ok(())
    }

    /// Skips events that the inbox knows. The position in the store is moved now and then only, so that a successor
    /// finds many of them; those that were in flight come after them, so the isolation extends to them.
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
            self.in_flight.prefix().pass(offset);

            if let Some(isolated) = self.isolated {
                self.earlier.isolate_until =
                    self.earlier.isolate_until.max(offset.saturating_add(1).saturating_add(isolated));
            }
        }

        self.isolated = None;
        Ok(())
    }

    /// Returns the ids of the next events, and the offset after the last one of them.
    fn ids_ahead(&self, offset: i64, id: Option<Uuid>) -> (Vec<Uuid>, i64) {
        let mut hints = DecodeHints::default();
        let ahead = self.records.iter().take(LOOK_AHEAD);
        let until = ahead.clone().last().map_or(offset, |(offset, _)| *offset).saturating_add(1);
        let of = |message: &Message, hints: &mut DecodeHints| {
            let decoded = message.decode(&self.shared.pipeline, &self.in_flight.topic, hints);
            decoded.ok().and_then(|decoded| if let Decoded::Event(event) = decoded { Some(event.id) } else { None })
        };
        (id.into_iter().chain(ahead.filter_map(|(_, message)| of(message, &mut hints))).collect(), until)
    }

    /// Gives due events and requests to the lanes of their keys. A task waits for room: the lane of a backlog
    /// alternates between such tasks and records.
    pub fn deal_tasks(&mut self, tasks: Vec<HeldEventTask>) {
        for task in tasks {
            let lane = lane_of(task.key.as_deref(), task.offset, self.lanes.len());
            self.in_flight.tasks.fetch_add(1, Ordering::Relaxed);
            match self.lanes.get(lane).and_then(|lane| lane.try_reserve().ok()) {
                Some(room) => room.send(Work::HeldEventTask(task)),
                None => self.tasks.waiting.push_back((lane, task)),
            }
        }
    }

    /// Gives tasks that found no room to lanes that have some now, also if no record follows.
    pub fn deal_waiting_tasks(&mut self) {
        let (lanes, waiting) = (&self.lanes, &mut self.tasks.waiting);
        for _ in 0..waiting.len() {
            let Some((index, task)) = waiting.pop_front() else { return };
            match lanes.get(index).and_then(|lane| lane.try_reserve().ok()) {
                Some(room) => room.send(Work::HeldEventTask(task)),
                None => waiting.push_back((index, task)),
            }
        }
    }

    /// Returns whether held events may be tried now: not while one event is to be alone.
    pub fn takes_tasks(&self) -> bool {
        self.in_flight.has_room_for_tasks() && (!self.is_careful() || !self.has_work() && self.in_flight.is_idle())
    }

    fn is_careful(&self) -> bool {
        self.in_flight.prefix().done() < self.earlier.isolate_until
    }

    /// Returns a record's share of the budget: its bytes, or more, so that at most a window of records is in flight.
    fn cost(&self, item: &Item) -> u32 {
        let options = &self.shared.options;
        let least = BUDGET / window(options.partition_concurrency, options.max_batch_size).max(1);
        u32::try_from(item.message.size().clamp(least.max(1), BUDGET)).unwrap_or(u32::MAX)
    }
}

fn hand_over(
    in_flight: &InFlight,
    next: &mut Option<Item>,
    memory: &mut Option<OwnedSemaphorePermit>,
    permit: OwnedSemaphorePermit,
    room: mpsc::Permit<'_, Work>,
) {
    if let Some(mut item) = next.take() {
        in_flight.deal(item.offset);
        let share = memory.as_mut().and_then(|memory| memory.split(item.message.size().min(memory.num_permits())));
        item.permits = [Some(permit), share];
        room.send(Work::Event(item));
    }
}
