mod outcome;
mod reading;

use std::collections::VecDeque;

use super::action::ReadFrom;
use super::in_flight::{InFlightBatch, Verdict};
use super::ledger::Ledger;
use super::producer::{Cursor, Producer};
use super::row::Row;
use super::seen_records::SeenRecords;
use super::window::{BatchLimit, Window};
use crate::position::Position;

/// One partition's log as far as it is known, and the rows on their way to it.
#[derive(Debug)]
pub(crate) struct Log<R> {
    queue: VecDeque<Row<R>>,
    /// The memory of the queue's rows.
    queued: usize,
    flight: Option<InFlightBatch<R>>,
    step: Step,
    writer: Writer,
    /// Which of this process's producer ids was used here last; a worn-out one must not come back.
    generation: u64,
    met: SeenRecords,
    knowledge: Knowledge,
    /// The next batch's answer has to be checked: an attempt of a batch that was taken apart may still be appended.
    check_next: bool,
    repetitions: Repetitions,
    /// How many times in a row the batch's numbers turned out to be taken, and none of its rows was there.
    refusals: u32,
    /// At most that many rows in the next batch, while the one that the broker does not take is looked for.
    take: usize,
}

/// The knowledge that was read from the log.
#[derive(Debug, Default)]
struct Knowledge {
    tail_is_read: bool,
    /// Every record before this offset was looked at.
    up_to: Option<i64>,
    /// Rows before this may be in the log before the scan's limit.
    cut_before: Option<Position>,
    past_window: bool,
    /// Of the read under way: whether it is a scan of the tail, the last batch with own records, the writer's last one.
    is_tail: bool,
    last_own: Option<(Producer, i32)>,
    last_of_writer: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Rest,
    Due(Duty),
    Asked(Duty),
    /// Until the slot is proven to be held, or a producer id has come.
    Parked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    Read,
    Produce,
}

#[derive(Clone, Copy, Debug)]
enum Writer {
    None,
    /// Of the last own batch in the log; a successor's if the slot was lost meanwhile.
    Found(Cursor),
    /// A predecessor's, who may still use it.
    Inherited(Cursor),
    /// Given to this process.
    Own(Cursor),
}

/// Whether the broker reports a batch that it had already from one that it appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repetitions {
    Untried,
    Told,
    NotTold,
}

/// The need of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Nothing,
    Turn,
    Held,
    Producer,
}

/// A producer id of this process, numbered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnProducer {
    pub(crate) producer: Producer,
    pub(crate) generation: u64,
}

/// The next task of the driver for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Read(ReadFrom),
    Produce,
}

