use outbox_core::RowLife;
use outbox_net::ErrorChain;
use serde::Serialize;

use super::drain::Drain;
use super::latency::Latency;
use super::limit::Peek;
use super::options::Options;
use super::restart::Restart;
use super::start::Start;
use crate::machine::Machine;
use crate::{Failure, Outcome, report};

/// The figures of each run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rows: u64,
    pub(crate) partitions: i32,
    pub(crate) drains: Vec<Drain>,
    pub(crate) limits: Vec<Peek>,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) memory: Vec<Drain>,
    pub(crate) restarts: Vec<Restart>,
    /// On three brokers.
    pub(crate) clustered: Vec<Drain>,
    pub(crate) starts: Vec<Start>,
    /// One-row transactions with an UPDATE of another table, by the relay.
    pub(crate) business_rows: Vec<Drain>,
    /// The same with messages instead of rows.
    pub(crate) business_messages: Vec<Drain>,
    /// Runs that have no figure, and why.
    pub(crate) failed: Vec<String>,
}

impl Results {
    pub(crate) fn new(machine: Machine, options: &Options) -> Self {
        Self {
            machine,
            rows: options.rows,
            partitions: options.partitions,
            drains: Vec::new(),
            limits: Vec::new(),
            latencies: Vec::new(),
            memory: Vec::new(),
            restarts: Vec::new(),
            clustered: Vec::new(),
            starts: Vec::new(),
            business_rows: Vec::new(),
            business_messages: Vec::new(),
            failed: Vec::new(),
        }
    }

    pub(crate) fn drain(&mut self, outcome: Outcome<(Drain, Option<Peek>)>) {
        if let Some((drain, peek)) = self.taken(outcome) {
            self.drains.push(drain);
            self.limits.extend(peek);
        }
    }

    pub(crate) fn latency(&mut self, outcome: Outcome<Latency>) {
        let latency = self.taken(outcome);
        self.latencies.extend(latency);
    }

    pub(crate) fn memory(&mut self, outcome: Outcome<(Drain, Option<Peek>)>) {
        let drain = self.taken(outcome);
        self.memory.extend(drain.map(|(drain, _)| drain));
    }

    pub(crate) fn clustered(&mut self, outcome: Outcome<(Drain, Option<Peek>)>) {
        let drain = self.taken(outcome);
        self.clustered.extend(drain.map(|(drain, _)| drain));
    }

    pub(crate) fn business(&mut self, life: RowLife, outcome: Outcome<(Drain, Option<Peek>)>) {
        let drain = self.taken(outcome).map(|(drain, _)| drain);
        let drains = if life.has_table() { &mut self.business_rows } else { &mut self.business_messages };
        drains.extend(drain);
    }

    pub(crate) fn starts(&mut self, outcome: Outcome<Vec<Start>>) {
        let starts = self.taken(outcome);
        self.starts.extend(starts.unwrap_or_default());
    }

    /// Takes down a part that could not begin.
    pub(crate) fn failed(&mut self, error: Failure) {
        _ = self.taken::<()>(Err(error));
    }

    pub(crate) fn restart(&mut self, outcome: Outcome<Restart>) {
        let Some(restart) = self.taken(outcome) else { return };
        if restart.lost > 0 {
            self.failed.push(format!("the restart of {} has lost {} rows", restart.engine, restart.lost));
        }
        self.restarts.push(restart);
    }

    /// Returns an error if a run has no figure.
    pub(crate) fn outcome(&self) -> Outcome<()> {
        if self.failed.is_empty() {
            return Ok(());
        }
        Err(format!("{} runs failed:\n{}", self.failed.len(), self.failed.join("\n")).into())
    }

    fn taken<T>(&mut self, outcome: Outcome<T>) -> Option<T> {
        outcome
            .map_err(|error: Failure| {
                let text = ErrorChain::new(&*error).to_string();
                report(&format!("  failed: {text}"));
                self.failed.push(text);
            })
            .ok()
    }
}
