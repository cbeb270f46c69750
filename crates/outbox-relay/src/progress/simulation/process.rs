use std::collections::HashSet;

use outbox_core::uuid::Uuid;

use super::broker::{Answer, DEAD_LETTERS, MAX_PARTITIONS};
use super::mutation::Mutation;
use super::postgres::{Postgres, Wire};
use crate::Lsn;
use crate::position::Position;
use crate::progress::{
    Action, BatchLimit, Outcome, PartitionId, Poison, Progress, ReadFrom, Seen, Tail, Unplaced, Window,
};

/// One session of a relay, with its driver's open operations.
#[derive(Debug)]
pub struct Process {
    /// Grows with every take-over.
    pub number: u32,
    pub progress: Progress<Wire>,
    pub open: Vec<Open>,
    /// Partitions of each topic, as this process knows it.
    pub counts: Vec<usize>,
    /// The next transaction, and the next row in it once it has begun.
    next: (usize, Option<usize>),
    /// Transactions that were sent to it before it lost the slot.
    pub received: Option<usize>,
    /// The last outcome of each partition.
    pub outcomes: Vec<Option<Answer>>,
    /// Partitions whose broker has answered to a batch that it had already.
    pub told: Vec<bool>,
    max_buffered: usize,
    pub window: Window,
    pub timeline: u32,
    /// Whether it stops at a poison row.
    pub stops: bool,
    /// The poison row that it stops at, and its event.
    pub stopping: Option<(Position, usize)>,
    /// Rows of topics that are not known yet.
    pub waiting: Vec<Option<Vec<(Unplaced, Wire)>>>,
}

/// Something that the driver carries out.
#[derive(Debug)]
pub enum Open {
    Read {
        partition: PartitionId,
        from: ReadFrom,
    },
    Snapshot {
        partition: PartitionId,
        seen: Vec<Seen>,
        tail: Tail,
    },
    ProveHeld,
    NewProducer,
    Poison(Poison<Wire>),
    Answer {
        partition: PartitionId,
        outcome: Outcome,
    },
    /// A topic is being looked for.
    Topic(usize),
}

impl Process {
    pub fn new(
        number: u32,
        postgres: &Postgres,
        counts: Vec<usize>,
        batch_rows: usize,
        max_buffered: usize,
        topics: Topics,
    ) -> Self {
        let window = Window { confirmed: postgres.confirmed, end: Lsn::new(postgres.flushed) };
        Self {
            number,
            progress: Progress::new(window, BatchLimit { rows: batch_rows, bytes: 1000 }),
            open: Vec::new(),
            counts,
            next: (postgres.first_unconfirmed(), None),
            received: None,
            outcomes: vec![None; (DEAD_LETTERS + 1) * MAX_PARTITIONS],
            told: vec![false; (DEAD_LETTERS + 1) * MAX_PARTITIONS],
            max_buffered,
            window,
            timeline: postgres.timeline,
            stops: false,
            stopping: None,
            waiting: (0..=DEAD_LETTERS).map(|_| (topics == Topics::Late).then(Vec::new)).collect(),
        }
    }

    pub fn stopping_at_poison(self, stops: bool) -> Self {
        Self { stops, ..self }
    }