impl<R> Log<R> {
    pub(crate) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            queued: 0,
            flight: None,
            step: Step::Rest,
            writer: Writer::None,
            generation: 0,
            met: SeenRecords::default(),
            knowledge: Knowledge::default(),
            check_next: false,
            repetitions: Repetitions::Untried,
            refusals: 0,
            take: usize::MAX,
        }
    }

    /// Queues the row unless it is proven to be in the log.
    pub(crate) fn push(&mut self, row: Row<R>, window: &Window, ledger: &mut Ledger) {
        if !window.holds(row.position) && !self.knowledge.past_window {
            self.knowledge.past_window = true;
            if self.knowledge.tail_is_read {
                self.met.forget_unplaced();
            }
        }
        if !ledger.may_write(row.position) {
            return;
        }
        ledger.hold(row.bytes);
        if !self.met.is_empty() && self.met.take(row.position, row.event) {
            ledger.skip(&row);
        } else {
            self.queued += row.bytes;
            self.queue.push_back(row);
        }
    }

    /// Returns what the rows of this partition hold in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.queued.saturating_add(self.flight.as_ref().map_or(0, |flight| flight.bytes))
    }

    /// Decides what comes next, if nothing is under way.
    pub(crate) fn advance(&mut self, window: &Window, own: Option<OwnProducer>) -> Need {
        if self.step != Step::Rest || self.flight.is_some() {
            return Need::Nothing;
        }
        let Some(front) = self.queue.front() else { return Need::Nothing };
        let in_window = window.holds(front.position);
        if in_window && !self.knowledge.tail_is_read {
            self.step = Step::Due(Duty::Read);
            return Need::Turn;
        }
        match self.writer {
            Writer::Own(_) => {}
            Writer::Inherited(_) if in_window => {}
            Writer::Found(_) if in_window => {
                self.step = Step::Parked;
                return Need::Held;
            }
            _ => match own.filter(|own| own.generation > self.generation) {
                Some(own) => {
                    self.generation = own.generation;
                    self.writer = Writer::Own(Cursor::first(own.producer));
                    self.check_next = false;
                }
                None => {
                    self.step = Step::Parked;
                    return Need::Producer;
                }
            },
        }
        self.step = Step::Due(Duty::Produce);
        Need::Turn
    }

    pub(crate) fn unpark(&mut self) {
        if self.step == Step::Parked {
            self.step = Step::Rest;
        }
    }

    /// Forgets what a successor could have written: the slot was held after the tail had been read, so what was found
    /// there is no successor's.
    pub(crate) fn inherit(&mut self) {
        if let Writer::Found(cursor) = self.writer {
            self.writer = Writer::Inherited(cursor);
        }
        self.unpark();
    }

    /// Hands out what is due.
    pub(crate) fn take_task(&mut self, window: &Window, limit: BatchLimit, ledger: &mut Ledger) -> Option<Task> {
        let Step::Due(duty) = self.step else { return None };
        self.step = Step::Asked(duty);
        if duty == Duty::Read {
            let from = self.flight.as_ref().and(self.knowledge.up_to).map_or(ReadFrom::Tail, ReadFrom::Offset);
            self.knowledge.is_tail = from == ReadFrom::Tail;
            self.knowledge.last_own = None;
            self.knowledge.last_of_writer = None;
            return Some(Task::Read(from));
        }
        if self.flight.is_none() {
            self.depart(window, limit, ledger)?;
        }
        let flight = self.flight.as_mut()?;
        if flight.attempts > 0 {
            ledger.counters.sent_again += flight.rows.len() as u64;
        }
        flight.attempts = flight.attempts.saturating_add(1);
        flight.verdict = Verdict::Open;
        Some(Task::Produce)
    }

    pub(crate) fn flight(&self) -> Option<&InFlightBatch<R>> {
        self.flight.as_ref()
    }

    /// Makes a batch of the queue's front. Rows of the window and rows after it are not mixed: they have other writers.
    fn depart(&mut self, window: &Window, limit: BatchLimit, ledger: &mut Ledger) -> Option<()> {
        let (at, check) = match self.writer {
            Writer::Own(cursor) => (cursor, self.check_next),
            Writer::Inherited(cursor) => (cursor, true),
            Writer::None | Writer::Found(_) => return None,
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
        self.flight = Some(InFlightBatch {
            rows,
            at,
            check,
            unsure: false,
            verdict: Verdict::Open,
            attempts: 0,
            bytes,
            is_trial: false,
        });
        Some(())
    }

    pub(crate) fn is_due(&self) -> bool {
        matches!(self.step, Step::Due(_))
    }

    pub(crate) fn is_due_to_produce(&self) -> bool {
        self.step == Step::Due(Duty::Produce)
    }

    /// Drops the queue's rows that are not written any more.
    pub(crate) fn drop_stopped(&mut self, ledger: &mut Ledger) {
        let queued = &mut self.queued;
        self.queue.retain(|row| {
            let stays = ledger.may_write(row.position);
            if !stays {
                *queued = queued.saturating_sub(row.bytes);
                ledger.release(row.bytes);
            }
            stays
        });
        if self.queue.is_empty() && self.flight.is_none() && self.is_due_to_produce() {
            self.step = Step::Rest;
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
        match self.writer {
            Writer::None => None,
            Writer::Found(cursor) | Writer::Inherited(cursor) | Writer::Own(cursor) => Some(cursor),
        }
    }

    fn move_to(&mut self, next: Cursor) {
        match &mut self.writer {
            Writer::None => {}
            Writer::Found(cursor) | Writer::Inherited(cursor) | Writer::Own(cursor) => *cursor = next,
        }
    }
}
