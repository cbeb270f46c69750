use outbox_net::ErrorChain;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use outbox_core::uuid::Uuid;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::background::Registration;
use super::dispatch::{Dispatcher, EarlierAttempts, window};
use super::in_flight::InFlight;
use super::item::Work;
use super::lane::Lane;
use super::measure::PartitionGauges;
use super::reader::{Chunk, ReadTask};
use super::upkeep::News;
use super::{Shared, TopicPartition, measure};
use crate::Error;
use crate::policy::{InitialOffset, OnOffsetOutOfRange};
use crate::source::{PartitionReader as _, RecordSource as _};
use outbox_net::Backoff;

/// One partition that this consumer has the lease of.
pub struct Partition {
    shared: Arc<Shared>,
    topic: Arc<str>,
    partition: i32,
    owner: Uuid,
    /// Its last owner let the lease run out, maybe with the process.
    was_abandoned: bool,
    /// The number of times in a row that the lanes lost their connections before the position moved.
    losses: u32,
    _gauges: PartitionGauges,
}

/// The interval at which offsets without work are counted as done, and the lag is measured.
const TICK: Duration = Duration::from_millis(250);
/// The number of lost connections after which an event may be their cause. It is isolated like an event that ends the
/// process.
const LOSSES: u32 = 5;
/// The time for which a partition is stopped at a record before it is tried again.
const STOPPED: Duration = Duration::from_secs(30);

impl Partition {
    pub fn new(shared: Arc<Shared>, place: &TopicPartition, owner: Uuid, was_abandoned: bool) -> Self {
        Self {
            shared,
            topic: place.0.as_str().into(),
            partition: place.1,
            owner,
            was_abandoned,
            losses: 0,
            _gauges: PartitionGauges::new(&place.0, place.1),
        }
    }

    /// Works until it is instructed to stop. Transient errors are retried. Other errors stop the partition, which is
    /// tried again at intervals, because an operator may have fixed the cause.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        loop {
            let Err(error) = self.work(&stop, &mut backoff).await else { break };
            if error.is_store() {
                self.shared.store.discard_idle();
            }

            let (topic, partition) = (&*self.topic, self.partition);
            let pause = if error.is_transient() {
                let retry_in = backoff.delay();
                tracing::warn!(target: "outbox.consumer", topic, partition, error = %ErrorChain::new(&error), ?retry_in, "partition waits");
                if error.is_security() {
                    self.report_stopped(error).await;
                }
                retry_in
            } else {
                tracing::error!(target: "outbox.consumer", topic, partition, error = %ErrorChain::new(&error), "partition stopped");
                self.report_stopped(error).await;
                STOPPED
            };

            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn report_stopped(&self, error: Error) {
        measure::stopped(&self.topic, self.partition, true);
        let text = ErrorChain::new(&error).to_string();
        let noted = self.shared.store.set_stopped(&self.topic, self.partition, self.owner, Some(&text)).await;
        if let Err(e) = noted {
            tracing::debug!(target: "outbox.consumer", error = %ErrorChain::new(&e), "reason of the stopped partition not stored");
        }
        self.stopped().insert((self.topic.to_string(), self.partition), error);
    }

