mod answers;

use std::collections::VecDeque;

use super::action::{Action, Arrival, ReadFrom};
use super::ledger::Ledger;
use super::producer::{Cursor, OwnProducer, Producer};
use super::row::{BatchLimit, PartitionId, Row, SeenRecords, Window};
use crate::position::Position;

/// The known part of a partition's log, and the rows that are to be written to it.
#[derive(Debug)]
pub struct PartitionWriter<R> {
    queue: VecDeque<Row<R>>,
    /// The memory of the queue's rows.
    queued: usize,
    in_flight: Option<InFlightBatch<R>>,
    state: State,
    identity: Identity,
    /// The last of this process's producer ids that was used here; a discarded one must not be used again.
    generation: u64,
    seen: SeenRecords,
    knowledge: Knowledge,
    /// Whether the next batch's answer must be checked, because an attempt of a batch that was split may still be
    /// appended.
    check_next: bool,
    repetitions: Repetitions,
    /// The number of times in a row that the batch's sequence numbers were taken and none of its rows was in the log.
    refusals: u32,
    /// The most rows of the next batch, while the row that the broker rejects is searched for.
    take: usize,
}

/// The knowledge that was read from the log.
#[derive(Debug, Default)]
struct Knowledge {
    tail_is_read: bool,
    /// The offset before which every record was read.
    up_to: Option<i64>,
    /// The position before which rows may be in the log before the scan's limit.
    cut_before: Option<Position>,
    past_window: bool,
    /// Of the read under way: whether it is a scan of the tail, the last batch with own records, the writer's last one.
    is_tail: bool,
    last_own: Option<(Producer, i32)>,
    last_of_writer: Option<i32>,
}

/// The next request for a partition, and whether it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No request is open.
    Idle,
    /// The request is due.
    Due(Request),
    /// The request was made, and has no answer.
    Open(Request),
    /// Until the slot is proven to be held.
    AwaitsProof,
    /// Until a producer id has come.
    AwaitsProducer,
}

/// A request to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Read,
    Produce,
}

/// The producer id and the sequence number that the next batch is written with.
#[derive(Clone, Copy, Debug)]
enum Identity {
    None,
    /// The producer of the last own batch in the log; a successor's if the slot was lost meanwhile.
    Found(Cursor),
    /// A predecessor's producer, which the predecessor may still use.
    Inherited(Cursor),
    /// A producer whose id was given to this process.
    Own(Cursor),
}

/// Whether the broker reports a batch that it had already from one that it appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repetitions {
    Untried,
    Reported,
    NotReported,
}

/// The one batch of a partition whose outcome is not known yet.
#[derive(Debug)]
pub struct InFlightBatch<R> {
    pub rows: Vec<Row<R>>,
    pub at: Cursor,
    /// Whether error 0 proves nothing, because others may have used these sequence numbers for other rows.
    pub check: bool,
    /// Whether an attempt had no answer, so that it may be appended at any later time.
    pub unsure: bool,
    pub state: BatchState,
    pub attempts: u32,
    pub bytes: usize,
    /// Whether all of it is in the log: it is sent again to find out how the broker answers a repeated batch.
    pub is_trial: bool,
}

/// The outcome of a batch in flight, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    Open,
    Appended(Arrival),
    Unknown,
    OutOfOrder,
    InvalidEpoch,
}

