use super::{Duty, Log, Repetitions, Step};
use crate::progress::action::{Arrival, Outcome};
use crate::progress::in_flight::Verdict;
use crate::progress::ledger::Ledger;
use crate::progress::row::Row;

impl<R> Log<R> {
    /// Takes the outcome of a request. Returns the rows that the broker does not take.
    pub(crate) fn produced(&mut self, outcome: Outcome, ledger: &mut Ledger) -> Vec<Row<R>> {
        let Some(flight) = self.flight.as_mut().filter(|_| self.step == Step::Asked(Duty::Produce)) else {
            debug_assert!(false, "an outcome of a batch that was not asked for");
            return Vec::new();
        };
        if flight.is_trial {
            self.tried(&outcome, ledger);
            return Vec::new();
        }
        // Right behind what is known: nobody has written in between.
        let is_next = |offset| self.knowledge.up_to == Some(offset) && self.repetitions == Repetitions::Told;
        let (duty, verdict) = match outcome {
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
            Outcome::NotAppended => (Duty::Produce, Verdict::Open),
            Outcome::Appended { arrival, .. } => (Duty::Read, Verdict::Appended(arrival)),
            Outcome::OutOfOrder => (Duty::Read, Verdict::OutOfOrder),
            Outcome::InvalidEpoch => (Duty::Read, Verdict::InvalidEpoch),
            Outcome::Unknown => {
                flight.unsure = true;
                (Duty::Read, Verdict::Unknown)
            }
        };
        flight.verdict = verdict;
        self.step = Step::Due(duty);
        Vec::new()
    }

    /// Answers to a batch that the broker has, as the broker does.
    fn tried(&mut self, outcome: &Outcome, ledger: &mut Ledger) {
        ledger.counters.repeats_as_new += u64::from(matches!(outcome, Outcome::Appended { arrival: Arrival::Now, .. }));
        self.repetitions = match outcome {
            Outcome::Appended { arrival: Arrival::NowOrBefore, .. } => Repetitions::Told,
            Outcome::Appended { arrival: Arrival::Now, .. } => Repetitions::NotTold,
            _ => Repetitions::Untried,
        };
        self.arrive(ledger);
    }

    /// Records that the whole batch is in the log.
    fn arrive(&mut self, ledger: &mut Ledger) {
        let Some(flight) = self.flight.take() else { return };
        self.move_to(flight.at.past(flight.rows.len()));
        for row in &flight.rows {
            ledger.acknowledge(row);
        }
        self.check_next = false;
        self.refusals = 0;
        self.take = self.take.saturating_mul(2);
        self.step = Step::Rest;
    }

    fn reject(&mut self, indices: &[usize], ledger: &mut Ledger) -> Vec<Row<R>> {
        let Some(flight) = self.flight.take() else { return Vec::new() };
        self.step = Step::Rest;
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
