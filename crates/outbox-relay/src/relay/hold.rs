use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use outbox_core::uuid::Uuid;
use outbox_core::{EventField, Pipeline, event_identity};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::backlog::Backlog;
use super::confirmation::{Confirmation, Verdict};
use super::dead_letter::DeadLetters;
use super::encoded::Encoded;
use super::feed::{Broken, Fed, Feed};
use super::gaps::Gaps;
use super::job::{self, Answer, Done, Sending};
use super::rounds::Rounds;
use super::topics::{IllegalPlace, Place, Topics, Waiting};
use super::updates::IgnoredUpdates;
use crate::error::Error;
use crate::position::{Origin, Position};
use crate::progress::{Action, Counters, OutOfTurn, Outcome, PartitionId, Poison, Progress, Reach, Unplaced, Window};
use crate::rows::{DecodeError, TableRow, WalEvent};
use crate::settings::{ContextHeaders, TopicCreation};
use crate::status::{Marks, Mode, RelayStatus, Work};
use outbox_kafka::{BatchBuilder, Cluster, CompressionChoice, ErrorCode, ToProduce, Topic};
use outbox_net::{Backoff, ErrorChain};
use outbox_wal::{ConnectOptions, Source};

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
    pub(super) batches: BatchBuilder,
    pub(super) compression: CompressionChoice,
    pub(super) gaps: Arc<Gaps>,
    pub(super) jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// The delays of partitions whose last batch failed.
    pub(super) backoffs: HashMap<PartitionId, Backoff>,
    /// The delays of topics that could not be found or created yet.
    pub(super) topic_backoffs: HashMap<Box<str>, Backoff>,
    /// Produce requests on their way to each broker.
    pub(super) requests: HashMap<Option<i32>, usize>,
    /// Since when each partition has a batch that is not acknowledged.
    pub(super) unacknowledged: HashMap<PartitionId, Instant>,
    /// Bounds how many logs of each broker are read at once.
    pub(super) reads: HashMap<Option<i32>, Arc<Semaphore>>,
    pub(super) refusals: HashMap<PartitionId, outbox_kafka::Error>,
    pub(super) commit: crate::Lsn,
    /// Where a backlog is streamed.
    pub(super) backlog: Option<Backlog>,
    pub(super) is_better_copied: bool,
    pub(super) dead_letters: DeadLetters,
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
    pub(super) scan: u64,
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
}

/// What is still written before a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Everything up to the end of the transaction that has begun.
    OfTransaction,
    /// What was read.
    Read,
}

/// What may be read ahead of the broker's acknowledgements, in bytes of records.
const AHEAD: usize = 4 << 20;
/// The same, with the rows of partitions that a broker does not acknowledge: they do not stop the others at once.
const AHEAD_WITH_STALLED: usize = 12 << 20;
/// After this time without an acknowledgement a partition counts as stalled.
const STALLED: Duration = Duration::from_secs(1);
/// Produce requests to one broker at once. It handles them one after the other; the second hides the network's delay.
const REQUESTS: usize = 2;
/// Logs of one broker that are read at once.
const READS: usize = 4;
/// While much is known to come, a batch is worth a request with so many bytes, or when so much time has gone by.
const ENOUGH: usize = 512 * 1024;
const LINGER: Duration = Duration::from_millis(10);
/// How many messages are taken before the outcomes of requests are looked at.
const BURST: usize = 4_096;
/// How long the broker may take to acknowledge the rest at shutdown.
const DRAIN: Duration = Duration::from_secs(10);

