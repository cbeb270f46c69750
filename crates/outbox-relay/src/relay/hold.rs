use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use outbox_core::uuid::Uuid;
use outbox_core::{ColumnValue, EventField, Pipeline, Row};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::backlog::Backlog;
use super::dead_letter::DeadLetters;
use super::encoded::Encoded;
use super::feed::{Broken, Fed, Feed};
use super::job::{self, Done};
use super::rounds::Rounds;
use super::topics::{NoPartition, Topics};
use crate::error::Error;
use crate::position::{Origin, Position};
use crate::progress::{Action, Counters, Outcome, PartitionId, Poison, Progress, Window};
use crate::rows::{DecodeError, WalEvent};
use crate::status::{Marks, Mode, RelayStatus};
use outbox_kafka::{BatchBuilder, Cluster};
use outbox_net::ErrorChain;
use outbox_wal::{ConnectOptions, Source, WalError, is_held};

/// One hold of the slot, from when it was taken until it is given back or lost. All state is of this hold.
pub(super) struct Hold {
    pub(super) pipeline: Pipeline,
    pub(super) cluster: Arc<Cluster>,
    pub(super) options: ConnectOptions,
    pub(super) source: Source,
    pub(super) origin: Arc<Origin>,
    pub(super) window: Window,
    pub(super) feed: Feed,
    pub(super) progress: Progress<Encoded>,
    pub(super) topics: Topics,
    pub(super) batches: BatchBuilder,
    pub(super) jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    pub(super) attempts: HashMap<PartitionId, u32>,
    pub(super) refusals: HashMap<PartitionId, outbox_kafka::Error>,
    pub(super) id_column: Option<usize>,
    pub(super) commit: crate::Lsn,
    /// Where a backlog is streamed.
    pub(super) backlog: Option<Backlog>,
    pub(super) dead_letters: DeadLetters,
    /// When something was last sent or asked.
    pub(super) acted: Instant,
    pub(super) rounds: Rounds,
    /// A topic that has more partitions than rows are sent to.
    pub(super) grown: Option<Box<str>>,
    pub(super) status: RelayStatus,
    pub(super) marks: Marks,
    /// What was counted up to the last turn.
    pub(super) counted: Counters,
    pub(super) scan: u64,
    /// What was read is being taken. When that is broken off nothing more may be read: a row would be left out.
    pub(super) is_taking: bool,
}

/// How a hold ended.
pub(super) enum Ended {
    /// It was told to.
    Drained,
    /// All state is out of date: the start procedure runs again.
    Anew(Broken),
    Changed(Box<str>),
    Lost,
    /// A transaction is so large that the stream is to tell all.
    ToStream,
    /// What is streamed is better read from a copy of the slot.
    ToCopy,
}

