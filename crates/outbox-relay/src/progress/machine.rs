use std::collections::VecDeque;

use outbox_core::uuid::Uuid;

use super::action::{Action, Batch, Outcome, Seen, Tail};
use super::ledger::{Counters, Ledger};
use super::partition_writer::{PartitionWriter, State};
use super::producer::{OwnProducers, PendingQuestion, Producer};
use super::row::{BatchLimit, OutOfTurn, PartitionId, Poison, Row, TransactionId, Unplaced, Window};
use crate::Lsn;
use crate::position::Position;

/// The state of one session of the slot, from its acquisition until it is lost. `R` is an encoded record, kept until
/// its row is resolved.
#[derive(Debug)]
pub struct Progress<R> {
    window: Window,
    limit: BatchLimit,
    ledger: Ledger,
    writers: Vec<PartitionWriter<R>>,
    /// Partitions with something to do.
    due: VecDeque<PartitionId>,
    poison: VecDeque<Poison<R>>,
    proof: PendingQuestion,
    producers: OwnProducers,
    last_begin: Option<Lsn>,
    last_row: Option<Position>,
    last_end: Lsn,
}

impl<R> Progress<R> {
    pub fn new(window: Window, limit: BatchLimit) -> Self {
        Self {
            window,
            limit,
            ledger: Ledger::new(window.confirmed),
            writers: Vec::new(),
            due: VecDeque::new(),
            poison: VecDeque::new(),
            proof: PendingQuestion::default(),
            producers: OwnProducers::default(),
            last_begin: None,
            last_row: None,
            last_end: Lsn::default(),
        }
    }

    /// Begins a transaction with this commit LSN.
    pub fn begin(&mut self, commit: Lsn) -> Result<(), OutOfTurn> {
        let is_later = self.last_begin.is_none_or(|last| commit > last) && commit >= self.last_end;
        if !is_later || self.ledger.transactions.open_commit().is_some() {
            return Err(OutOfTurn { last: self.last_begin.max(Some(self.last_end)).unwrap_or_default(), got: commit });
        }
        self.last_begin = Some(commit);
        self.ledger.transactions.begin(commit);
        Ok(())
    }

    /// Adds a row of the open transaction, with its record and the partition that it maps to now.
    pub fn row(
        &mut self,
        position: Position,
        event: Uuid,
        partition: PartitionId,
        record: R,
        bytes: usize,
    ) -> Result<(), OutOfTurn> {
        let owner = self.take_turn(position)?;
        self.push(partition, Row { position, event, record, bytes, owner });
        Ok(())
    }

    /// Adds a row of the open transaction for which there is no legal record or topic.
    pub fn unwritable(&mut self, position: Position, event: Uuid) -> Result<(), OutOfTurn> {
        let owner = self.take_turn(position)?;
        self.ledger.counters.poison += 1;
        self.poison.push_back(Poison { position, event, refused: None, owner });
        Ok(())
    }

    /// Skips a row of the open transaction that is not to be written.
    pub fn leave_out(&mut self, position: Position) -> Result<(), OutOfTurn> {
        let owner = self.take_turn(position)?;
        self.ledger.transactions.resolve(owner);
        Ok(())
    }

    /// Adds a row of the open transaction whose topic is not known yet. Rows of one topic must be placed in their
    /// order.
    pub fn wait(&mut self, position: Position, event: Uuid, bytes: usize) -> Result<Unplaced, OutOfTurn> {
        let owner = self.take_turn(position)?;
        self.ledger.hold(bytes);
        Ok(Unplaced { position, event, bytes, owner })
    }

    /// Lets a poison row wait until the topic for dead letters is known.
    pub fn wait_as_dead_letter(&mut self, poison: Poison<R>, bytes: usize) -> Unplaced {
        let Poison { position, event, refused, owner } = poison;
        drop(refused);
        self.ledger.hold(bytes);
        Unplaced { position, event, bytes, owner }
    }

    /// Records the partition of a waiting row.
    #[expect(clippy::needless_pass_by_value, reason = "a row waits once")]
    pub fn place(&mut self, waiting: Unplaced, partition: PartitionId, record: R) {
        let Unplaced { position, event, bytes, owner } = waiting;
        self.ledger.release(bytes);
        self.push(partition, Row { position, event, record, bytes, owner });
    }