impl Hold {
    pub(super) async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Result<Ended, Error> {
        let ended = self.go(stop).await;
        match &ended {
            Ok(Ended::ToStream | Ended::ToCopy) => self.drain(Rest::OfTransaction).await?,
            Err(error) if error.is_at_change() => {
                // Another row may be at fault as well: the first one in the WAL is the one to report.
                if let Err(other) = self.drain(Rest::Read).await {
                    tracing::debug!(target: "outbox.relay", error = %ErrorChain::new(&other), "not all before it was written");
                }
            }
            _ => {}
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
        ended
    }

    async fn go(&mut self, stop: impl Future<Output = ()> + Send) -> Result<Ended, Error> {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return self.drain(Rest::OfTransaction).await.map(|()| Ended::Drained),
                ended = self.step() => if let Some(ended) = ended? {
                    return Ok(ended);
                },
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Ended>, Error> {
        let may_read = self.may_read();
        let is_soon = may_read && self.feed.is_behind() && self.acted.elapsed() < LINGER;
        let lingers = is_soon && self.progress.waiting_bytes() < ENOUGH;
        if !lingers {
            self.act()?;
            self.acted = Instant::now();
        }
        self.jobs.extend(self.confirmation.check_if_due());
        let next_check = self.confirmation.due();
        self.turned(self.feed.mode());
        // Between two transactions, and with nothing on its way: nothing is then looked for in another partition.
        if let Some(topic) = self.grown.take_if(|_| !self.feed.is_in_transaction()) {
            self.drain(Rest::OfTransaction).await?;
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
                Err(broken) => Self::broken(broken).map(Some),
            },
            () = tokio::time::sleep_until(self.acted + LINGER), if lingers => Ok(None),
            () = sleep_until(next_check), if next_check.is_some() => Ok(None),
        }
    }

    /// Whether there is room for more rows.
    fn may_read(&self) -> bool {
        let held = self.progress.buffered_bytes();
        held < AHEAD || (held < AHEAD_WITH_STALLED && held.saturating_sub(self.stalled_bytes()) < AHEAD)
    }

    /// What the rows hold in memory that wait for a topic, or for a broker that does not acknowledge.
    fn stalled_bytes(&self) -> usize {
        let stalled = self.unacknowledged.iter().filter(|(_, since)| since.elapsed() > STALLED);
        stalled.map(|(id, _)| self.progress.held_bytes(*id)).sum::<usize>() + self.topics.waiting_bytes()
    }

    /// Takes what was read and what is there already, so that a batch is as large as it can be without waiting.
    fn take_all(&mut self, first: Fed) -> Result<Option<Ended>, Error> {
        if let Some(ended) = self.take(first)? {
            return Ok(Some(ended));
        }
        for _ in 0..BURST {
            if !self.may_read() {
                break;
            }
            let next = match self.feed.buffered() {
                Ok(Some(fed)) => fed,
                Ok(None) => match self.feed.next().now_or_never() {
                    Some(Ok(fed)) => fed,
                    Some(Err(broken)) => return Self::broken(broken).map(Some),
                    None => break,
                },
                Err(broken) => return Self::broken(broken).map(Some),
            };
            if let Some(ended) = self.take(next)? {
                return Ok(Some(ended));
            }
        }
        Ok(None)
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
        let TableRow { pipeline, row: values } = row;
        let Some(event) = pipeline.event_id(values) else {
            return self.unwritable(position, Uuid::nil(), row, Error::poison(position, None, "it has no id"));
        };
        let refused = |reason: &str| Error::poison(position, Some(event), reason);
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
            Err(e) => return self.unwritable(position, event, row, refused("it has no record").caused_by(e)),
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
                let error = refused(&reason);
                self.unwritable(position, event, row, caused_by(error, cause))
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
                self.describe_brokers(&topic);
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
                let error = caused_by(Error::poison(position, Some(event), reason), cause);
                if self.dead_letters.is_for(topic) {
                    return Err(error);
                }
                self.dead_letters.keep_record(position, record, error)?;
                self.progress.refuse(turn);
            }
            Place::Unknown => self.wait_for_topic(topic.into(), Waiting { turn, named, record }),
        }
        Ok(())
    }

    /// A row without a record or a topic waits for its turn to be dead-lettered, or stops the relay.
    fn unwritable(
        &mut self,
        position: Position,
        event: Uuid,
        row: &TableRow,
        error: Error,
    ) -> Result<Result<(), OutOfTurn>, Error> {
        self.dead_letters.keep(position, row, error)?;
        Ok(self.progress.unwritable(position, event))
    }

    /// As [`unwritable`](Self::unwritable), of a row that has no values.
    fn unreadable(&mut self, mut error: DecodeError) -> Result<Result<(), OutOfTurn>, Error> {
        let Some(position) = error.row() else { return Err(Error::wal(error)) };
        let raw = error.take_raw();
        let columns = self.pipeline.layout().columns();
        let id = columns.iter().find(|column| column.field() == Some(EventField::Id));
        let event =
            id.and_then(|column| raw.get(column.name().as_str())).and_then(|id| event_identity("", id.as_bytes()));
        let error = Error::poison(position, event, "its values cannot be read").caused_by(error);
        self.dead_letters.keep_raw(&self.pipeline, position, &raw, error)?;
        Ok(self.progress.unwritable(position, event.unwrap_or_default()))
    }

    /// Writes poison rows to the topic for dead letters, if there is one. Returns whether there were any.
    fn flush_dead_letters(&mut self) -> Result<bool, Error> {
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
                    return Err(caused_by(Error::poison(position, Some(event), reason), cause));
                }
                Place::Unknown => {
                    let turn = self.progress.wait_as_dead_letter(poison, size);
                    self.wait_for_topic(topic, Waiting { turn, named, record: encoded });
                }
            }
        }
        Ok(has_any)
    }

    /// Carries out what the state machine wants, and sends all batches of a broker with one request.
    fn act(&mut self) -> Result<(), Error> {
        let mut due = Vec::new();
        loop {
            while let Some(action) = self.next_action() {
                self.carry_out(action, &mut due)?;
            }
            if !self.flush_dead_letters()? {
                break;
            }
        }

        let mut by_broker: BTreeMap<Option<i32>, Vec<Sending>> = BTreeMap::new();
        for id in due {
            if let Some(sending) = self.sending(id)? {
                let broker = self.cluster.known_leader(&sending.batch.topic, sending.batch.partition);
                by_broker.entry(broker).or_default().push(sending);
            }
        }
        for (broker, sendings) in by_broker {
            *self.requests.entry(broker).or_default() += 1;
            let (cluster, status) = (Arc::clone(&self.cluster), self.status.clone());
            self.jobs.push(job::produce(cluster, broker, sendings, status).boxed());
        }
        Ok(())
    }

    fn next_action(&mut self) -> Option<Action<Encoded>> {
        let Self { progress, topics, cluster, requests, .. } = self;
        progress.next_action(|id| {
            let broker = topics.place(id).and_then(|(topic, partition)| cluster.known_leader(topic, *partition));
            requests.get(&broker).is_none_or(|requests| *requests < REQUESTS)
        })
    }

    fn carry_out(&mut self, action: Action<Encoded>, due: &mut Vec<PartitionId>) -> Result<(), Error> {
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
                    let broker = self.cluster.known_leader(&place.0, place.1);
                    let permits = self.reads.entry(broker).or_insert_with(|| Arc::new(Semaphore::new(READS)));
                    let permits = Arc::clone(permits);
                    self.jobs.push(self.reader().read(id, place, from, reach, permits).boxed());
                }
            }
            Action::Produce(id) => due.push(id),
            Action::Poison(poison) => {
                let refusal = self.refusal(&poison);
                let topic = poison.refused.as_ref().and_then(|(id, _)| self.topics.place(*id));
                let topic = topic.map(|(topic, _)| topic.name().to_owned());
                self.dead_letters.add(poison, topic.as_deref(), refusal)?;
                self.status.dead_lettered();
            }
        }
        Ok(())
    }

    fn reader(&self) -> job::Reader {
        job::Reader {
            cluster: Arc::clone(&self.cluster),
            origin: Arc::clone(&self.origin),
            window: self.window,
            limit: self.scan,
            status: self.status.clone(),
        }
    }

    /// Encodes the batch that a partition is due to send.
    fn sending(&mut self, id: PartitionId) -> Result<Option<Sending>, Error> {
        let (Some(batch), Some((topic, partition))) = (self.progress.batch(id), self.topics.place(id).cloned()) else {
            return Ok(None);
        };
        let rows = batch.rows.len();
        // A batch that is sent again may have another compression by now. Its sequence numbers are the same.
        let compression = self.compression.of(topic.name());
        self.batches.set_compression(compression);
        for row in batch.rows {
            self.batches.append(row.record.timestamp, &row.record.body);
        }
        let producer = outbox_kafka::Producer {
            id: batch.producer.id,
            epoch: batch.producer.epoch,
            sequence: batch.base_sequence,
        };
        let finished = self.batches.finish(producer).map_err(Error::wal)?;
        let Some(batch) = finished else { return Ok(None) };
        self.unacknowledged.entry(id).or_insert_with(Instant::now);
        let span = tracing::debug_span!(
            target: "outbox.relay", "batch", topic = topic.name(), partition, rows, base_offset = tracing::field::Empty
        );
        Ok(Some(Sending { id, batch: ToProduce { topic, partition, batch }, compression, span }))
    }

    fn done(&mut self, done: Done) -> Result<Option<Ended>, Error> {
        match done {
            Done::Produced(broker, answers) => self.answered(broker, answers),
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
                    self.settled(id);
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

    /// Handles the end of a produce request, with or without an answer. Each partition has a separate outcome.
    fn answered(&mut self, broker: Option<i32>, answers: Vec<Answer>) {
        if let Some(requests) = self.requests.get_mut(&broker) {
            *requests = requests.saturating_sub(1);
        }
        let (mut failed, mut topics, mut pause) = (Vec::new(), Vec::new(), Duration::ZERO);
        for answer in answers {
            if self.is_recompressed(&answer) {
                self.status.retried();
                self.progress.produced(answer.id, Outcome::NotAppended);
                continue;
            }
            let Answer { id, topic, outcome, error, .. } = answer;
            if let (Outcome::NotAppended | Outcome::Unknown, Some(error)) = (&outcome, &error) {
                pause = pause.max(self.backoffs.entry(id).or_insert_with(job::backoff).delay());
                self.status.retried();
                self.status.failing(Work::Batch(id), error);
                failed.push((id, outcome));
                topics.push(topic);
                continue;
            }
            self.settled(id);
            if let (Outcome::Rejected { .. }, Some(error)) = (&outcome, error) {
                self.refusals.insert(id, error);
            }
            let before = self.progress.counters();
            self.progress.produced(id, outcome);
            self.wrote(id, before);
        }
        if !failed.is_empty() {
            let cluster = Arc::clone(&self.cluster);
            self.jobs.push(job::pause_failed(cluster, failed, topics, pause).boxed());
        }
    }

    /// A partition has no batch whose outcome is open.
    fn settled(&mut self, id: PartitionId) {
        if self.backoffs.remove(&id).is_some() {
            self.status.recovered(&Work::Batch(id));
        }
        self.unacknowledged.remove(&id);
    }

    fn refusal(&self, poison: &Poison<Encoded>) -> Error {
        let refusal = poison.refused.as_ref().and_then(|(partition, _)| self.refusals.get(partition).cloned());
        let error = Error::poison(poison.position, Some(poison.event), "the broker refuses its record");
        match refusal {
            Some(refusal) => error.caused_by(refusal),
            None => error,
        }
    }

    /// Reads the rest, waits for what was sent, and confirms it: another reader of the slot then begins where this one has
    /// ended.
    async fn drain(&mut self, last: Rest) -> Result<(), Error> {
        let status = self.status.clone();
        let rest = async {
            loop {
                self.act()?;
                self.turned(Mode::Draining);
                let reads_on = last == Rest::OfTransaction && self.feed.is_in_transaction();
                if self.progress.buffered_rows() == 0 && !reads_on {
                    if self.confirmation.is_settled() {
                        break;
                    }
                    self.jobs.extend(self.confirmation.check_at_once());
                }
                let may_read = reads_on && self.may_read();
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
