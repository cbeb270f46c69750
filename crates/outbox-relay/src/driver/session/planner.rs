use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::encoded::Encoded;
use super::ended::SessionEnd;
use super::inbox::SeenRecords;
use super::pace::Backlog;
use super::reader::{Change, FeedError};
use super::router::Router;
use super::skips::{Skip, Skips};
use super::topics::{TopicPartition, Topics};
use crate::Lsn;
use crate::error::Error;
use crate::position::Position;
use crate::progress::{
    Action, Batch, Counters, OutOfTurn, Outcome, PartitionId, Producer, Progress, Reach, ReadFrom, Tail,
};
use crate::rows::{DecodeError, TableRow, WalEvent};
use crate::status::{CommitTimes, RelayStatus};
use outbox_kafka::Topic;

/// Decides which records to write to which partitions. Its inputs are changes and outcomes, and its outputs are
/// commands. It has no clock and does no I/O.
pub struct Planner {
    progress: Progress<Encoded>,
    router: Router,
    skips: Skips,
    /// The statistics, while a backlog is streamed.
    backlog: Option<Backlog>,
    /// The commit of the transaction that was read last.
    commit: Lsn,
    commit_times: CommitTimes,
    /// A topic that has more partitions than rows are sent to.
    grown: Option<Box<str>>,
    /// The time at which the present changes were read.
    now: SystemTime,
    status: RelayStatus,
}

/// The next step of the session.
pub enum Command {
    FindTopic(Box<str>),
    Confirm(Lsn),
    ProveHeld,
    NewProducer,
    ReadLog { id: PartitionId, place: TopicPartition, from: ReadFrom, reach: Reach },
    Produce(PartitionId),
}

impl Planner {
    pub fn new(
        progress: Progress<Encoded>,
        router: Router,
        skips: Skips,
        backlog: Option<Backlog>,
        status: RelayStatus,
    ) -> Self {
        let (commit, commit_times) = (Lsn::default(), CommitTimes::default());
        Self { progress, router, skips, backlog, commit, commit_times, grown: None, now: UNIX_EPOCH, status }
    }

    /// Sets the time at which the changes that follow were read.
    pub fn set_time(&mut self, now: SystemTime) {
        self.now = now;
        self.router.set_time(now);
    }

    /// Handles a change. Returns how the session ends, if it ends here.
    pub fn change(&mut self, change: Change) -> Option<SessionEnd> {
        let in_turn = match change {
            Change::Event(WalEvent::Begin { commit, committed_at }) => {
                self.backlog.iter_mut().for_each(|backlog| backlog.begin(commit, committed_at, self.now));
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
                        return Some(SessionEnd::ToCopy);
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
                return Some(SessionEnd::NextStep);
            }
        };
        in_turn.err().map(|out_of_turn| SessionEnd::Restart(FeedError::OutOfTurn(out_of_turn)))
    }

    /// Handles the changes up to the end of the open transaction, and drops those after it. Fails if they are out of
    /// order.
    pub fn finish_transaction(&mut self, changes: Vec<Change>) -> Result<(), SessionEnd> {
        for change in changes {
            match self.change(change) {
                Some(ended @ SessionEnd::Restart(_)) => return Err(ended),
                _ if !self.is_in_transaction() => break,
                _ => {}
            }
        }
        Ok(())
    }

    fn row(&mut self, position: Position, row: &TableRow) -> Result<(), OutOfTurn> {
        match self.is_skipped(position) {
            true => self.progress.leave_out(position),
            false => self.router.row(&mut self.progress, position, row),
        }
    }

