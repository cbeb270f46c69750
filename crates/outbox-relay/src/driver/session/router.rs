use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use super::dead_letter::DeadLetters;
use super::encoded::Encoded;
use super::row_encoder::{EncodedRow, RowEncoder};
use super::topics::{Destination, Topics, Waiting};
use crate::error::Error;
use crate::position::Position;
use crate::progress::{OutOfTurn, PartitionId, Poison, Progress, Unplaced};
use crate::rows::{DecodeError, TableRow};
use crate::status::RelayStatus;
use outbox_kafka::Topic;

/// Decides which partition each row goes to, and what happens to rows that have none.
///
/// Rows wait here for topics that are not known yet. A row that can never be written goes to the topic for dead
/// letters, or ends the writing.
pub struct Router {
    encoder: RowEncoder,
    topics: Topics,
    /// Topics that rows wait for, and that were not requested yet.
    missing: VecDeque<Box<str>>,
    dead_letters: DeadLetters,
    /// The latest reason why a broker rejected rows of a partition.
    refusals: HashMap<PartitionId, outbox_kafka::Error>,
    /// The first row that can never be written, or change that is forbidden, and why: the writing ends before it.
    stop: Option<(Position, Error)>,
    status: RelayStatus,
}

type Rows = Progress<Encoded>;

impl Router {
    pub fn new(encoder: RowEncoder, dead_letters: DeadLetters, status: RelayStatus) -> Self {
        Self {
            encoder,
            topics: Topics::default(),
            missing: VecDeque::new(),
            dead_letters,
            refusals: HashMap::new(),
            stop: None,
            status,
        }
    }

    /// Sets the time of the rows that follow.
    pub fn set_time(&mut self, now: SystemTime) {
        self.encoder.set_time(now);
    }

    /// Routes a row of the open transaction.
    pub fn row(&mut self, progress: &mut Rows, position: Position, row: &TableRow) -> Result<(), OutOfTurn> {
        match self.encoder.encode(position, row, &self.topics) {
            EncodedRow::Record { event, partition, record } => {
                let size = record.size();
                progress.row(position, event, partition, record, size)
            }
            EncodedRow::WithoutTopic { event, topic, named, record } => {
                let turn = progress.wait(position, event, record.size())?;
                self.wait_for_topic(topic, Waiting { turn, named, record });
                Ok(())
            }
            EncodedRow::Dropped(by) => {
                self.status.dropped(by);
                progress.leave_out(position)
            }
            EncodedRow::Unwritable { event, error } => {
                self.dead_letters.keep(position, row, error);
                progress.unwritable(position, event)
            }
        }
    }

    /// Handles a row of the open transaction whose values cannot be read.
    pub fn unreadable(
        &mut self,
        progress: &mut Rows,
        position: Position,
        mut error: DecodeError,
    ) -> Result<(), OutOfTurn> {
        let raw = error.take_raw();
        let event = self.encoder.event_of(&raw);
        let error = self.encoder.poison(position, event, "its values cannot be read").caused_by(error);
        self.dead_letters.keep_raw(self.encoder.pipeline(), position, &raw, error);
        progress.unwritable(position, event.unwrap_or_default())
    }

    /// Handles a row that is next in order and cannot be written to its topic.
    pub fn poison(&mut self, progress: &mut Rows, poison: Poison<Encoded>) {
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
            Err(error) => self.stop_at(progress, position, error),
        }
    }

    /// Writes poison rows to the topic for dead letters, if there is one. Returns whether there were any.
    pub fn flush_dead_letters(&mut self, progress: &mut Rows) -> bool {
        let mut has_any = false;
        while let Some((poison, record)) = self.dead_letters.next() {
            has_any = true;
            let (position, event, named) = (poison.position, poison.event, record.partition);
            let encoded = self.encoder.encode_dead_letter(position, &record);
            let size = encoded.size();

            match self.topics.destination(&record.topic, named, record.key.as_deref(), event.as_bytes()) {
                Destination::Partition(partition) => progress.dead_letter(poison, partition, encoded, size),
                Destination::Unknown => {
                    let turn = progress.wait_as_dead_letter(poison, size);
                    self.wait_for_topic(record.topic.as_str().into(), Waiting { turn, named, record: encoded });
                }
                Destination::Illegal(illegal) => {
                    let error = self.encoder.illegal(position, event, illegal);
                    self.stop_at(progress, position, error);
                }
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

    /// Returns the next topic that is to be found.
    pub fn next_missing(&mut self) -> Option<Box<str>> {
        self.missing.pop_front()
    }

    /// Routes the rows that wait for a topic, which was found.
    pub fn topic_found(&mut self, progress: &mut Rows, topic: &Arc<Topic>) -> Result<(), Error> {
        let rows = self.topics.learn(topic);
        rows.into_iter().try_for_each(|row| self.place(progress, topic.name(), row))
    }

    /// Routes the rows that wait for a topic, whose name the cluster rejects.
    pub fn topic_rejected(
        &mut self,
        progress: &mut Rows,
        name: &str,
        reason: outbox_kafka::Error,
    ) -> Result<(), Error> {
        let rows = self.topics.reject(name, reason);
        rows.into_iter().try_for_each(|row| self.place(progress, name, row))
    }

    /// Sends a waiting row to its partition. Without a legal one, the row is poison.
    fn place(&mut self, progress: &mut Rows, topic: &str, waiting: Waiting) -> Result<(), Error> {
        let Waiting { turn, named, record } = waiting;
        let Unplaced { position, event, .. } = turn;
        let destination = {
            let parts = record.body.parts().map_err(Error::wal)?;
            self.topics.destination(topic, named, parts.key, event.as_bytes())
        };

        match destination {
            Destination::Partition(partition) => progress.place(turn, partition, record),
            Destination::Unknown => self.wait_for_topic(topic.into(), Waiting { turn, named, record }),
            Destination::Illegal(illegal) => {
                let error = self.encoder.illegal(position, event, illegal);
                if self.dead_letters.is_for(topic) {
                    progress.abandon(turn);
                    self.stop_at(progress, position, error);
                } else {
                    self.dead_letters.keep_record(position, record, error);
                    progress.refuse(turn);
                }
            }
        }
        Ok(())
    }

    /// Keeps the reason why the broker refuses rows of a partition. They become poison.
    pub fn refused(&mut self, id: PartitionId, reason: outbox_kafka::Error) {
        self.refusals.insert(id, reason);
    }

    /// Ends the writing before a row that can never be written, or before a change that is forbidden.
    pub fn stop_at(&mut self, progress: &mut Rows, position: Position, error: Error) {
        progress.stop_at(position);
        for waiting in self.topics.take_from(position) {
            progress.abandon(waiting.turn);
        }
        if self.stop.as_ref().is_none_or(|(stop, _)| position < *stop) {
            self.stop = Some((position, error));
        }
    }

    /// Returns whether the writing ends before a row.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// Returns why the writing ends, if it does.
    pub fn take_stop(&mut self) -> Option<Error> {
        self.stop.take().map(|(_, error)| error)
    }

    /// Returns whether this is the topic for dead letters.
    pub fn is_for_dead_letters(&self, topic: &Topic) -> bool {
        self.dead_letters.is_for(topic.name())
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }
}