impl<R> PartitionWriter<R> {
    pub fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            queued: 0,
            in_flight: None,
            state: State::Idle,
            identity: Identity::None,
            generation: 0,
            seen: SeenRecords::default(),
            knowledge: Knowledge::default(),
            check_next: false,
            repetitions: Repetitions::Untried,
            refusals: 0,
            take: usize::MAX,
        }
    }

    /// Queues the row unless it is proven to be in the log.
    pub fn push(&mut self, row: Row<R>, window: &Window, ledger: &mut Ledger) {
        if !window.holds(row.position) && !self.knowledge.past_window {
            self.knowledge.past_window = true;
            if self.knowledge.tail_is_read {
                self.seen.forget_unplaced();
            }
        }
        if !ledger.may_write(row.position) {
            return;
        }
        ledger.hold(row.bytes);

        if !self.seen.is_empty() && self.seen.take(row.position, row.event) {
            ledger.skip(&row);
        } else {
            self.queued += row.bytes;
            self.queue.push_back(row);
        }
    }

    /// Returns the memory of the rows of this partition, in bytes.
    pub fn bytes(&self) -> usize {
        self.queued.saturating_add(self.in_flight.as_ref().map_or(0, |flight| flight.bytes))
    }

    /// Decides the next step, if no request is open. Returns the state that this leads to.
    pub fn advance(&mut self, window: &Window, own: Option<OwnProducer>) -> Option<State> {
        if self.state != State::Idle || self.in_flight.is_some() {
            return None;
        }
        let in_window = window.holds(self.queue.front()?.position);
        self.state = if in_window && !self.knowledge.tail_is_read {
            State::Due(Request::Read)
        } else {
            self.prepare(in_window, own)
        };
        Some(self.state)
    }

    /// Decides whether the next batch has a producer id, and assigns a new one of this process.
    fn prepare(&mut self, in_window: bool, own: Option<OwnProducer>) -> State {
        match self.identity {
            Identity::Own(_) => return State::Due(Request::Produce),
            Identity::Inherited(_) if in_window => return State::Due(Request::Produce),
            Identity::Found(_) if in_window => return State::AwaitsProof,
            _ => {}
        }
        let Some(own) = own.filter(|own| own.generation > self.generation) else { return State::AwaitsProducer };
        self.generation = own.generation;
        self.identity = Identity::Own(Cursor::first(own.producer));
        self.check_next = false;
        State::Due(Request::Produce)
    }

    /// Lets the partition continue after an answer that it waits for.
    pub fn resume(&mut self) {
        if matches!(self.state, State::AwaitsProof | State::AwaitsProducer) {
            self.state = State::Idle;
        }
    }

    /// Marks the producer that was found as not a successor's: the slot was held after the tail had been read.
    pub fn inherit(&mut self) {
        if let Identity::Found(cursor) = self.identity {
            self.identity = Identity::Inherited(cursor);
        }
        self.resume();
    }

    /// Returns the action that is due, and marks it as requested.
    pub fn next_action(
        &mut self,
        partition: PartitionId,
        window: &Window,
        limit: BatchLimit,
        ledger: &mut Ledger,
    ) -> Option<Action<R>> {
        let State::Due(request) = self.state else { return None };
        self.state = State::Open(request);
        if request == Request::Read {
            let from = self.in_flight.as_ref().and(self.knowledge.up_to).map_or(ReadFrom::Tail, ReadFrom::Offset);
            self.knowledge.is_tail = from == ReadFrom::Tail;
            self.knowledge.last_own = None;
            self.knowledge.last_of_writer = None;
            return Some(Action::Read { partition, from });
        }

        if self.in_flight.is_none() {
            self.form_batch(window, limit, ledger)?;
        }

        let flight = self.in_flight.as_mut()?;
        if flight.attempts > 0 {
            ledger.counters.sent_again += flight.rows.len() as u64;
        }
        flight.attempts = flight.attempts.saturating_add(1);
        flight.state = BatchState::Open;
        Some(Action::Produce(partition))
    }

    pub fn in_flight(&self) -> Option<&InFlightBatch<R>> {
        self.in_flight.as_ref()
    }

    /// Makes a batch of the queue's front. Rows of the window and rows after it are not mixed, because they have
    /// different producers.
    fn form_batch(&mut self, window: &Window, limit: BatchLimit, ledger: &mut Ledger) -> Option<()> {
        let (at, check) = match self.identity {
            Identity::Own(cursor) => (cursor, self.check_next),
            Identity::Inherited(cursor) => (cursor, true),
            Identity::None | Identity::Found(_) => return None,
        };

        let in_window = window.holds(self.queue.front()?.position);
        let mut rows = Vec::new();
        let mut bytes: usize = 0;

        while let Some(row) = self.queue.front() {
            let is_full = rows.len() >= limit.rows.min(self.take) || bytes.saturating_add(row.bytes) > limit.bytes;
            if !rows.is_empty() && (is_full || window.holds(row.position) != in_window) {
                break;
            }
            bytes = bytes.saturating_add(row.bytes);
            let in_doubt = in_window && self.knowledge.cut_before.is_some_and(|cut| row.position < cut);
            ledger.counters.duplicates_accepted += u64::from(in_doubt);
            rows.extend(self.queue.pop_front());
        }

        self.queued = self.queued.saturating_sub(bytes);
        ledger.counters.sent += rows.len() as u64;
        self.in_flight = Some(InFlightBatch {
            rows,
            at,
            check,
            unsure: false,
            state: BatchState::Open,
            attempts: 0,
            bytes,
            is_trial: false,
        });
        Some(())
    }

    pub fn is_due(&self) -> bool {
        matches!(self.state, State::Due(_))
    }

    pub fn is_due_to_produce(&self) -> bool {
        self.state == State::Due(Request::Produce)
    }

    /// Drops the queue's rows that are not written any more.
    pub fn drop_stopped(&mut self, ledger: &mut Ledger) {
        let queued = &mut self.queued;
        self.queue.retain(|row| {
            let stays = ledger.may_write(row.position);
            if !stays {
                *queued = queued.saturating_sub(row.bytes);
                ledger.release(row.bytes);
            }
            stays
        });
        if self.queue.is_empty() && self.in_flight.is_none() && self.is_due_to_produce() {
            self.state = State::Idle;
        }
    }

    fn requeue(&mut self, rows: Vec<Row<R>>, ledger: &mut Ledger) {
        for row in rows.into_iter().rev() {
            self.queued += row.bytes;
            self.queue.push_front(row);
        }
        self.drop_stopped(ledger);
    }

    fn cursor(&self) -> Option<Cursor> {
        match self.identity {
            Identity::None => None,
            Identity::Found(cursor) | Identity::Inherited(cursor) | Identity::Own(cursor) => Some(cursor),
        }
    }

    fn move_to(&mut self, next: Cursor) {
        match &mut self.identity {
            Identity::None => {}
            Identity::Found(cursor) | Identity::Inherited(cursor) | Identity::Own(cursor) => *cursor = next,
        }
    }
}