    fn unreadable(&mut self, position: Position, error: DecodeError) -> Result<(), OutOfTurn> {
        match self.is_skipped(position) {
            true => self.progress.leave_out(position),
            false => self.router.unreadable(&mut self.progress, position, error),
        }
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
    pub fn stop_here(&mut self, error: Error) {
        self.router.stop_at(&mut self.progress, Position { commit: self.commit, index: u32::MAX }, error);
    }

    /// Returns whether the writing ends before a row.
    pub fn is_stopping(&self) -> bool {
        self.router.is_stopping()
    }

    /// Returns why the writing ends, if it does.
    pub fn take_stop(&mut self) -> Option<Error> {
        self.router.take_stop()
    }

    /// Returns the next command, until there is none. Partitions for which `has_room` is false get no batch.
    pub fn next_command(&mut self, has_room: impl Fn(&TopicPartition) -> bool) -> Option<Command> {
        loop {
            if let Some(topic) = self.router.next_missing() {
                return Some(Command::FindTopic(topic));
            }

            let Self { progress, router, .. } = self;
            let topics = router.topics();
            return Some(match progress.next_action(|id| topics.partition(id).is_none_or(&has_room)) {
                Some(Action::Confirm(lsn)) => Command::Confirm(lsn),
                Some(Action::ProveHeld) => Command::ProveHeld,
                Some(Action::NewProducer) => Command::NewProducer,
                Some(Action::Produce(id)) => Command::Produce(id),
                Some(Action::Read { partition: id, from }) => {
                    let Some(place) = topics.partition(id).cloned() else { continue };
                    let reach = if router.is_for_dead_letters(&place.0) { Reach::Limit } else { Reach::Window };
                    Command::ReadLog { id, place, from, reach }
                }
                Some(Action::Poison(poison)) => {
                    router.poison(progress, poison);
                    continue;
                }
                None if router.flush_dead_letters(progress) => continue,
                None => return None,
            });
        }
    }

    /// Returns the batch that is to be sent to a partition.
    pub fn batch(&self, id: PartitionId) -> Option<(Batch<'_, Encoded>, &TopicPartition)> {
        self.progress.batch(id).zip(self.router.topics().partition(id))
    }

    /// Handles the topic of [`Command::FindTopic`].
    pub fn topic_found(&mut self, topic: &Arc<Topic>) -> Result<(), Error> {
        self.router.topic_found(&mut self.progress, topic)
    }

    /// Handles the reason why the cluster rejects the name of [`Command::FindTopic`].
    pub fn topic_rejected(&mut self, name: &str, reason: outbox_kafka::Error) -> Result<(), Error> {
        self.router.topic_rejected(&mut self.progress, name, reason)
    }

    /// Handles the outcome of a batch, with the reason if the broker rejected rows of it.
    pub fn produced(&mut self, id: PartitionId, outcome: Outcome, refusal: Option<outbox_kafka::Error>) {
        if let Some(refusal) = refusal {
            self.router.refused(id, refusal);
        }
        self.progress.produced(id, outcome);
    }

    /// Handles the records that were read from a partition.
    pub fn log_read(&mut self, id: PartitionId, seen: SeenRecords, tail: Tail) {
        for record in seen {
            self.progress.seen(id, record);
        }
        self.progress.tail_read(id, tail);
    }

    pub fn producer(&mut self, producer: Producer) {
        self.progress.producer(producer);
    }

    pub fn held(&mut self) {
        self.progress.held();
    }

    /// Handles a topic that has more partitions than before.
    pub fn topic_grown(&mut self, topic: Box<str>) {
        self.grown = Some(topic);
    }

    /// Returns a topic that has more partitions, between two transactions. With nothing in flight, no row is then
    /// looked for in another partition.
    pub fn take_grown(&mut self) -> Option<Box<str>> {
        let is_in_transaction = self.is_in_transaction();
        self.grown.take_if(|_| !is_in_transaction)
    }

    pub fn topics(&self) -> &Topics {
        self.router.topics()
    }

    pub fn is_in_transaction(&self) -> bool {
        self.progress.is_in_transaction()
    }

    /// Returns the position up to which the WAL was read, as far as is known.
    pub fn read_up_to(&self) -> Lsn {
        self.commit.max(self.progress.confirmable())
    }

    /// Returns when the oldest transaction was committed that is not confirmed.
    pub fn oldest_unconfirmed(&mut self, confirmed: Lsn) -> Option<SystemTime> {
        self.commit_times.oldest(confirmed)
    }

    /// Returns the position before which everything is acknowledged.
    pub fn confirmable(&self) -> Lsn {
        self.progress.confirmable()
    }

    pub fn counters(&self) -> Counters {
        self.progress.counters()
    }

    pub fn progress(&self) -> &Progress<Encoded> {
        &self.progress
    }
}
