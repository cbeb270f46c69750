use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::decoder::{Answer, Extent};
use crate::Error;

/// The state that the fetching task and the stream of one partition share.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    pub(super) arrived: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The next offset to fetch.
    next: i64,
    /// The number of seeks. An answer to a request from before the last one is out of date.
    pub(super) round: u64,
    answers: VecDeque<Answer>,
    buffered: usize,
    /// Whether fetching is paused until the next seek.
    is_halted: bool,
    pub(super) is_out_of_range: bool,
    /// Whether the stream waits for an answer.
    pub(super) is_awaited: bool,
    /// Whether the stream was dropped.
    pub(super) is_closed: bool,
    /// The reason why the last attempt failed.
    pub(super) failed: Option<Failed>,
    /// The number of answers that had nothing new.
    pub(super) idle: u64,
    /// Committed records end before this offset; -1 before the first answer.
    pub(super) end: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    /// Whether retrying may help. If not, the stream returns the error at once.
    pub(super) is_passing: bool,
}

/// The outcome of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    Records,
    Nothing,
    /// There is more, but not one whole batch of it.
    CutOff,
    /// The answer has only batches for other offsets.
    Stuck,
    /// A seek has made the answer obsolete.
    OutOfDate,
}

impl Inbox {
    pub(super) fn new(offset: i64) -> Self {
        Self { state: Mutex::new(State { next: offset, end: -1, ..State::default() }), arrived: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores an answer of the current round for the reader. Returns what it brought, because an answer without a whole
    /// batch must be asked for differently.
    pub(super) fn deliver(&self, answer: Answer, round: u64) -> Delivered {
        let mut state = self.lock();
        if state.round != round || state.is_closed {
            return Delivered::OutOfDate;
        }

        state.failed = None;
        state.end = answer.end;
        let behind = Extent::behind(&answer.batches, answer.offset, answer.end);
        let delivered = match behind {
            Some(next) if next == answer.offset && answer.batches.is_empty() => Delivered::Nothing,
            Some(next) if next == answer.offset && !Extent::is_whole(&answer.batches) => Delivered::CutOff,
            Some(next) if next == answer.offset => Delivered::Stuck,
            next => {
                state.is_halted = next.is_none();
                state.next = next.unwrap_or(state.next);
                state.buffered += answer.batches.len();
                state.answers.push_back(answer);
                Delivered::Records
            }
        };

        if matches!(delivered, Delivered::Nothing | Delivered::Stuck) {
            state.idle += 1;
        }

        drop(state);
        self.arrived.notify_one();
        delivered
    }

    pub(super) fn fail(&self, error: Error, is_passing: bool) {
        self.lock().failed = Some(Failed { error, is_passing });
        self.arrived.notify_one();
    }

    pub(super) fn out_of_range(&self, round: u64) {
        let mut state = self.lock();
        if state.round == round {
            (state.is_out_of_range, state.is_halted) = (true, true);
            drop(state);
            self.arrived.notify_one();
        }
    }

    pub(super) fn seek(&self, offset: i64) {
        let mut state = self.lock();
        let (round, end) = (state.round + 1, state.end);
        *state = State { next: offset, round, end, ..State::default() };
    }
}

impl State {
    /// Returns the offset to fetch, if there is room for less than that many bytes.
    pub(super) fn wanted(&self, room: usize) -> Option<i64> {
        (!self.is_halted && self.buffered < room).then_some(self.next)
    }

    /// Returns whether the partition waits until its stream takes records.
    pub(super) fn is_full(&self, room: usize) -> bool {
        !self.is_halted && self.buffered >= room
    }

    pub(super) fn take(&mut self) -> Option<Answer> {
        let answer = self.answers.pop_front()?;
        self.buffered = self.buffered.saturating_sub(answer.batches.len());
        Some(answer)
    }
}