/// What may be read ahead of the broker's acknowledgements, in bytes of records.
const AHEAD: usize = 4 << 20;
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
        if let Ok(Ended::ToStream | Ended::ToCopy) = ended {
            self.drain().await?;
        }
        tracing::info!(
            target: "outbox.relay", counters = ?self.progress.counters(), ignored = ?self.feed.ignored(),
            confirmable = %self.progress.confirmable(), "this hold of the slot ends"
        );
        if let Ok(Ended::Drained | Ended::Changed(_) | Ended::ToStream | Ended::ToCopy) = ended {
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
                () = &mut stop => return self.drain().await.map(|()| Ended::Drained),
                ended = self.step() => if let Some(ended) = ended? {
                    return Ok(ended);
                },
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Ended>, Error> {
        let may_read = self.progress.buffered_bytes() < AHEAD;
        let is_soon = may_read && self.feed.is_behind() && self.acted.elapsed() < LINGER;
        let lingers = is_soon && self.progress.waiting_bytes() < ENOUGH;
        if !lingers {
            self.act()?;
            self.bury().await?;
            self.acted = Instant::now();
        }
        self.turned(self.feed.mode());
        // Between two transactions, and with nothing on its way: nothing is then looked for in another partition.
        if let Some(topic) = self.grown.take_if(|_| !self.feed.is_in_transaction()) {
            self.drain().await?;
            return Ok(Some(Ended::Changed(topic)));
        }
        tokio::select! {
            biased;
            () = self.rounds.tick() => {
                self.look();
                Ok(None)
            }
            Some(done) = self.jobs.next(), if !self.jobs.is_empty() => self.done(done),
            fed = self.feed.next(), if may_read => match fed {
                Ok(fed) => self.burst(fed).await,
                Err(broken) => Self::broken(broken).map(Some),
            },
            () = tokio::time::sleep_until(self.acted + LINGER), if lingers => Ok(None),
        }
    }

    /// Takes what was read and what is there already, so that a batch is as large as it can be without waiting.
    async fn burst(&mut self, first: Fed) -> Result<Option<Ended>, Error> {
        self.is_taking = true;
        let ended = self.take_all(first).await;
        self.is_taking = false;
        ended
    }

    async fn take_all(&mut self, first: Fed) -> Result<Option<Ended>, Error> {
        if let Some(ended) = self.take(first).await? {
            return Ok(Some(ended));
        }
        for _ in 0..BURST {
            if self.progress.buffered_bytes() >= AHEAD {
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
            if let Some(ended) = self.take(next).await? {
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    fn broken(broken: Broken) -> Result<Ended, Error> {
        match &broken {
            Broken::Wal(e) if e.is_transient() => Ok(Ended::Anew(broken)),
            Broken::Wal(WalError::TransactionTooLarge { .. } | WalError::FewEnds { .. }) => Ok(Ended::ToStream),
            _ => Err(broken.into_error()),
        }
    }

    async fn take(&mut self, fed: Fed) -> Result<Option<Ended>, Error> {
        match fed {
            Fed::Nothing => {}
            Fed::Unreadable(error) => self.unreadable(error)?,
            Fed::Idle(at) => self.progress.idle(at),
            Fed::Event(WalEvent::Begin { commit, committed_at }) => {
                self.backlog.iter_mut().for_each(|backlog| backlog.begin(committed_at, SystemTime::now()));
                self.commit = commit;
                self.marks.begin(commit, committed_at);
                self.progress.begin(commit).map_err(Error::wal)?;
            }
            Fed::Event(WalEvent::Commit { end, .. }) => {
                self.progress.commit(end).map_err(Error::wal)?;
                if self.backlog.as_ref().is_some_and(Backlog::is_better_copied) {
                    return Ok(Some(Ended::ToCopy));
                }
            }
            Fed::Event(WalEvent::Row { index, row, .. }) => {
                self.backlog.iter_mut().for_each(Backlog::row);
                let position = Position { commit: self.commit, index };
                self.row(position, &row).await?;
            }
        }
        Ok(None)
    }

    async fn row(&mut self, position: Position, row: &Row) -> Result<(), Error> {
        let Some(event) = self.event_id(row) else {
            return self.unwritable(position, Uuid::nil(), row, Error::poison(position, None, "it has no id"));
        };
        let refused = |reason: &str| Error::poison(position, Some(event), reason);
        let record = match self.pipeline.encode_lossless(row) {
            Ok(encoded) => {
                let (record, why) = encoded.into_parts();
                if let Some(why) = why {
                    let why = ErrorChain::new(&why);
                    tracing::warn!(target: "outbox.relay", %event, %why, "the payload is written as it is stored");
                    self.status.stored_as_it_was();
                }
                record
            }
            Err(e) => return self.unwritable(position, event, row, refused("it has no record").caused_by(e)),
        };
        let partition = match self.topics.partition(&record, event.as_bytes()).await {
            Ok(partition) => partition,
            Err(NoPartition::Refused(reason)) => return self.unwritable(position, event, row, refused(&reason)),
            Err(NoPartition::Failed(e)) => return Err(e),
        };
        let encoded = Encoded::new(record, &self.origin, position);
        let size = encoded.size();
        self.progress.row(position, event, partition, encoded, size).map_err(Error::wal)
    }

    /// A row without a record or a topic: it waits in its turn to be dead-lettered, or stops the relay.
    fn unwritable(&mut self, position: Position, event: Uuid, row: &Row, error: Error) -> Result<(), Error> {
        self.dead_letters.keep(&self.pipeline, position, row, error)?;
        self.progress.unwritable(position, event).map_err(Error::wal)
    }

    /// As [`unwritable`](Self::unwritable), of a row that has no values.
    fn unreadable(&mut self, mut error: DecodeError) -> Result<(), Error> {
        let Some(position) = error.row() else { return Err(Error::wal(error)) };
        let raw = error.take_raw();
        let id = self.id_column.and_then(|index| self.pipeline.layout().columns().get(index));
        let event = id.and_then(|column| raw.get(column.name().as_str())).and_then(|id| id.parse().ok());
        let error = Error::poison(position, event, "its values cannot be read").caused_by(error);
        self.dead_letters.keep_raw(&self.pipeline, position, &raw, error)?;
        self.progress.unwritable(position, event.unwrap_or_default()).map_err(Error::wal)
    }

    /// Writes poison rows to the topic for dead letters, where there is one.
    async fn bury(&mut self) -> Result<(), Error> {
        while let Some((poison, record)) = self.dead_letters.next() {
            let record = record.borrowed();
            let partition = match self.topics.partition(&record, poison.event.as_bytes()).await {
                Ok(partition) => partition,
                Err(NoPartition::Refused(reason)) => {
                    return Err(Error::poison(poison.position, Some(poison.event), reason));
                }
                Err(NoPartition::Failed(e)) => return Err(e),
            };
            let encoded = Encoded::new(record, &self.origin, poison.position);
            let size = encoded.size();
            self.progress.dead_letter(poison, partition, encoded, size);
            self.act()?;
        }
        Ok(())
    }

    fn event_id(&self, row: &Row) -> Option<Uuid> {
        match self.id_column.and_then(|index| row.values().get(index)) {
            Some(ColumnValue::Uuid(id)) => Some(*id),
            _ => None,
        }
    }

    /// Carries out what the state machine wants.
    fn act(&mut self) -> Result<(), Error> {
        while let Some(action) = self.progress.next_action() {
            match action {
                Action::Confirm(lsn) => self.feed.confirm(lsn),
                Action::NewProducer => self.jobs.push(job::new_producer(Arc::clone(&self.cluster)).boxed()),
                Action::ProveHeld => {
                    let (options, source) = (self.options.clone(), self.source.clone());
                    self.jobs.push(
                        async move {
                            Done::Held(is_held(&options, &source).await.unwrap_or_else(|e| {
                                tracing::warn!(target: "outbox.relay", error = %ErrorChain::new(&e), "cannot see who holds the slot");
                                false
                            }))
                        }
                        .boxed(),
                    );
                }
                Action::Read { partition: id, from } => {
                    if let Some(place) = self.topics.place(id).cloned() {
                        let (cluster, origin) = (Arc::clone(&self.cluster), Arc::clone(&self.origin));
                        self.jobs.push(job::read(cluster, origin, self.window, id, place, from, self.scan).boxed());
                    }
                }
                Action::Produce(id) => self.produce(id)?,
                Action::Poison(poison) => {
                    let refusal = self.refusal(&poison);
                    let topic = poison.refused.as_ref().and_then(|(id, _)| self.topics.place(*id));
                    let topic = topic.map(|(topic, _)| topic.name().to_owned());
                    self.dead_letters.add(poison, topic.as_deref(), refusal)?;
                    self.status.dead_lettered();
                }
            }
        }
        Ok(())
    }

    fn produce(&mut self, id: PartitionId) -> Result<(), Error> {
        let (Some(batch), Some((topic, partition))) = (self.progress.batch(id), self.topics.place(id).cloned()) else {
            return Ok(());
        };
        let rows = batch.rows.len();
        for row in batch.rows {
            self.batches.append(row.record.timestamp, &row.record.body);
        }
        let producer = outbox_kafka::Producer {
            id: batch.producer.id,
            epoch: batch.producer.epoch,
            sequence: batch.base_sequence,
        };
        let finished = self.batches.finish(producer).map_err(Error::wal)?;
        let Some(bytes) = finished else { return Ok(()) };
        let attempts = self.attempts.get(&id).copied().unwrap_or(0);
        let cluster = Arc::clone(&self.cluster);
        let status = self.status.clone();
        let span = tracing::debug_span!(
            target: "outbox.relay", "batch", topic = topic.name(), partition, rows, base_offset = tracing::field::Empty
        );
        let sent = job::produce(cluster, id, topic, partition, bytes, attempts, status);
        self.jobs.push(sent.instrument(span).boxed());
        Ok(())
    }

    fn done(&mut self, done: Done) -> Result<Option<Ended>, Error> {
        let before = self.progress.counters();
        match done {
            Done::Produced(id, outcome, error) => {
                match &outcome {
                    Outcome::NotAppended | Outcome::Unknown => {
                        *self.attempts.entry(id).or_default() += 1;
                        self.status.retried();
                    }
                    _ => _ = self.attempts.remove(&id),
                }
                if let (Outcome::Rejected { .. }, Some(error)) = (&outcome, error) {
                    self.refusals.insert(id, error);
                }
                self.progress.produced(id, outcome);
                self.wrote(id, before);
            }
            Done::Read(id, seen, tail) => {
                for record in seen {
                    self.progress.seen(id, record);
                }
                if tail.cut {
                    self.status.scan_cut();
                }
                self.progress.tail_read(id, tail);
                self.wrote(id, before);
            }
            Done::Producer(producer) => self.progress.producer(producer),
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
            Done::TopicChanged(topic) => return Ok(Some(Ended::Changed(topic))),
            Done::Failed(e) => return Err(Error::kafka("let the relay go on", e)),
        }
        Ok(None)
    }

    fn refusal(&self, poison: &Poison<Encoded>) -> Error {
        let refusal = poison.refused.as_ref().and_then(|(partition, _)| self.refusals.get(partition).cloned());
        let error = Error::poison(poison.position, Some(poison.event), "the broker refuses its record");
        match refusal {
            Some(refusal) => error.caused_by(refusal),
            None => error,
        }
    }

    /// Reads to the end of a transaction that has begun, waits for what was sent, and confirms it: another reader of
    /// the slot then begins where this one has ended.
    async fn drain(&mut self) -> Result<(), Error> {
        let status = self.status.clone();
        let reads = !self.is_taking;
        let rest = async {
            loop {
                self.act()?;
                self.bury().await?;
                self.turned(Mode::Draining);
                let reads_on = reads && self.feed.is_in_transaction();
                if self.progress.buffered_rows() == 0 && !reads_on {
                    break;
                }
                let may_read = reads_on && self.progress.buffered_bytes() < AHEAD;
                tokio::select! {
                    biased;
                    Some(done) = self.jobs.next(), if !self.jobs.is_empty() => {
                        if self.done(done)?.is_some() {
                            break;
                        }
                    }
                    fed = self.feed.next(), if may_read => match fed {
                        Ok(fed) => _ = self.take(fed).await?,
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

/// Where a row has its event's id.
pub(super) fn id_column(pipeline: &Pipeline) -> Option<usize> {
    pipeline.layout().columns().iter().position(|column| column.field() == Some(EventField::Id))
}