    /// Takes the next thing from the stream. None when there is nothing to read, or no room for it.
    pub fn read_wal(&mut self, postgres: &Postgres, left_out: &HashSet<usize>) -> Option<WalEvent> {
        if self.stopping.is_some() || self.progress.buffered_bytes() > self.max_buffered {
            return None;
        }

        let (number, row) = self.next;
        let end = self.received.unwrap_or(postgres.transactions.len());
        let Some(transaction) = postgres.transactions[..end].get(number) else {
            // A keepalive.
            if self.received.is_none() {
                self.progress.idle(Lsn::new(postgres.flushed));
            }
            return None;
        };
        let Some(row) = row else {
            self.progress.begin(transaction.commit).unwrap();
            self.next.1 = Some(0);
            return Some(WalEvent::Begin);
        };
        let Some(wire) = transaction.rows.get(row) else {
            self.progress.commit(transaction.end).unwrap();
            self.next = (number + 1, None);
            return Some(WalEvent::Commit(transaction.end));
        };
        let position = postgres.positions[wire.event];

        match &mut self.waiting[wire.topic] {
            _ if left_out.contains(&wire.event) => self.progress.leave_out(position).unwrap(),
            None => {
                let partition = self.partition(wire);
                self.progress.row(position, uuid(wire.event), partition, *wire, 1).unwrap();
            }
            Some(waiting) => {
                if waiting.is_empty() {
                    self.open.push(Open::Topic(wire.topic));
                }
                waiting.push((self.progress.wait(position, uuid(wire.event), 1).unwrap(), *wire));
            }
        }

        self.next.1 = Some(row + 1);
        Some(WalEvent::Row)
    }

    /// Stops at a poison row, after the rows before it are written.
    fn stop_at(&mut self, poison: &Poison<Wire>) {
        let (position, event) = (poison.position, poison.refused.as_ref().unwrap().1.event);
        self.progress.stop_at(position);
        self.stopping = Some(self.stopping.map_or((position, event), |stopping| stopping.min((position, event))));
        for waiting in self.waiting.iter_mut().flatten() {
            for (waiting, _) in waiting.extract_if(.., |(waiting, _)| waiting.position >= position) {
                self.progress.abandon(waiting);
            }
        }
    }

    /// Returns whether everything is done that the process has to do before it ends at a poison row.
    pub fn has_stopped(&self, mutation: Mutation) -> bool {
        let is_written = self.open.is_empty() && self.progress.buffered_rows() == 0;
        self.stopping.is_some() && (is_written || mutation == Mutation::StopAtOnce)
    }

    /// Learns a topic: its rows go to their partitions.
    pub fn learn(&mut self, topic: usize) {
        for (waiting, wire) in self.waiting[topic].take().into_iter().flatten() {
            let partition = self.partition(&wire);
            self.progress.place(waiting, partition, wire);
        }
    }

    fn partition(&self, wire: &Wire) -> PartitionId {
        partition_id(wire.topic, wire.key % self.counts[wire.topic])
    }

    /// Returns the next actions of the state machine. The caller carries out produces and confirmations.
    pub fn poll(&mut self) -> Vec<PendingRequest> {
        let mut asked = Vec::new();
        while let Some(action) = self.progress.next_action(|_| true) {
            match action {
                Action::Confirm(lsn) => asked.push(PendingRequest::Confirm(lsn)),
                Action::Produce(partition) => asked.push(PendingRequest::Produce(partition)),
                Action::Read { partition, from } => self.open.push(Open::Read { partition, from }),
                Action::ProveHeld => self.open.push(Open::ProveHeld),
                Action::NewProducer => self.open.push(Open::NewProducer),
                Action::Poison(poison) if self.stops => self.stop_at(&poison),
                Action::Poison(poison) => self.open.push(Open::Poison(poison)),
            }
        }
        asked
    }
}

/// Whether a process knows the topics at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topics {
    Known,
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalEvent {
    Begin,
    Row,
    Commit(Lsn),
}

#[derive(Debug)]
pub enum PendingRequest {
    Confirm(Lsn),
    Produce(PartitionId),
}

pub fn uuid(event: usize) -> Uuid {
    Uuid::from_u128(event as u128)
}

pub fn partition_id(topic: usize, partition: usize) -> PartitionId {
    PartitionId(u32::try_from(topic * MAX_PARTITIONS + partition).unwrap())
}

pub fn place(partition: PartitionId) -> (usize, usize) {
    let index = partition.0 as usize;
    (index / MAX_PARTITIONS, index % MAX_PARTITIONS)
}
