//! The background tasks of a process, for all its partitions at once: they poll for due events and requests, move
//! positions, mirror them to Kafka, and remove old rows.

use std::sync::Arc;
use std::time::Duration;

use outbox_kafka::GroupOffset;
use outbox_net::{Backoff, ErrorChain};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::in_flight::InFlight;
use super::upkeep::{News, PAUSE, POLL, Registered};
use super::{Shared, TopicPartition};
use crate::Error;
use crate::store::{HeldEventTask, Progress};

/// The interval at which positions are moved. Until then a restart reads known events again.
const ADVANCE: Duration = Duration::from_secs(1);
/// The time for which completed requests are kept.
const REQUESTS: Duration = Duration::from_secs(30 * 24 * 3600);
/// The interval at which old rows are looked for.
const PURGE: Duration = Duration::from_secs(60);
/// The number of purges between two checks of the first events of blocked keys.
const HEADS: u32 = 10;
/// The interval at which positions are mirrored.
const MIRROR: Duration = Duration::from_secs(5);
/// The number of rounds after which all positions are mirrored, and not only those that were moved.
const MIRROR_ALL: u32 = 6;
/// The time that the last positions may take at shutdown.
const LAST_MIRROR: Duration = Duration::from_secs(2);

/// The registration of a partition for background work, until it is dropped.
pub struct Registration {
    shared: Arc<Shared>,
    in_flight: Arc<InFlight>,
    pub news: mpsc::Receiver<News>,
}

impl Registration {
    pub fn new(shared: &Arc<Shared>, in_flight: &Arc<InFlight>) -> Self {
        let (sender, news) = mpsc::channel(1);
        let registered = Registered::new(Arc::clone(in_flight), sender);
        shared.upkeep.lock().insert(in_flight.fence.position, registered);
        shared.upkeep.due_in(Duration::ZERO);
        shared.upkeep.note_stored(in_flight, in_flight.prefix().done());
        Self { shared: Arc::clone(shared), in_flight: Arc::clone(in_flight), news }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.upkeep.note_called(&self.in_flight);
        let mut partitions = self.shared.upkeep.lock();
        let id = self.in_flight.fence.position;
        if partitions.get(&id).is_some_and(|registered| registered.is_for(&self.in_flight)) {
            partitions.remove(&id);
        }
    }
}

impl Shared {
    /// Polls for the partitions of this process.
    pub async fn look_after(self: Arc<Self>) -> Result<(), Error> {
        let mut backoff = Backoff::new(POLL, Duration::from_secs(5));
        let (mut polled, mut advanced) = (Instant::now(), Instant::now());
        loop {
            self.upkeep.poll_time(polled).await;
            polled = Instant::now();
            let mut looked = self.poll().await;
            if looked.is_ok() && polled.duration_since(advanced) >= ADVANCE {
                looked = self.store_progress().await;
                advanced = polled;
            }

            match looked {
                Ok(()) => backoff.reset(),
                Err(e) => {
                    let retry_in = backoff.delay();
                    tracing::warn!(target: "outbox.consumer", error = %ErrorChain::new(&e), ?retry_in, "polling for due events failed, retrying");
                    tokio::time::sleep(retry_in).await;
                }
            }
        }
    }

    async fn poll(&self) -> Result<(), Error> {
        let wanted = self.upkeep.wanted(&self.pauses);
        if wanted.is_empty() && self.pauses.are_known() {
            return Ok(());
        }
        let mut due = self.in_time(self.store.due(&wanted)).await?;
        if due.errands.values().any(|errands| errands.len() >= HeldEventTask::MOST) {
            self.upkeep.due_in(PAUSE);
        }
        self.pauses.learn(std::mem::take(&mut due.paused));
        self.upkeep.hand_on(due);
        Ok(())
    }

    async fn store_progress(&self) -> Result<(), Error> {
        let behind = self.upkeep.progress();
        if behind.is_empty() {
            return Ok(());
        }

        let progress: Vec<Progress> = behind.iter().map(|(_, progress)| *progress).collect();
        let stored = self.in_time(self.store.advance(&progress)).await?;
        for (in_flight, progress) in behind {
            if stored.contains(&progress.fence.position) {
                in_flight.stored(progress);
                self.upkeep.note_stored(&in_flight, progress.position);
            }
        }
        Ok(())
    }

    /// Waits for the store for a bounded time.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        timeout(self.store.lease / 3, answer).await.unwrap_or_else(|e| Err(Error::store("answer in time", e)))
    }

    /// Removes old rows.
    pub async fn purge(self: Arc<Self>) -> Result<(), Error> {
        let (mut from, mut round) = (crate::store::PurgeFrom::default(), 0_u32);
        loop {
            tokio::time::sleep(PURGE).await;
            round = round.wrapping_add(1);

            let purged = async {
                let events = self.store.purge(self.options.inbox_retention, &mut from).await?;
                self.store.purge_others(REQUESTS, self.options.dead_letter_retention).await?;
                let freed = if round.is_multiple_of(HEADS) { self.store.free_heads().await? } else { 0 };
                Ok::<_, Error>((events, freed))
            };

            match purged.await {
                Ok((0, 0)) => {}
                Ok((events, freed)) => {
                    tracing::debug!(target: "outbox.consumer", events, freed, "old inbox rows removed")
                }
                Err(e) => {
                    tracing::warn!(target: "outbox.consumer", error = %ErrorChain::new(&e), "removing old inbox rows failed, retrying");
                }
            }
        }
    }
}

impl Shared {
    /// Commits the positions that were moved, every few seconds, and all of them now and then: Kafka forgets those of
    /// idle partitions (`offsets.retention.minutes`), and a tool may have reset them.
    pub async fn mirror(self: Arc<Self>) -> Result<(), Error> {
        let (mut failing, mut round) = (None, 0_u32);
        loop {
            tokio::time::sleep(MIRROR).await;
            round = round.wrapping_add(1);
            if round.is_multiple_of(MIRROR_ALL) {
                self.upkeep.note_all_stored();
            }
            self.mirror_moved(&mut failing).await;
        }
    }

    /// Commits the positions of partitions that were given back at shutdown.
    pub async fn mirror_last(&self) {
        if self.options.kafka_group {
            _ = tokio::time::timeout(LAST_MIRROR, self.mirror_moved(&mut None)).await;
        }
    }

    /// Writes moved positions to Kafka. Nothing depends on it: an error is logged when it changes, and the write is
    /// repeated later.
    async fn mirror_moved(&self, failing: &mut Option<String>) {
        let moved = self.upkeep.take_moved();
        if moved.is_empty() {
            return;
        }

        let offset = |((topic, partition), offset): (&TopicPartition, &i64)| GroupOffset {
            topic: topic.clone(),
            partition: *partition,
            offset: *offset,
        };
        let offsets: Vec<GroupOffset> = moved.iter().map(offset).collect();

        match self.cluster.brokers().cluster().commit_offsets(&self.store.group, &offsets).await {
            Ok(()) => *failing = None,
            Err(e) => {
                let error = ErrorChain::new(&e).to_string();
                if failing.as_ref() != Some(&error) {
                    tracing::warn!(
                        target: "outbox.consumer", group = self.store.group, error,
                        "cannot mirror positions to the Kafka consumer group, retrying"
                    );
                    *failing = Some(error);
                }
                self.upkeep.put_back(moved);
            }
        }
    }
}