    fn stopped(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<TopicPartition, Error>> {
        self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the partition under a new epoch and reads on from the position.
    async fn work(&mut self, stop: &CancellationToken, backoff: &mut Backoff) -> Result<(), Error> {
        let opened = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            opened = self.open() => opened?,
        };
        let Opened { mut dispatch, queues, mut chunks, reader } = opened;
        let mut registration = Registration::new(&self.shared, dispatch.in_flight());
        let (mut lanes, lanes_stop) = (JoinSet::new(), CancellationToken::new());

        for queue in queues {
            let lane = Lane::new(Arc::clone(&self.shared), Arc::clone(dispatch.in_flight()), lanes_stop.clone());
            lanes.spawn(lane.run(queue));
        }

        let first = dispatch.in_flight().prefix().done();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);

        // Whether the reader reads, as far as is known.
        let (mut has_read, mut is_interrupted) = (false, false);
        let ended = loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                Some(lane) = lanes.join_next() => {
                    let ended = joined(lane);
                    let is_loss = ended.as_ref().is_err_and(Error::is_store) && dispatch.in_flight().prefix().done() == first;
                    self.losses = if is_loss { self.losses.saturating_add(1) } else { 0 };
                    self.was_abandoned |= self.losses >= LOSSES;
                    break ended;
                }
                _ = tick.tick(), if !dispatch.is_next_alone() || dispatch.is_paused() => {
                    dispatch.pass_read();
                    dispatch.deal_waiting_tasks();
                    let done = dispatch.in_flight().prefix().done();
                    let is_past = has_read && !dispatch.has_work() && dispatch.in_flight().prefix().is_idle();
                    if done > first {
                        self.losses = 0;
                    }
                    if (done > first || is_past) && !is_interrupted {
                        backoff.reset();
                        self.report_running().await;
                    }

                    if let Some(end) = dispatch.in_flight().end() {
                        measure::lag(&self.topic, self.partition, (end - done).max(0));
                    }
                }
                Some(news) = registration.news.recv(), if !dispatch.is_next_alone() || dispatch.is_paused() => match news {
                    News::Fenced => break Err(Error::fenced()),
                    News::HeldEvents(tasks) if dispatch.takes_tasks() => dispatch.deal_tasks(tasks),
                    News::HeldEvents(_) => {}
                },
                handed = dispatch.deal_next(), if dispatch.has_work() && !dispatch.is_paused() => {
                    if let Err(e) = handed {
                        break self.finish_before(&dispatch, &mut lanes, e).await;
                    }
                }
                chunk = chunks.recv(), if !dispatch.has_work() => match chunk {
                    Some(Chunk::Records { records, next, end: last, memory }) => {
                        (has_read, is_interrupted) = (true, false);
                        dispatch.in_flight().set_end(last);
                        dispatch.take(records, next, memory);
                    }
                    Some(Chunk::CompactedAway(offset)) => dispatch.in_flight().prefix().pass(offset),
                    Some(Chunk::Lost { offset, earliest, end }) => {
                        dispatch.pass_read();
                        let lost = self.lost(offset, earliest, end);
                        break self.finish_before(&dispatch, &mut lanes, lost).await;
                    }
                    Some(Chunk::Recreated { offset, earliest }) => {
                        dispatch.pass_read();
                        let lost = self.recreated(offset, earliest);
                        break self.finish_before(&dispatch, &mut lanes, lost).await;
                    }
                    Some(Chunk::Interrupted(e)) => {
                        dispatch.pass_read();
                        is_interrupted = true;
                        if e.is_security() {
                            self.report_stopped(e).await;
                        }
                    }
                    Some(Chunk::Failed(e)) => {
                        dispatch.pass_read();
                        break self.finish_before(&dispatch, &mut lanes, e).await;
                    }
                    None => break Err(Error::kafka("keep the reader going")),
                },
            }
        };

        lanes_stop.cancel();
        drop(reader);
        dispatch.close_lanes();

        if ended.is_ok() {
            // The handlers that run may finish; an impatient caller drops this future.
            while let Some(lane) = lanes.join_next().await {
                joined(lane)?;
            }
            drop(registration);
            self.store_progress(dispatch.in_flight()).await?;
            self.shared.store.not_alone(dispatch.in_flight().fence).await?;
        } else {
            let is_fenced = ended.as_ref().is_err_and(Error::is_fenced);
            if !is_fenced {
                self.let_finish(&mut lanes).await;
            }
            lanes.shutdown().await;
            if !is_fenced {
                // Stores the position, so that events that are done need not be read again. If this fails, they are
                // read again.
                _ = self.store_progress(dispatch.in_flight()).await;
            }
        }
        ended
    }

    /// Lets the running handlers finish, so that the failure of one lane does not repeat effects of the others outside
    /// of PostgreSQL.
    async fn let_finish(&self, lanes: &mut JoinSet<Result<(), Error>>) {
        let longest = self.shared.options.shutdown_timeout.min(self.shared.store.lease / 2);
        let finished = async { while lanes.join_next().await.is_some() {} };
        if timeout(longest, finished).await.is_err() {
            let (topic, partition) = (&*self.topic, self.partition);
            tracing::warn!(target: "outbox.consumer", topic, partition, "handlers did not finish in time and are rolled back");
        }
    }

    async fn report_running(&self) {
        if self.stopped().remove(&(self.topic.to_string(), self.partition)).is_none() {
            return;
        }
        measure::stopped(&self.topic, self.partition, false);
        if let Err(e) = self.shared.store.set_stopped(&self.topic, self.partition, self.owner, None).await {
            tracing::debug!(target: "outbox.consumer", error = %ErrorChain::new(&e), "reason of the stopped partition not stored");
        }
    }
}

/// A partition that is about to be read.
struct Opened {
    dispatch: Dispatcher,
    queues: Vec<mpsc::Receiver<Work>>,
    chunks: mpsc::Receiver<Chunk>,
    /// Ends with this.
    reader: JoinSet<()>,
}

