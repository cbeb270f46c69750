use outbox_core::uuid::Uuid;

use super::{BatchState, Identity, InFlightBatch, PartitionWriter, Repetitions, Request, State};
use crate::Lsn;
use crate::position::Position;
use crate::progress::action::{Arrival, Content, Outcome, Seen, Tail};
use crate::progress::ledger::Ledger;
use crate::progress::producer::Cursor;
use crate::progress::row::Row;

impl<R> PartitionWriter<R> {
    /// Handles the outcome of a request. Returns the rows that the broker rejects.
    pub fn produced(&mut self, outcome: Outcome, ledger: &mut Ledger) -> Vec<Row<R>> {
        let Some(flight) = self.in_flight.as_mut().filter(|_| self.state == State::Open(Request::Produce)) else {
            debug_assert!(false, "an outcome of a batch that was not asked for");
            return Vec::new();
        };

        if flight.is_trial {
            self.tried(&outcome, ledger);
            return Vec::new();
        }

        // The batch follows the known end of the log, so no other producer has written in between.
        let is_next = |offset| self.knowledge.up_to == Some(offset) && self.repetitions == Repetitions::Reported;
        let (request, state) = match outcome {
            Outcome::Appended { base_offset, arrival }
                if !flight.check || (arrival == Arrival::Now && is_next(base_offset)) =>
            {
                let rows = i64::try_from(flight.rows.len()).unwrap_or(0);
                if base_offset >= 0 {
                    self.knowledge.up_to = Some(base_offset.saturating_add(rows));
                }
                self.arrive(ledger);
                return Vec::new();
            }
            Outcome::Rejected { rows } => return self.reject(&rows, ledger),
            Outcome::NotAppended => (Request::Produce, BatchState::Open),
            Outcome::Appended { arrival, .. } => (Request::Read, BatchState::Appended(arrival)),
            Outcome::OutOfOrder => (Request::Read, BatchState::OutOfOrder),
            Outcome::InvalidEpoch => (Request::Read, BatchState::InvalidEpoch),
            Outcome::Unknown => {
                flight.unsure = true;
                (Request::Read, BatchState::Unknown)
            }
        };

        flight.state = state;
        self.state = State::Due(request);
        Vec::new()
    }

    /// Answers to a batch that the broker has, as the broker does.
    fn tried(&mut self, outcome: &Outcome, ledger: &mut Ledger) {
        ledger.counters.repeats_as_new += u64::from(matches!(outcome, Outcome::Appended { arrival: Arrival::Now, .. }));
        self.repetitions = match outcome {
            Outcome::Appended { arrival: Arrival::NowOrBefore, .. } => Repetitions::Reported,
            Outcome::Appended { arrival: Arrival::Now, .. } => Repetitions::NotReported,
            _ => Repetitions::Untried,
        };
        self.arrive(ledger);
    }

    /// Records that the whole batch is in the log.
    fn arrive(&mut self, ledger: &mut Ledger) {
        let Some(flight) = self.in_flight.take() else { return };
        self.move_to(flight.at.past(flight.rows.len()));
        for row in &flight.rows {
            ledger.acknowledge(row);
        }
        self.check_next = false;
        self.refusals = 0;
        self.take = self.take.saturating_mul(2);
        self.state = State::Idle;
    }

    /// Returns the rows of the batch in flight that the broker rejects. If it does not name them, the batch is halved
    /// until a single row is left.
    fn reject(&mut self, indices: &[usize], ledger: &mut Ledger) -> Vec<Row<R>> {
        let Some(flight) = self.in_flight.take() else { return Vec::new() };
        self.state = State::Idle;
        self.check_next |= flight.unsure;
        let is_single = flight.rows.len() == 1;
        let (mut poison, mut rest) = (Vec::new(), Vec::new());
        for (index, row) in flight.rows.into_iter().enumerate() {
            if is_single || indices.contains(&index) { poison.push(row) } else { rest.push(row) }
        }

        if poison.is_empty() {
            self.take = (rest.len() / 2).max(1);
        }

        for row in &poison {
            ledger.counters.poison += 1;
            ledger.release(row.bytes);
        }
        self.requeue(rest, ledger);
        poison
    }
}

impl<R> PartitionWriter<R> {
    /// Handles a record of the present read.
    pub fn seen(&mut self, seen: Seen) {
        if let (Some((producer, last)), Some(writer)) = (seen.written_by, self.cursor())
            && producer == writer.producer
        {
            self.knowledge.last_of_writer = Some(last);
        }
        match seen.content {
            Content::Own(position, event) => {
                self.knowledge.last_own = seen.written_by.or(self.knowledge.last_own);
                self.seen.own(position, event);
            }
            Content::OtherTimeline(position, event) => {
                self.knowledge.last_own = seen.written_by.or(self.knowledge.last_own);
                // A process of that timeline may still run, and write rows that this one has in flight.
                self.seen.own(position, event);
                self.unplaced(event);
            }
            Content::Unplaced(event) => self.unplaced(event),
        }
    }

