use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::backlog::Backlog;
use super::dead_letter::DeadLetters;
use super::encoded::Encoded;
use super::ended::Ended;
use super::feed::{Change, FeedError};
use super::report::SeenRecords;
use super::row_encoder::{EncodedRow, RowEncoder};
use super::skips::{Skip, Skips};
use super::topics::{Destination, Topics, Waiting};
use crate::Lsn;
use crate::error::Error;
use crate::position::Position;
use crate::progress::{
    Action, Batch, Counters, From, OutOfTurn, Outcome, PartitionId, Poison, Producer, Progress, Reach, Tail, Unplaced,
};
use crate::rows::{DecodeError, TableRow, WalEvent};
use crate::status::{Marks, RelayStatus};
use outbox_kafka::Topic;

/// Decides what is written where: changes and outcomes go in, commands come out. It has no clock and does no I/O.
pub(super) struct Planner {
    progress: Progress<Encoded>,
    encoder: RowEncoder,
    topics: Topics,
    /// Topics that rows wait for, and that nobody has asked for yet.
    missing: VecDeque<Box<str>>,
    dead_letters: DeadLetters,
    /// Why a broker refused rows of a partition last.
    refusals: HashMap<PartitionId, outbox_kafka::Error>,
    skips: Skips,
    /// While a backlog is streamed.
    backlog: Option<Backlog>,
    /// The first row that can never be written, or change that is forbidden, and why: the writing ends before it.
    stop: Option<(Position, Error)>,
    /// The commit of the transaction that was read last.
    commit: Lsn,
    commit_times: Marks,
    status: RelayStatus,
}

/// What the session does next.
pub(super) enum Command {
    FindTopic(Box<str>),
    Confirm(Lsn),
    ProveHeld,
    NewProducer,
    ReadLog { id: PartitionId, place: TopicPartition, from: From, reach: Reach },
    Produce(PartitionId),
}

/// A topic and one of its partitions.
pub(super) type TopicPartition = (Arc<Topic>, i32);

impl Planner {
    pub(super) fn new(
        progress: Progress<Encoded>,
        encoder: RowEncoder,
        dead_letters: DeadLetters,
        skips: Skips,
        backlog: Option<Backlog>,
        status: RelayStatus,
    ) -> Self {
        Self {
            progress,
            encoder,
            topics: Topics::default(),
            missing: VecDeque::new(),
            dead_letters,
            refusals: HashMap::new(),
            skips,
            backlog,
            stop: None,
            commit: Lsn::default(),
            commit_times: Marks::default(),
            status,
        }
    }

    /// Sets the time at which the changes that follow were read.
    pub(super) fn set_time(&mut self, now: SystemTime) {
        self.encoder.set_time(now);
    }

    /// Takes a change. Returns how the session ends, if it ends here.
    pub(super) fn change(&mut self, change: Change) -> Option<Ended> {
        let in_turn = match change {
            Change::Event(WalEvent::Begin { commit, committed_at }) => {
                let now = self.encoder.time();
                self.backlog.iter_mut().for_each(|backlog| backlog.begin(commit, committed_at, now));
                self.commit = commit;
                self.commit_times.begin(commit, committed_at);
                self.progress.begin(commit)
            }
            Change::Event(WalEvent::Row { index, row }) => {
                self.backlog.iter_mut().for_each(Backlog::row);
                self.row(Position { commit: self.commit, index }, &row)
            }
            Change::Unreadable(position, error) => self.unreadable(position, error),
            Change::Event(WalEvent::Commit { end }) => {
                let in_turn = self.progress.commit(end);
                if in_turn.is_ok() {
                    self.skips.committed(end);
                    if self.backlog.as_ref().is_some_and(Backlog::is_better_copied) {
                        return Some(Ended::ToCopy);
                    }
                }
                in_turn
            }
            Change::Idle(at) => {
                self.progress.idle(at);
                Ok(())
            }
            Change::EndOfStep(end) => {
                self.progress.idle(end);
                return Some(Ended::NextStep);
            }
        };
        in_turn.err().map(|out_of_turn| Ended::Restart(FeedError::OutOfTurn(out_of_turn)))
    }

    /// Takes the changes up to the end of the open transaction, and drops those after it. Fails if they are out of turn.
    pub(super) fn finish_transaction(&mut self, changes: Vec<Change>) -> Result<(), Ended> {
        for change in changes {
            match self.change(change) {
                Some(ended @ Ended::Restart(_)) => return Err(ended),
                _ if !self.is_in_transaction() => break,
                _ => {}
            }
        }
        Ok(())
    }