    /// Records that there is no legal topic or partition for a waiting row.
    #[expect(clippy::needless_pass_by_value, reason = "a row waits once")]
    pub fn refuse(&mut self, waiting: Unplaced) {
        let Unplaced { position, event, bytes, owner } = waiting;
        self.ledger.release(bytes);
        self.ledger.counters.poison += 1;
        self.poison.push_back(Poison { position, event, refused: None, owner });
    }

    /// Abandons a waiting row, because the writing ends before it.
    #[expect(clippy::needless_pass_by_value, reason = "a row waits once")]
    pub fn abandon(&mut self, waiting: Unplaced) {
        self.ledger.release(waiting.bytes);
    }

    /// Ends the writing before this row. Batches in flight are sent until their outcome is known. Of other rows only
    /// those before it are written, and the slot stays before its transaction.
    pub fn stop_at(&mut self, position: Position) {
        self.ledger.stop_at(position);
        for writer in &mut self.writers {
            writer.drop_stopped(&mut self.ledger);
        }
    }

    /// Commits the open transaction; `end` is the position after its commit.
    pub fn commit(&mut self, end: Lsn) -> Result<(), OutOfTurn> {
        if self.ledger.transactions.open_commit().is_none() || end < self.last_end {
            return Err(OutOfTurn { last: self.last_end, got: end });
        }
        self.last_end = end;
        self.ledger.transactions.commit(end);
        Ok(())
    }

    /// Handles a keepalive: the server has sent everything before `at`.
    pub fn idle(&mut self, at: Lsn) {
        self.ledger.transactions.idle(at);
    }

    /// Returns the next action of the driver, which calls this after every input until it returns `None`.
    ///
    /// Partitions for which `may_send` is false get no batch. Their rows gather, and they stay due.
    pub fn next_action(&mut self, may_send: impl Fn(PartitionId) -> bool) -> Option<Action<R>> {
        while let Some(poison) = self.poison.pop_front() {
            if self.ledger.may_write(poison.position) {
                return Some(Action::Poison(poison));
            }
        }

        if let Some(lsn) = self.ledger.announce() {
            return Some(Action::Confirm(lsn));
        }
        if self.proof.ask() {
            return Some(Action::ProveHeld);
        }
        if self.producers.asked.ask() {
            return Some(Action::NewProducer);
        }

        for _ in 0..self.due.len() {
            let partition = self.due.pop_front()?;
            let writer = self.writers.get_mut(partition.index())?;
            if writer.is_due_to_produce() && !may_send(partition) {
                self.due.push_back(partition);
                continue;
            }
            let action = writer.next_action(partition, &self.window, self.limit, &mut self.ledger);
            if action.is_some() {
                return action;
            }
        }
        None
    }