    fn unplaced(&mut self, event: Uuid) {
        // Rows of the window may wait in the queue for the tail to be read.
        if self.knowledge.is_tail || !self.knowledge.past_window {
            self.seen.unplaced(event);
        }
    }

    /// Completes the read: the records that were found count, for the batch in flight and for the queue.
    pub fn tail_read(&mut self, tail: Tail, ledger: &mut Ledger) {
        if self.state != State::Open(Request::Read) {
            debug_assert!(false, "a read that was not asked for");
            return;
        }

        self.state = State::Idle;
        let oldest_commit = ledger.transactions.oldest_commit().unwrap_or_default();
        // Own records from before the window show that all records of the window are after them.
        let is_cut = tail.cut && self.seen.oldest().is_none_or(|oldest| oldest.commit >= oldest_commit);
        self.seen.forget_before(oldest_commit);
        if self.knowledge.is_tail {
            self.knowledge.tail_is_read = true;
            // Without an own record in the scan, every row of the window may be before the limit.
            let everything = Position { commit: Lsn::new(u64::MAX), index: u32::MAX };
            self.knowledge.cut_before = is_cut.then(|| self.seen.oldest().unwrap_or(everything));
            // This is set only here, because a later read may find a successor's producer id.
            if let (Identity::None, None, Some((producer, last))) =
                (self.identity, &self.in_flight, self.knowledge.last_own)
            {
                self.identity = Identity::Found(Cursor::after(producer, last));
            }
        }

        self.knowledge.up_to = Some(tail.end);
        if let Some(flight) = self.in_flight.take() {
            self.compare(flight, ledger);
        }
        self.skip_met(ledger);

        if self.knowledge.past_window {
            self.seen.forget_unplaced();
        }
    }

    /// Compares the batch in flight with the log.
    fn compare(&mut self, mut flight: InFlightBatch<R>, ledger: &mut Ledger) {
        let mut missing = Vec::new();
        let mut found = Vec::new();
        for row in flight.rows.drain(..) {
            let is_there = self.seen.take(row.position, row.event);
            if is_there { found.push(row) } else { missing.push(row) }
        }

        // Other rows have taken its first sequence number, so the batch in its present form can never be appended.
        let last = self.knowledge.last_of_writer.map(|last| Cursor::after(flight.at.producer, last));
        let is_overtaken = last.is_some_and(|next| next != flight.at);
        if flight.state == BatchState::Unknown && found.is_empty() && !is_overtaken {
            self.in_flight = Some(InFlightBatch { rows: missing, ..flight });
            self.state = State::Due(Request::Produce);
            return;
        }

        let is_refused = matches!(flight.state, BatchState::OutOfOrder | BatchState::InvalidEpoch);
        self.refusals = if found.is_empty() { self.refusals.saturating_add(1) } else { 0 };
        let expected = flight.at.past(found.len());
        let is_new = flight.state == BatchState::Appended(Arrival::Now) && last.is_none_or(|next| next == expected);
        if is_new && missing.is_empty() && !self.queue.is_empty() && self.repetitions == Repetitions::Untried {
            self.in_flight = Some(InFlightBatch { rows: found, is_trial: true, ..flight });
            self.state = State::Due(Request::Produce);
            return;
        }

        for row in &found {
            ledger.acknowledge(row);
        }
        let is_whole = missing.is_empty() && !is_refused;
        let expected = if is_whole { flight.at.past(found.len()) } else { flight.at };
        let next = last.unwrap_or(expected);
        self.requeue(missing, ledger);
        self.move_to(next);
        self.check_next = !is_whole || next != expected;

        // The log does not say which sequence the broker waits for, or the id is fenced off: only a new id continues.
        if flight.state == BatchState::InvalidEpoch || self.refusals > 1 {
            self.identity = Identity::None;
            self.refusals = 0;
        }
    }

    fn skip_met(&mut self, ledger: &mut Ledger) {
        if self.seen.is_empty() {
            return;
        }
        let (met, queued) = (&mut self.seen, &mut self.queued);
        self.queue.retain(|row| {
            let is_there = met.take(row.position, row.event);
            if is_there {
                *queued = queued.saturating_sub(row.bytes);
                ledger.skip(row);
            }
            !is_there
        });
    }
}