    fn row(&mut self, position: Position, row: &TableRow) -> Result<(), OutOfTurn> {
        if self.is_skipped(position) {
            return self.progress.leave_out(position);
        }
        match self.encoder.encode(position, row, &self.topics) {
            EncodedRow::Record { event, partition, record } => {
                let size = record.size();
                self.progress.row(position, event, partition, record, size)
            }
            EncodedRow::WithoutTopic { event, topic, named, record } => {
                let turn = self.progress.wait(position, event, record.size())?;
                self.wait_for_topic(topic, Waiting { turn, named, record });
                Ok(())
            }
            EncodedRow::Unwritable { event, error } => {
                self.dead_letters.keep(position, row, error);
                self.progress.unwritable(position, event)
            }
        }
    }

    fn unreadable(&mut self, position: Position, mut error: DecodeError) -> Result<(), OutOfTurn> {
        if self.is_skipped(position) {
            return self.progress.leave_out(position);
        }
        let raw = error.take_raw();
        let event = self.encoder.event_of(&raw);
        let error = self.encoder.poison(position, event, "its values cannot be read").caused_by(error);
        self.dead_letters.keep_raw(self.encoder.pipeline(), position, &raw, error);
        self.progress.unwritable(position, event.unwrap_or_default())
    }

    /// Returns whether a row is to be left out.
    fn is_skipped(&mut self, position: Position) -> bool {
        let skip = self.skips.take(position);
        if skip == Skip::ForTheFirstTime {
            self.status.left_out();
        }
        skip != Skip::No
    }

    /// Ends the writing after the changes that were taken, because the next one is forbidden.
    pub(super) fn stop_here(&mut self, error: Error) {
        self.stop_at(Position { commit: self.commit, index: u32::MAX }, error);
    }

    /// Ends the writing before a row that can never be written, or before a change that is forbidden.
    fn stop_at(&mut self, position: Position, error: Error) {
        self.progress.stop_at(position);
        for waiting in self.topics.take_from(position) {
            self.progress.abandon(waiting.turn);
        }
        if self.stop.as_ref().is_none_or(|(stop, _)| position < *stop) {
            self.stop = Some((position, error));
        }
    }

    /// Returns whether the writing ends before a row.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// Returns why the writing ends, if it does.
    pub(super) fn take_stop(&mut self) -> Option<Error> {
        self.stop.take().map(|(_, error)| error)
    }

    /// Returns the next command, until there is none. Partitions for which `has_room` is false get no batch.
    pub(super) fn next_command(&mut self, has_room: impl Fn(&TopicPartition) -> bool) -> Option<Command> {
        loop {
            if let Some(topic) = self.missing.pop_front() {
                return Some(Command::FindTopic(topic));
            }
            let Self { progress, topics, .. } = self;
            return Some(match progress.next_action(|id| topics.partition(id).is_none_or(&has_room)) {
                Some(Action::Confirm(lsn)) => Command::Confirm(lsn),
                Some(Action::ProveHeld) => Command::ProveHeld,
                Some(Action::NewProducer) => Command::NewProducer,
                Some(Action::Produce(id)) => Command::Produce(id),
                Some(Action::Read { partition: id, from }) => {
                    let Some(place) = self.topics.partition(id).cloned() else { continue };
                    let is_dead_letter = self.dead_letters.is_for(place.0.name());
                    let reach = if is_dead_letter { Reach::Limit } else { Reach::Window };
                    Command::ReadLog { id, place, from, reach }
                }
                Some(Action::Poison(poison)) => {
                    self.poison(poison);
                    continue;
                }
                None if self.flush_dead_letters() => continue,
                None => return None,
            });
        }
    }

    /// Returns the batch that is to be sent to a partition.
    pub(super) fn batch(&self, id: PartitionId) -> Option<(Batch<'_, Encoded>, &TopicPartition)> {
        self.progress.batch(id).zip(self.topics.partition(id))
    }

    fn poison(&mut self, poison: Poison<Encoded>) {
        let position = poison.position;
        let (refused_by, refusal) = match &poison.refused {
            Some((id, _)) => (self.topics.partition(*id), self.refusals.get(id).cloned()),
            None => (None, None),
        };
        let refused_by = refused_by.map(|(topic, _)| topic.name().to_owned());
        let error = self.encoder.poison(position, Some(poison.event), "the broker refuses its record");
        let error = match refusal {
            Some(refusal) => error.caused_by(refusal),
            None => error,
        };
        match self.dead_letters.add(poison, refused_by.as_deref(), error) {
            Ok(()) => self.status.dead_lettered(),
            Err(error) => self.stop_at(position, error),
        }
    }

