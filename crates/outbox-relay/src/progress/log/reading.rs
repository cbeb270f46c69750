use outbox_core::uuid::Uuid;

use super::{Duty, Log, Repetitions, Step, Writer};
use crate::Lsn;
use crate::position::Position;
use crate::progress::action::{Arrival, Content, Seen, Tail};
use crate::progress::in_flight::{InFlightBatch, Verdict};
use crate::progress::ledger::Ledger;
use crate::progress::producer::Cursor;

impl<R> Log<R> {
    /// Takes a record of the read under way.
    pub(crate) fn seen(&mut self, seen: Seen) {
        if let (Some((producer, last)), Some(writer)) = (seen.written_by, self.cursor())
            && producer == writer.producer
        {
            self.knowledge.last_of_writer = Some(last);
        }
        match seen.content {
            Content::Own(position, event) => {
                self.knowledge.last_own = seen.written_by.or(self.knowledge.last_own);
                self.met.own(position, event);
            }
            Content::OtherTimeline(position, event) => {
                self.knowledge.last_own = seen.written_by.or(self.knowledge.last_own);
                // A process of that timeline may live on, and write rows that this one has in flight.
                self.met.own(position, event);
                self.unplaced(event);
            }
            Content::Unplaced(event) => self.unplaced(event),
        }
    }

    fn unplaced(&mut self, event: Uuid) {
        // Rows of the window may wait in the queue for the tail to be read.
        if self.knowledge.is_tail || !self.knowledge.past_window {
            self.met.unplaced(event);
        }
    }

    /// Completes the read: what was met counts, for the batch in flight and for the queue.
    pub(crate) fn tail_read(&mut self, tail: Tail, ledger: &mut Ledger) {
        if self.step != Step::Asked(Duty::Read) {
            debug_assert!(false, "a read that was not asked for");
            return;
        }
        self.step = Step::Rest;
        let oldest_commit = ledger.transactions.oldest_commit().unwrap_or_default();
        // Own records of before the window show that all of the window's are after them.
        let is_cut = tail.cut && self.met.oldest().is_none_or(|oldest| oldest.commit >= oldest_commit);
        self.met.forget_before(oldest_commit);
        if self.knowledge.is_tail {
            self.knowledge.tail_is_read = true;
            // With no own record there, every row of the window may be before the limit.
            let everything = Position { commit: Lsn::new(u64::MAX), index: u32::MAX };
            self.knowledge.cut_before = is_cut.then(|| self.met.oldest().unwrap_or(everything));
            // Only here: what is found later may be a successor's.
            if let (Writer::None, None, Some((producer, last))) = (self.writer, &self.flight, self.knowledge.last_own) {
                self.writer = Writer::Found(Cursor::after(producer, last));
            }
        }
        self.knowledge.up_to = Some(tail.end);
        if let Some(flight) = self.flight.take() {
            self.compare(flight, ledger);
        }
        self.skip_met(ledger);
        if self.knowledge.past_window {
            self.met.forget_unplaced();
        }
    }

    /// Compares the batch in flight with the log.
    fn compare(&mut self, mut flight: InFlightBatch<R>, ledger: &mut Ledger) {
        let mut missing = Vec::new();
        let mut found = Vec::new();
        for row in flight.rows.drain(..) {
            let is_there = self.met.take(row.position, row.event);
            if is_there { found.push(row) } else { missing.push(row) }
        }
        // With its first number taken by other rows, the batch as it is can never be appended any more.
        let last = self.knowledge.last_of_writer.map(|last| Cursor::after(flight.at.producer, last));
        let is_overtaken = last.is_some_and(|next| next != flight.at);
        if flight.verdict == Verdict::Unknown && found.is_empty() && !is_overtaken {
            self.flight = Some(InFlightBatch { rows: missing, ..flight });
            self.step = Step::Due(Duty::Produce);
            return;
        }
        let is_refused = matches!(flight.verdict, Verdict::OutOfOrder | Verdict::InvalidEpoch);
        self.refusals = if found.is_empty() { self.refusals.saturating_add(1) } else { 0 };
        let expected = flight.at.past(found.len());
        let is_new = flight.verdict == Verdict::Appended(Arrival::Now) && last.is_none_or(|next| next == expected);
        if is_new && missing.is_empty() && !self.queue.is_empty() && self.repetitions == Repetitions::Untried {
            self.flight = Some(InFlightBatch { rows: found, is_trial: true, ..flight });
            self.step = Step::Due(Duty::Produce);
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
        if flight.verdict == Verdict::InvalidEpoch || self.refusals > 1 {
            self.writer = Writer::None;
            self.refusals = 0;
        }
    }

    fn skip_met(&mut self, ledger: &mut Ledger) {
        if self.met.is_empty() {
            return;
        }
        let (met, queued) = (&mut self.met, &mut self.queued);
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