    /// Returns the batch that [`Action::Produce`] is about.
    pub fn batch(&self, partition: PartitionId) -> Option<Batch<'_, R>> {
        let flight = self.writers.get(partition.index())?.in_flight()?;
        Some(Batch { producer: flight.at.producer, base_sequence: flight.at.next, rows: &flight.rows })
    }

    /// Handles a record that [`Action::Read`] has read, in the log's order.
    pub fn seen(&mut self, partition: PartitionId, seen: Seen) {
        if let Some(writer) = self.writers.get_mut(partition.index()) {
            writer.seen(seen);
        }
    }

    /// Records that [`Action::Read`] has come to the end of the log.
    pub fn tail_read(&mut self, partition: PartitionId, tail: Tail) {
        if let Some(writer) = self.writers.get_mut(partition.index()) {
            writer.tail_read(tail, &mut self.ledger);
            self.continue_after_outcome(partition);
        }
    }

    /// Records that the slot was still held when [`Action::ProveHeld`] was carried out.
    pub fn held(&mut self) {
        for partition in self.proof.answered() {
            if let Some(writer) = self.writers.get_mut(partition.index()) {
                writer.inherit();
                self.advance(partition);
            }
        }
    }

    /// Handles the broker's answer to [`Action::NewProducer`].
    pub fn producer(&mut self, producer: Producer) {
        self.producers.add(producer);
        for partition in self.producers.asked.answered() {
            if let Some(writer) = self.writers.get_mut(partition.index()) {
                writer.resume();
                self.advance(partition);
            }
        }
    }

    /// Handles the outcome of [`Action::Produce`].
    pub fn produced(&mut self, partition: PartitionId, outcome: Outcome) {
        let Some(writer) = self.writers.get_mut(partition.index()) else { return };
        for row in writer.produced(outcome, &mut self.ledger) {
            let Row { position, event, record, owner, .. } = row;
            self.poison.push_back(Poison { position, event, refused: Some((partition, record)), owner });
        }
        self.continue_after_outcome(partition);
    }

    /// Sends a poison row to another topic, as a record for that one.
    pub fn dead_letter(&mut self, poison: Poison<R>, partition: PartitionId, record: R, bytes: usize) {
        let Poison { position, event, refused, owner } = poison;
        drop(refused);
        self.push(partition, Row { position, event, record, bytes, owner });
    }

    /// Returns whether a transaction has begun and not ended.
    pub fn is_in_transaction(&self) -> bool {
        self.ledger.transactions.open_commit().is_some()
    }

    /// Returns the position that the slot may be confirmed up to here.
    pub fn confirmable(&self) -> Lsn {
        self.ledger.transactions.confirmable()
    }

    /// Returns the memory of these rows, in bytes. Above a bound, the driver reads no more of the WAL.
    pub fn buffered_bytes(&self) -> usize {
        self.ledger.bytes
    }

    /// Returns the part of [`buffered_bytes`](Self::buffered_bytes) that is not in flight.
    pub fn waiting_bytes(&self) -> usize {
        let in_flight = self.writers.iter().filter_map(PartitionWriter::in_flight).map(|flight| flight.bytes);
        self.ledger.bytes.saturating_sub(in_flight.sum())
    }

    /// Returns how many partitions have rows that are queued or in flight.
    pub fn busy_partitions(&self) -> usize {
        self.writers.iter().filter(|writer| writer.bytes() > 0).count()
    }

    /// Returns the memory of the rows of one partition, in bytes.
    pub fn held_bytes(&self, partition: PartitionId) -> usize {
        self.writers.get(partition.index()).map_or(0, PartitionWriter::bytes)
    }

    /// Returns how many rows wait for their topic, are queued, or are in flight.
    pub fn buffered_rows(&self) -> usize {
        self.ledger.rows
    }

    pub fn counters(&self) -> Counters {
        self.ledger.counters
    }

    fn take_turn(&mut self, position: Position) -> Result<TransactionId, OutOfTurn> {
        let is_open = self.ledger.transactions.open_commit() == Some(position.commit);
        let out_of_turn = OutOfTurn { last: self.last_begin.unwrap_or_default(), got: position.commit };
        if !is_open || self.last_row.is_some_and(|last| position <= last) {
            return Err(out_of_turn);
        }
        let owner = self.ledger.transactions.add().ok_or(out_of_turn)?;
        self.last_row = Some(position);
        self.ledger.counters.read += 1;
        Ok(owner)
    }

    fn push(&mut self, partition: PartitionId, row: Row<R>) {
        if self.writers.len() <= partition.index() {
            self.writers.resize_with(partition.index() + 1, PartitionWriter::new);
        }
        if let Some(writer) = self.writers.get_mut(partition.index()) {
            writer.push(row, &self.window, &mut self.ledger);
            self.advance(partition);
        }
    }

    /// Continues after an outcome with the next step of the batch in flight, or with the next batch.
    fn continue_after_outcome(&mut self, partition: PartitionId) {
        match self.writers.get(partition.index()) {
            Some(writer) if writer.is_due() => self.due.push_back(partition),
            _ => self.advance(partition),
        }
    }

    fn advance(&mut self, partition: PartitionId) {
        let Some(writer) = self.writers.get_mut(partition.index()) else { return };
        match writer.advance(&self.window, self.producers.newest()) {
            Some(State::Due(_)) => self.due.push_back(partition),
            Some(State::AwaitsProof) => self.proof.wait(partition),
            Some(State::AwaitsProducer) => self.producers.asked.wait(partition),
            Some(State::Idle | State::Open(_)) | None => {}
        }
    }
}