    /// Writes poison rows to the topic for dead letters, if there is one. Returns whether there were any.
    fn flush_dead_letters(&mut self) -> bool {
        let mut has_any = false;
        while let Some((poison, record)) = self.dead_letters.next() {
            has_any = true;
            let (position, event, named) = (poison.position, poison.event, record.partition);
            let encoded = self.encoder.encode_dead_letter(position, &record);
            let size = encoded.size();
            match self.topics.destination(&record.topic, named, record.key.as_deref(), event.as_bytes()) {
                Destination::Partition(partition) => self.progress.dead_letter(poison, partition, encoded, size),
                Destination::Unknown => {
                    let turn = self.progress.wait_as_dead_letter(poison, size);
                    self.wait_for_topic(record.topic.as_str().into(), Waiting { turn, named, record: encoded });
                }
                Destination::Illegal(illegal) => self.stop_at(position, self.encoder.illegal(position, event, illegal)),
            }
        }
        has_any
    }

    /// Keeps a row until its topic is known, and asks for the topic once.
    fn wait_for_topic(&mut self, topic: Box<str>, waiting: Waiting) {
        if self.topics.wait(&topic, waiting.record.size(), waiting) {
            self.missing.push_back(topic);
        }
    }

    /// Takes the topic of [`Command::FindTopic`].
    pub(super) fn topic_found(&mut self, topic: &Arc<Topic>) -> Result<(), Error> {
        let rows = self.topics.learn(topic);
        rows.into_iter().try_for_each(|row| self.place(topic.name(), row))
    }

    /// Takes the reason why the cluster rejects the name of [`Command::FindTopic`].
    pub(super) fn topic_rejected(&mut self, name: &str, reason: outbox_kafka::Error) -> Result<(), Error> {
        let rows = self.topics.reject(name, reason);
        rows.into_iter().try_for_each(|row| self.place(name, row))
    }

    /// Sends a waiting row to its partition. Without a legal one, the row is poison.
    fn place(&mut self, topic: &str, waiting: Waiting) -> Result<(), Error> {
        let Waiting { turn, named, record } = waiting;
        let Unplaced { position, event, .. } = turn;
        let destination = {
            let parts = record.body.parts().map_err(Error::wal)?;
            self.topics.destination(topic, named, parts.key, event.as_bytes())
        };
        match destination {
            Destination::Partition(partition) => self.progress.place(turn, partition, record),
            Destination::Unknown => self.wait_for_topic(topic.into(), Waiting { turn, named, record }),
            Destination::Illegal(illegal) => {
                let error = self.encoder.illegal(position, event, illegal);
                if self.dead_letters.is_for(topic) {
                    self.progress.abandon(turn);
                    self.stop_at(position, error);
                } else {
                    self.dead_letters.keep_record(position, record, error);
                    self.progress.refuse(turn);
                }
            }
        }
        Ok(())
    }

    /// Takes the outcome of a batch, with the reason if the broker refused rows of it.
    pub(super) fn produced(&mut self, id: PartitionId, outcome: Outcome, refusal: Option<outbox_kafka::Error>) {
        if let Some(refusal) = refusal {
            self.refusals.insert(id, refusal);
        }
        self.progress.produced(id, outcome);
    }

    /// Takes the records that were read from a partition. Returns whether no outcome of a batch is open any more: the log may
    /// show that a batch without an answer was appended.
    pub(super) fn log_read(&mut self, id: PartitionId, seen: SeenRecords, tail: Tail) -> bool {
        for record in seen {
            self.progress.seen(id, record);
        }
        self.progress.tail_read(id, tail);
        self.progress.batch(id).is_none()
    }

    pub(super) fn producer(&mut self, producer: Producer) {
        self.progress.producer(producer);
    }

    pub(super) fn held(&mut self) {
        self.progress.held();
    }

    /// Returns the topics that are known.
    pub(super) fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics.all()
    }

    pub(super) fn topic(&self, id: PartitionId) -> Option<&Topic> {
        self.topics.partition(id).map(|(topic, _)| &**topic)
    }

    /// Returns what the rows hold in memory that wait for a topic.
    pub(super) fn waiting_for_topics(&self) -> usize {
        self.topics.waiting_bytes()
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.progress.is_in_transaction()
    }

    /// Returns the position up to which the WAL was read, as far as is known.
    pub(super) fn read_up_to(&self) -> Lsn {
        self.commit.max(self.progress.confirmable())
    }

    /// Returns when the oldest transaction was committed that is not confirmed.
    pub(super) fn oldest_unconfirmed(&mut self, confirmed: Lsn) -> Option<SystemTime> {
        self.commit_times.oldest(confirmed)
    }

    /// Returns the position before which everything is acknowledged.
    pub(super) fn confirmable(&self) -> Lsn {
        self.progress.confirmable()
    }

    pub(super) fn counters(&self) -> Counters {
        self.progress.counters()
    }

    pub(super) fn progress(&self) -> &Progress<Encoded> {
        &self.progress
    }
}