impl Partition {
    /// Opens the partition: takes it under a new epoch, and starts its reader and its lanes.
    async fn open(&mut self) -> Result<Opened, Error> {
        let Shared { store, options, cluster, .. } = &*self.shared;
        let mut reader = cluster.open(&self.topic, self.partition).await?;
        let end = reader.end().await?;
        if store.position(&self.topic, self.partition).await?.is_none() {
            let first = match options.initial_offset {
                InitialOffset::Earliest => reader.earliest().await?,
                InitialOffset::Latest if store.is_first_partition(&self.topic, self.partition).await? => end,
                // Its first events are those that created it.
                InitialOffset::Latest => reader.earliest().await?,
            };
            store.begin_position(&self.topic, self.partition, first, reader.topic_id()).await?;
        }

        let abandoned = self.was_abandoned.then(|| window(options.partition_concurrency, options.max_batch_size));
        let taken = store.take(&self.topic, self.partition, self.owner, reader.topic_id(), abandoned).await?;
        self.was_abandoned = false;

        let in_flight = InFlight::new(Arc::clone(&self.topic), self.partition, taken.fence, taken.next_offset);
        in_flight.set_end(end);
        let earlier = EarlierAttempts {
            called_until: self.shared.upkeep.called_until(&self.topic, self.partition),
            isolate_until: taken.careful_until,
            // If lost connections are the reason, each of them counts like the end of a process.
            attempt_owner: if self.losses >= LOSSES { Uuid::now_v7() } else { self.owner },
        };
        let (dispatch, queues) = Dispatcher::new(&self.shared, in_flight, earlier);

        let (sender, chunks) = mpsc::channel(1);
        let mut readers = JoinSet::new();
        if let (Some(known), Some(found)) = (taken.topic_id, reader.topic_id())
            && known != found
        {
            let earliest = reader.earliest().await?;
            let _ = sender.try_send(Chunk::Failed(self.recreated(taken.next_offset, earliest)));
        } else {
            let feed = ReadTask::new(Arc::clone(&self.shared), Arc::clone(dispatch.in_flight()), reader.topic_id());
            readers.spawn(feed.run(reader, taken.next_offset, sender));
        }
        Ok(Opened { dispatch, queues, chunks, reader: readers })
    }

    /// Moves the position in the store to the completed offset.
    async fn store_progress(&self, in_flight: &InFlight) -> Result<(), Error> {
        let Some(progress) = in_flight.progress_to_store() else { return Ok(()) };
        let stored = self.shared.store.advance(&[progress]).await?;
        if stored.is_empty() {
            return Err(Error::fenced());
        }
        in_flight.stored(progress);
        self.shared.upkeep.note_stored(in_flight, progress.position);
        Ok(())
    }

    /// Lets the lanes finish the dealt records, so that the position reaches the record that stops the partition.
    async fn finish_before(
        &self,
        dispatch: &Dispatcher,
        lanes: &mut JoinSet<Result<(), Error>>,
        error: Error,
    ) -> Result<(), Error> {
        if error.is_transient() {
            return Err(error);
        }

        while !dispatch.in_flight().prefix().is_idle() {
            tokio::select! {
                Some(lane) = lanes.join_next() => joined(lane)?,
                () = dispatch.in_flight().progress.notified() => {}
            }
        }

        self.store_progress(dispatch.in_flight()).await?;
        if let (Some(earliest), OnOffsetOutOfRange::Earliest) =
            (error.lost_position(), self.shared.options.on_offset_out_of_range)
        {
            let (topic, partition) = (&*self.topic, self.partition);
            tracing::error!(target: "outbox.consumer", topic, partition, error = %error, earliest, "offset out of range: continuing at the first record");
            self.shared.store.reset_position(dispatch.in_flight().fence, earliest).await?;
            return Err(Error::fenced());
        }
        Err(error)
    }

    /// Handles a topic that does not hold the position.
    fn lost(&self, offset: i64, earliest: i64, end: i64) -> Error {
        let why =
            if offset < earliest { "retention has removed it" } else { "it was created again, or has lost records" };
        let reason =
            format!("this is where the group reads next, but the topic holds {earliest} to before {end}: {why}");
        Error::lost(&self.topic, self.partition, offset, earliest, reason)
    }

    /// Handles a topic that was created again: it may hold the position, but with another record.
    fn recreated(&self, offset: i64, earliest: i64) -> Error {
        let reason = format!(
            "this is where the group read next before the topic was deleted and created again (its id is another one); what \
             is in it begins at {earliest}: move the group's position there, or let `on_offset_out_of_range` do so"
        );
        Error::lost(&self.topic, self.partition, offset, earliest, reason)
    }
}

fn joined(lane: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    lane.unwrap_or_else(|e| Err(Error::store("keep a lane going", e)))
}
