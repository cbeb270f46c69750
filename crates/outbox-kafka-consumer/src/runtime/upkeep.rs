//! The work that a process does for all its partitions at once: positions are moved, due events and requests are found,
//! pauses are learned. Its cost does not grow with partitions that have nothing to do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outbox_net::{Backoff, ErrorChain};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::dispatch::InFlight;
use super::mirror::Moved;
use super::{Pauses, Shared};
use crate::Error;
use crate::store::{Due, HeldEventTask, Progress, Wanted};

/// How often due events and requests are looked for while nothing is known to be due.
const POLL: Duration = Duration::from_millis(500);
/// The shortest time between two polls.
const PAUSE: Duration = Duration::from_millis(50);
/// How often positions are moved. Until then a restart reads known events again.
const ADVANCE: Duration = Duration::from_secs(1);
/// For how long requests are kept that were carried out.
const REQUESTS: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often what is old is looked for.
const PURGE: Duration = Duration::from_secs(60);
/// Every how many purges the heads of blocked keys are looked at.
const HEADS: u32 = 10;

/// The news for a partition.
#[derive(Debug)]
pub(super) enum News {
    Errands(Vec<HeldEventTask>),
    /// Another owner has the partition, or its position was moved.
    Fenced,
}

/// The partitions that this process reads.
#[derive(Default)]
pub(crate) struct Upkeep {
    /// By the id of the position.
    partitions: Mutex<HashMap<i64, Registered>>,
    /// Somebody knows of something that is due earlier.
    sooner: Notify,
    next_due: Mutex<Option<Instant>>,
    moved: Mutex<Moved>,
}

struct Registered {
    dealt: Arc<InFlight>,
    news: mpsc::Sender<News>,
}

/// A partition is looked after as long as this lives.
pub(super) struct Registration {
    shared: Arc<Shared>,
    dealt: Arc<InFlight>,
    pub(super) news: mpsc::Receiver<News>,
}

impl Registration {
    pub(super) fn new(shared: &Arc<Shared>, dealt: &Arc<InFlight>) -> Self {
        let (sender, news) = mpsc::channel(1);
        let registered = Registered { dealt: Arc::clone(dealt), news: sender };
        shared.upkeep.lock().insert(dealt.fence.position, registered);
        shared.upkeep.due_in(Duration::ZERO);
        shared.upkeep.note_stored(dealt, dealt.prefix().done());
        Self { shared: Arc::clone(shared), dealt: Arc::clone(dealt), news }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut partitions = self.shared.upkeep.lock();
        let id = self.dealt.fence.position;
        if partitions.get(&id).is_some_and(|registered| Arc::ptr_eq(&registered.dealt, &self.dealt)) {
            partitions.remove(&id);
        }
    }
}

impl Upkeep {
    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Registered>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something will be due then.
    pub(super) fn due_in(&self, delay: Duration) {
        let at = Instant::now() + delay;
        let mut next = self.next_due.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_none_or(|next| at < next) {
            *next = Some(at);
            self.sooner.notify_one();
        }
    }

    /// Returns the positions in the store that were moved since the last call.
    pub(super) fn take_moved(&self) -> Moved {
        std::mem::take(&mut *self.moved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns positions that are to be taken again, unless there are newer ones.
    pub(super) fn put_back(&self, moved: Moved) {
        let mut newer = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, position) in moved {
            newer.entry(place).or_insert(position);
        }
    }

    /// Notes a position in the store.
    pub(super) fn note_stored(&self, dealt: &InFlight, position: i64) {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.insert((dealt.topic.to_string(), dealt.partition), position);
    }

    /// Waits until the next poll.
    async fn poll_time(&self, last: Instant) {
        loop {
            let due = *self.next_due.lock().unwrap_or_else(PoisonError::into_inner);
            let at = due.map_or(last + POLL, |due| due.clamp(last + PAUSE, last + POLL));
            tokio::select! {
                () = sleep_until(at) => break,
                () = self.sooner.notified() => {}
            }
        }
        *self.next_due.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn wanted(&self, pauses: &Pauses) -> Vec<Wanted> {
        let wanted = |registered: &Registered| Wanted {
            fence: registered.dealt.fence,
            takes_errands: registered.dealt.has_room_for_errands()
                && registered.news.capacity() > 0
                && !pauses.is_topic_paused(&registered.dealt.topic),
        };
        self.lock().values().map(wanted).collect()
    }

    /// Hands on what was found. What a partition does not take comes again.
    fn hand_on(&self, mut due: Due) {
        for (id, registered) in &*self.lock() {
            let news = match due.errands.remove(id) {
                _ if due.fenced.contains(&registered.dealt.fence) => News::Fenced,
                Some(errands) => News::Errands(errands),
                None => continue,
            };
            _ = registered.news.try_send(news);
        }
    }

    /// Returns the positions that are behind what is done.
    fn progress(&self) -> Vec<(Arc<InFlight>, Progress)> {
        let of = |registered: &Registered| {
            let progress = registered.dealt.progress_to_store()?;
            Some((Arc::clone(&registered.dealt), progress))
        };
        self.lock().values().filter_map(of).collect()
    }
}

impl Shared {
    /// Polls for the partitions of this process.
    pub(super) async fn look_after(self: Arc<Self>) -> Result<(), Error> {
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
                    tracing::warn!(target: "outbox.consumer", error = %ErrorChain::new(&e), ?retry_in, "cannot look for due events and move positions");
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
        for (dealt, progress) in behind {
            if stored.contains(&progress.fence.position) {
                dealt.stored(progress);
                self.upkeep.note_stored(&dealt, progress.position);
            }
        }
        Ok(())
    }

    /// Waits for the store, but not longer than it is good for.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        timeout(self.store.lease / 3, answer).await.unwrap_or_else(|e| Err(Error::store("answer in time", e)))
    }

    /// Forgets what is old.
    pub(super) async fn purge(self: Arc<Self>) -> Result<(), Error> {
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
                    tracing::debug!(target: "outbox.consumer", events, freed, "old events forgotten")
                }
                Err(e) => {
                    tracing::warn!(target: "outbox.consumer", error = %ErrorChain::new(&e), "cannot forget old events, retrying");
                }
            }
        }
    }
}
