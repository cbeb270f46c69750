use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use outbox_core::uuid::Uuid;
use outbox_core::{EventField, Pipeline, event_identity};
use tokio::time::Instant;

use super::backlog::Backlog;
use super::batch_sender::{Answered, BatchSender};
use super::confirmation::{Confirmation, Verdict};
use super::dead_letter::DeadLetters;
use super::encoded::Encoded;
use super::feed::{Broken, Fed, Feed};
use super::job::{self, Done};
use super::log_reader::LogReader;
use super::pace::Pace;
use super::rounds::Rounds;
use super::skips::{Skip, Skips};
use super::topics::{IllegalPlace, Place, Topics, Waiting};
use super::updates::IgnoredUpdates;
use crate::error::Error;
use crate::position::{Origin, Position};
use crate::progress::{Action, Counters, OutOfTurn, PartitionId, Poison, Progress, Reach, Unplaced, Window};
use crate::row_position::RowPosition;
use crate::rows::{DecodeError, TableRow, WalEvent};
use crate::settings::{ContextHeaders, TopicCreation};
use crate::status::{Marks, Mode, Reconnect, RelayStatus, Work};
use outbox_kafka::{Cluster, ErrorCode, Topic};
use outbox_net::{Backoff, ErrorChain};
use outbox_wal::{ConnectOptions, Lsn, Source};

/// One hold of the slot, from when it was taken until it is given back or lost. All state is of this hold.
pub(super) struct Hold {
    /// Over one of the tables. Its options are those of all tables.
    pub(super) pipeline: Pipeline,
    pub(super) cluster: Arc<Cluster>,
    pub(super) options: ConnectOptions,
    pub(super) source: Source,
    pub(super) origin: Arc<Origin>,
    pub(super) window: Window,
    pub(super) feed: Feed,
    pub(super) confirmation: Confirmation,
    pub(super) progress: Progress<Encoded>,
    pub(super) topics: Topics,
    pub(super) creation: Option<TopicCreation>,
    pub(super) context_headers: Option<ContextHeaders>,
    pub(super) sender: BatchSender,
    pub(super) log_reader: LogReader,
    pub(super) jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// The delays of topics that could not be found or created yet.
    pub(super) topic_backoffs: HashMap<Box<str>, Backoff>,
    pub(super) commit: crate::Lsn,
    /// Where a backlog is streamed.
    pub(super) backlog: Option<Backlog>,
    pub(super) is_better_copied: bool,
    pub(super) dead_letters: DeadLetters,
    pub(super) skips: Skips,
    /// The first row that can never be written, or change that is forbidden, and why: the relay stops at it.
    pub(super) stop: Option<(Position, Error)>,
    /// When something was last sent or asked.
    pub(super) acted: Instant,
    pub(super) rounds: Rounds,
    /// A topic that has more partitions than rows are sent to.
    pub(super) grown: Option<Box<str>>,
    pub(super) updates: IgnoredUpdates,
    pub(super) status: RelayStatus,
    pub(super) marks: Marks,
    /// What was counted up to the last turn.
    pub(super) counted: Counters,
}

/// How a hold ended.
pub(super) enum Ended {
    /// It was told to.
    Drained,
    /// All state is out of date: the start procedure runs again.
    Anew(Broken),
    Changed(Box<str>),
    /// The publication or the table has changed: rows may have to be read in another way.
    Republished,
    /// A table with this OID is included and new.
    NewTable(u32),
    Lost,
    /// A transaction is so large that the stream is to tell all.
    ToStream,
    /// What is streamed is better read from a copy of the slot.
    ToCopy,
    /// One step of the catch-up is done.
    NextStep,
}

impl Ended {
    /// Returns why the relay connects to PostgreSQL again, if it does.
    pub(super) fn reconnect(&self) -> Option<Reconnect> {
        Some(match self {
            Self::Drained | Self::NextStep => return None,
            Self::Anew(Broken::Wal(error)) => error.into(),
            Self::Anew(_) | Self::Lost => Reconnect::SlotTaken,
            Self::Changed(_) => Reconnect::TopicChanged,
            Self::Republished | Self::NewTable(_) => Reconnect::PublicationChanged,
            Self::ToStream | Self::ToCopy => Reconnect::ReadPath,
        })
    }
}

/// How many messages are taken before the outcomes of requests are looked at.
const BURST: usize = 4_096;
/// How long the broker may take to acknowledge the rest at shutdown.
const DRAIN: Duration = Duration::from_secs(10);

impl Hold {
    pub(super) async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<(Ended, Lsn), Error> {
        let ended = self.go(stop).await;
        // Whatever else has ended it: the row is still there.
        let ended = match (ended, self.stop.take()) {
            (Ok(Ended::Drained), Some((_, error))) => Err(error),
            (ended, _) => ended,
        };
        if let Ok(Ended::ToStream | Ended::ToCopy | Ended::NextStep) = ended {
            self.drain().await?;
        }
        tracing::info!(
            target: "outbox.relay", counters = ?self.progress.counters(), confirmable = %self.progress.confirmable(),
            confirmed = %self.confirmation.confirmed(), "this hold of the slot ends"
        );
        self.count_ignored();
        self.updates.log();
        let is_settled = match &ended {
            Ok(ended) => !matches!(ended, Ended::Anew(_) | Ended::Lost),
            Err(error) => error.is_at_change(),
        };
        if is_settled {
            // So that what is confirmed is told before anybody takes the slot.
            match self.status.clone().beating(self.feed.close()).await {
                Err(e) if e.is_transient() => {
                    tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&e), "PostgreSQL was lost before the end was confirmed");
                }
                closed => closed.map_err(Error::wal)?,
            }
        }
        ended.map(|ended| (ended, self.confirmation.confirmed()))
    }

    async fn go(&mut self, stop: impl Future<Output = ()> + Send) -> Result<Ended, Error> {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return self.drain().await.map(|()| Ended::Drained),
                ended = self.step() => if let Some(ended) = ended? {
                    return Ok(ended);
                },
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Ended>, Error> {
        let pace = self.pace();
        let may_read = self.may_read(pace);
        let is_soon = may_read && self.feed.is_behind() && self.acted.elapsed() < pace.linger;
        let lingers = is_soon && self.progress.waiting_bytes() < pace.enough;
        if !lingers {
            self.act()?;
            self.acted = Instant::now();
        }
        if self.stop.is_some() {
            return self.end_before_stop().await.map(Some);
        }
        self.jobs.extend(self.confirmation.check_if_due());
        let next_check = self.confirmation.due();
        self.turned(self.feed.mode());
        // Between two transactions, and with nothing on its way: nothing is then looked for in another partition.
        if let Some(topic) = self.grown.take_if(|_| !self.feed.is_in_transaction()) {
            self.drain().await?;
            return Ok(Some(Ended::Changed(topic)));
        }
        // While there is no room for more rows, the stream may end, and another reader take the slot.
        let fed = async { if may_read { self.feed.next().await } else { Err(self.feed.ended().await) } };
        tokio::select! {
            biased;
            () = self.rounds.tick() => {
                self.look();
                Ok(None)
            }
            Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.done(done),
            fed = fed => match fed {
                Ok(fed) => self.take_all(fed),
                Err(broken) => self.unfed(broken),
            },
            () = tokio::time::sleep_until(self.acted + pace.linger), if lingers => Ok(None),
            () = sleep_until(next_check), if next_check.is_some() => Ok(None),
        }
    }

    fn pace(&self) -> Pace {
        Pace::of(self.progress.busy_partitions())
    }

    /// Whether there is room for more rows.
    fn may_read(&self, pace: Pace) -> bool {
        let held = self.progress.buffered_bytes();
        held < pace.ahead || (held < pace.ahead_with_stalled && held.saturating_sub(self.stalled_bytes()) < pace.ahead)
    }

    /// What the rows hold in memory that wait for a topic, or for a broker that does not acknowledge.
    fn stalled_bytes(&self) -> usize {
        self.sender.stalled().map(|id| self.progress.held_bytes(id)).sum::<usize>() + self.topics.waiting_bytes()
    }

    /// Takes what was read and what is there already, so that a batch is as large as it can be without waiting.
    fn take_all(&mut self, first: Fed) -> Result<Option<Ended>, Error> {
        if let Some(ended) = self.take(first)? {
            return Ok(Some(ended));
        }
        let pace = self.pace();
        for _ in 0..BURST {
            if !self.may_read(pace) {
                break;
            }
            let next = match self.feed.buffered() {
                Ok(Some(fed)) => fed,
                Ok(None) => match self.feed.next().now_or_never() {
                    Some(Ok(fed)) => fed,
                    Some(Err(broken)) => return self.unfed(broken),
                    None => break,
                },
                Err(broken) => return self.unfed(broken),
            };
            if let Some(ended) = self.take(next)? {
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    /// Ends the hold where nothing more can be read. Before a change that is forbidden, what was read is written first.
    fn unfed(&mut self, broken: Broken) -> Result<Option<Ended>, Error> {
        match Self::broken(broken) {
            Err(error) if error.is_at_change() => {
                self.stop_at(Position { commit: self.commit, index: u32::MAX }, error);
                Ok(None)
            }
            ended => ended.map(Some),
        }
    }

    fn broken(broken: Broken) -> Result<Ended, Error> {
        match &broken {
            Broken::OutOfTurn(_) => Ok(Ended::Anew(broken)),
            Broken::Wal(e) if e.is_transient() => Ok(Ended::Anew(broken)),
            Broken::Wal(e) if e.needs_stream() => Ok(Ended::ToStream),
            Broken::Decode(DecodeError::NewTable { oid }) => Ok(Ended::NewTable(*oid)),
            _ => Err(broken.into_error()),
        }
    }

    fn take(&mut self, fed: Fed) -> Result<Option<Ended>, Error> {
        let in_turn = match fed {
            Fed::Nothing => Ok(()),
            Fed::EndOfStep(end) => {
                self.progress.idle(end);
                return Ok(Some(Ended::NextStep));
            }
            Fed::Unreadable(error) => self.unreadable(error)?,
            Fed::Idle(at) => {
                self.progress.idle(at);
                Ok(())
            }
            Fed::Event(WalEvent::Begin { commit, committed_at }) => {
                self.backlog.iter_mut().for_each(|backlog| backlog.begin(commit, committed_at, SystemTime::now()));
                self.commit = commit;
                self.marks.begin(commit, committed_at);
                self.progress.begin(commit)
            }
            Fed::Event(WalEvent::Commit { end, .. }) => self.progress.commit(end).map(|()| {
                self.skips.committed(end);
                let is_better_copied = self.backlog.as_ref().is_some_and(Backlog::is_better_copied);
                if is_better_copied {
                    self.is_better_copied = true;
                }
            }),
            Fed::Event(WalEvent::Row { index, row, .. }) => {
                self.backlog.iter_mut().for_each(Backlog::row);
                let position = Position { commit: self.commit, index };
                self.row(position, &row)?
            }
        };
        match in_turn {
            Err(out_of_turn) => Self::broken(Broken::OutOfTurn(out_of_turn)).map(Some),
            Ok(()) => Ok(std::mem::take(&mut self.is_better_copied).then_some(Ended::ToCopy)),
        }
    }

    fn row(&mut self, position: Position, row: &TableRow) -> Result<Result<(), OutOfTurn>, Error> {
        if self.is_skipped(position) {
            return Ok(self.progress.leave_out(position));
        }
        let TableRow { pipeline, row: values } = row;
        let Some(event) = pipeline.event_id(values) else {
            let error = self.poison(position, None, "it has no id");
            return Ok(self.unwritable(position, Uuid::nil(), row, error));
        };
        let mut record = match pipeline.encode_lossless(values) {
            Ok(encoded) => {
                let (record, why) = encoded.into_parts();
                if let Some(why) = why {
                    let why = ErrorChain::new(&why);
                    tracing::warn!(target: "outbox.relay", %event, %why, "payload written as it is stored");
                    self.status.stored_as_it_was();
                }
                record
            }
            Err(e) if e.is_filtered() => return Ok(self.progress.leave_out(position)),
            Err(e) => {
                let error = self.poison(position, Some(event), "it has no record").caused_by(e);
                return Ok(self.unwritable(position, event, row, error));
            }
        };

        if let Some(context) = &self.context_headers {
            _ = record.headers.splice(..0, context.iter().map(|(name, value)| (name, Some(value.into()))));
        }
        let named = record.partition;
        match self.topics.place_of(&record.topic, named, record.key.as_deref(), event.as_bytes()) {
            Place::At(partition) => {
                let encoded = Encoded::new(record, &self.origin, position);
                let size = encoded.size();
                Ok(self.progress.row(position, event, partition, encoded, size))
            }
            Place::Illegal(IllegalPlace { reason, cause }) => {
                let error = caused_by(self.poison(position, Some(event), reason), cause);
                Ok(self.unwritable(position, event, row, error))
            }
            Place::Unknown => {
                let topic: Box<str> = record.topic.as_str().into();
                let encoded = Encoded::new(record, &self.origin, position);
                match self.progress.wait(position, event, encoded.size()) {
                    Ok(turn) => self.wait_for_topic(topic, Waiting { turn, named, record: encoded }),
                    Err(out_of_turn) => return Ok(Err(out_of_turn)),
                }
                Ok(Ok(()))
            }
        }
    }

    /// Keeps a row until its topic is known, and asks for the topic once.
    fn wait_for_topic(&mut self, topic: Box<str>, waiting: Waiting) {
        if self.topics.wait(&topic, waiting.record.size(), waiting) {
            self.ask_for_topic(topic, Duration::ZERO);
        }
    }

    fn ask_for_topic(&mut self, topic: Box<str>, pause: Duration) {
        self.jobs.push(job::topic(Arc::clone(&self.cluster), topic, self.creation.clone(), pause).boxed());
    }

    /// A topic was found or created, or was not: its rows go on, or wait for the next attempt.
    fn topic_asked(&mut self, name: Box<str>, found: Result<Arc<Topic>, outbox_kafka::Error>) -> Result<(), Error> {
        match found {
            Ok(topic) => {
                self.status.recovered(&Work::Topic(name.clone()));
                self.topic_backoffs.remove(&name);
                self.sender.describe_brokers(&topic);
                let read = job::check_read(Arc::clone(&self.cluster), Arc::clone(&topic), self.status.clone());
                self.jobs.push(read.boxed());
                let rows = self.topics.learn(&topic);
                rows.into_iter().try_for_each(|row| self.place(&name, row))
            }
            Err(e) if e.code() == Some(ErrorCode::INVALID_TOPIC_EXCEPTION) => {
                self.status.recovered(&Work::Topic(name.clone()));
                let rows = self.topics.reject(&name, e);
                rows.into_iter().try_for_each(|row| self.place(&name, row))
            }
            Err(e) => {
                self.status.failing(Work::Topic(name.clone()), &e);
                let pause = self.topic_backoffs.entry(name.clone()).or_insert_with(job::backoff).delay();
                self.ask_for_topic(name, pause);
                Ok(())
            }
        }
    }

    /// A waiting row goes to its partition, or is poison.
    fn place(&mut self, topic: &str, waiting: Waiting) -> Result<(), Error> {
        let Waiting { turn, named, record } = waiting;
        let Unplaced { position, event, .. } = turn;
        let place = {
            let parts = record.body.parts().map_err(Error::wal)?;
            self.topics.place_of(topic, named, parts.key, event.as_bytes())
        };
        match place {
            Place::At(partition) => self.progress.place(turn, partition, record),
            Place::Illegal(IllegalPlace { reason, cause }) => {
                let error = caused_by(self.poison(position, Some(event), reason), cause);
                if self.dead_letters.is_for(topic) {
                    self.progress.abandon(turn);
                    self.stop_at(position, error);
                } else {
                    self.dead_letters.keep_record(position, record, error);
                    self.progress.refuse(turn);
                }
            }
            Place::Unknown => self.wait_for_topic(topic.into(), Waiting { turn, named, record }),
        }
        Ok(())
    }

    /// A row without a record or a topic waits for its turn to be dead-lettered, or stops the relay.
    fn unwritable(&mut self, position: Position, event: Uuid, row: &TableRow, error: Error) -> Result<(), OutOfTurn> {
        self.dead_letters.keep(position, row, error);
        self.progress.unwritable(position, event)
    }

    /// As [`unwritable`](Self::unwritable), of a row that has no values.
    fn unreadable(&mut self, mut error: DecodeError) -> Result<Result<(), OutOfTurn>, Error> {
        let Some(position) = error.row() else { return Err(Error::wal(error)) };
        if self.is_skipped(position) {
            return Ok(self.progress.leave_out(position));
        }
        let raw = error.take_raw();
        let columns = self.pipeline.layout().columns();
        let id = columns.iter().find(|column| column.field() == Some(EventField::Id));
        let event =
            id.and_then(|column| raw.get(column.name().as_str())).and_then(|id| event_identity("", id.as_bytes()));
        let error = self.poison(position, event, "its values cannot be read").caused_by(error);
        self.dead_letters.keep_raw(&self.pipeline, position, &raw, error);
        Ok(self.progress.unwritable(position, event.unwrap_or_default()))
    }

    /// Writes poison rows to the topic for dead letters, if there is one. Returns whether there were any.
    fn flush_dead_letters(&mut self) -> bool {
        let mut has_any = false;
        while let Some((poison, record)) = self.dead_letters.next() {
            has_any = true;
            let (position, event, named) = (poison.position, poison.event, record.partition);
            let record = record.borrowed();
            let topic: Box<str> = record.topic.as_str().into();
            let place = self.topics.place_of(&topic, named, record.key.as_deref(), event.as_bytes());
            let encoded = Encoded::new(record, &self.origin, position);
            let size = encoded.size();
            match place {
                Place::At(partition) => self.progress.dead_letter(poison, partition, encoded, size),
                Place::Illegal(IllegalPlace { reason, cause }) => {
                    let error = caused_by(self.poison(position, Some(event), reason), cause);
                    self.stop_at(position, error);
                }
                Place::Unknown => {
                    let turn = self.progress.wait_as_dead_letter(poison, size);
                    self.wait_for_topic(topic, Waiting { turn, named, record: encoded });
                }
            }
        }
        has_any
    }

    /// Returns whether a row is to be left out.
    fn is_skipped(&mut self, position: Position) -> bool {
        let skip = self.skips.take(position);
        if skip == Skip::ForTheFirstTime {
            self.status.left_out();
        }
        skip != Skip::No
    }

    fn poison(&self, position: Position, event: Option<Uuid>, reason: impl Into<String>) -> Error {
        Error::poison(RowPosition::new(Origin::clone(&self.origin), position), event, reason)
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

    /// Waits until everything before the stop is acknowledged and confirmed, and returns its error.
    async fn end_before_stop(&mut self) -> Result<Ended, Error> {
        let mut deadline = None;
        loop {
            self.act()?;
            self.turned(Mode::Draining);
            if self.progress.buffered_rows() == 0 {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + DRAIN);
                if self.confirmation.is_up_to_date() || Instant::now() > deadline {
                    return self.stop.take().map_or(Ok(Ended::Drained), |(_, poison)| Err(poison));
                }
                self.jobs.extend(self.confirmation.check_if_due());
            }
            let ended = tokio::select! {
                biased;
                () = self.rounds.tick() => {
                    self.look();
                    None
                }
                Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.done(done)?,
                broken = self.feed.ended() => Some(Self::broken(broken)?),
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Carries out what the state machine wants, and sends all batches of a broker with one request.
    fn act(&mut self) -> Result<(), Error> {
        let mut due = Vec::new();
        loop {
            while let Some(action) = self.next_action() {
                self.carry_out(action, &mut due);
            }
            if !self.flush_dead_letters() {
                break;
            }
        }

        let mut sendings = Vec::new();
        for id in due {
            if let (Some(batch), Some(place)) = (self.progress.batch(id), self.topics.place(id).cloned()) {
                sendings.extend(self.sender.encode(id, &batch, place)?);
            }
        }
        self.jobs.extend(self.sender.send(sendings));
        Ok(())
    }

    fn next_action(&mut self) -> Option<Action<Encoded>> {
        let Self { progress, topics, sender, .. } = self;
        progress.next_action(|id| sender.has_room(topics.place(id)))
    }

    fn carry_out(&mut self, action: Action<Encoded>, due: &mut Vec<PartitionId>) {
        match action {
            Action::Confirm(lsn) => self.confirmation.want(lsn),
            Action::NewProducer => {
                self.jobs.push(job::new_producer(Arc::clone(&self.cluster), self.status.clone()).boxed());
            }
            Action::ProveHeld => {
                let (options, source) = (self.options.clone(), self.source.clone());
                self.jobs.push(job::prove_held(options, source).boxed());
            }
            Action::Read { partition: id, from } => {
                if let Some(place) = self.topics.place(id).cloned() {
                    let is_dead_letter = self.dead_letters.is_for(place.0.name());
                    let reach = if is_dead_letter { Reach::Limit } else { Reach::Window };
                    self.jobs.push(self.log_reader.read(id, place, from, reach));
                }
            }
            Action::Produce(id) => due.push(id),
            Action::Poison(poison) => {
                let refusal = self.refusal(&poison);
                let topic = poison.refused.as_ref().and_then(|(id, _)| self.topics.place(*id));
                let topic = topic.map(|(topic, _)| topic.name().to_owned());
                let position = poison.position;
                match self.dead_letters.add(poison, topic.as_deref(), refusal) {
                    Ok(()) => self.status.dead_lettered(),
                    Err(error) => self.stop_at(position, error),
                }
            }
        }
    }

    fn done(&mut self, done: Done) -> Result<Option<Ended>, Error> {
        match done {
            Done::Produced(broker, answers) => {
                let Answered { outcomes, pause } = self.sender.answered(broker, answers);
                for (id, outcome) in outcomes {
                    let before = self.progress.counters();
                    self.progress.produced(id, outcome);
                    self.wrote(id, before);
                }
                self.jobs.extend(pause);
            }
            Done::Paused(failed) => {
                for (id, outcome) in failed {
                    self.progress.produced(id, outcome);
                }
            }
            Done::Read(id, seen, tail) => {
                let before = self.progress.counters();
                for record in seen {
                    self.progress.seen(id, record);
                }
                if tail.cut {
                    self.status.scan_cut();
                }
                self.progress.tail_read(id, tail);
                self.wrote(id, before);
                // The log may show that a batch without an answer was written.
                if self.progress.batch(id).is_none() {
                    self.sender.settled(id);
                }
            }
            Done::Producer(producer) => self.progress.producer(producer),
            Done::Topic(name, found) => self.topic_asked(name, found)?,
            Done::Reached | Done::Readable => {}
            Done::Held(true) => self.progress.held(),
            Done::Held(false) => return Ok(Some(Ended::Lost)),
            Done::TopicsLooked { grown } => {
                self.rounds.topics.end();
                self.grown = grown;
            }
            Done::SlotLooked(look) => {
                self.rounds.slot.end();
                if let Some(look) = look {
                    self.status.looked(look);
                }
            }
            Done::PublicationChecked(result) => match self.confirmation.checked(result) {
                Verdict::Confirm(lsn) => {
                    self.feed.confirm(lsn);
                    self.status.confirming();
                }
                Verdict::Wait(reason) => self.status.not_confirming(reason),
                Verdict::ShutDown(error) => return Ok(Some(Ended::Anew(Broken::Wal(error)))),
                Verdict::Republished => return Ok(Some(Ended::Republished)),
            },
            Done::TopicChanged(topic) => return Ok(Some(Ended::Changed(topic))),
            Done::Failed(e) => return Err(Error::kafka("let the relay start", e)),
        }
        Ok(None)
    }

    fn refusal(&self, poison: &Poison<Encoded>) -> Error {
        let refusal = poison.refused.as_ref().and_then(|(partition, _)| self.sender.refusal(*partition).cloned());
        let error = self.poison(poison.position, Some(poison.event), "the broker refuses its record");
        match refusal {
            Some(refusal) => error.caused_by(refusal),
            None => error,
        }
    }

    /// Reads to the end of a transaction that has begun, waits for what was sent, and confirms it: another reader of
    /// the slot then begins where this one has ended.
    async fn drain(&mut self) -> Result<(), Error> {
        let status = self.status.clone();
        let rest = async {
            loop {
                self.act()?;
                self.turned(Mode::Draining);
                let reads_on = self.feed.is_in_transaction();
                if self.progress.buffered_rows() == 0 && !reads_on {
                    if self.confirmation.is_settled() {
                        break;
                    }
                    self.jobs.extend(self.confirmation.check_at_once());
                }
                let may_read = reads_on && self.may_read(self.pace());
                tokio::select! {
                    biased;
                    Some(done) = self.jobs.next(), if !self.jobs.is_empty() => {
                        if self.done(done)?.is_some() {
                            break;
                        }
                    }
                    fed = self.feed.next(), if may_read => match fed {
                        Ok(fed) => _ = self.take(fed)?,
                        Err(_) => break,
                    },
                    else => break,
                }
            }
            self.act()
        };
        tokio::time::timeout(DRAIN, status.beating(rest)).await.unwrap_or_else(|_| {
            tracing::warn!(target: "outbox.relay", "not all was acknowledged in time; it is sent again at the next start");
            Ok(())
        })
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    if let Some(deadline) = deadline {
        tokio::time::sleep_until(deadline).await;
    }
}

fn caused_by(error: Error, cause: Option<outbox_kafka::Error>) -> Error {
    match cause {
        Some(cause) => error.caused_by(cause),
        None => error,
    }
}
