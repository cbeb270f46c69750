use outbox_net::ErrorChain;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{RwLockReadGuard, RwLockWriteGuard, mpsc};
use tokio_util::sync::CancellationToken;

use super::failed::{Aborted, ENDED, Failed, Fault};
use super::in_flight::InFlight;
use super::item::{Item, Todo, Work};
use super::{Shared, measure};
use crate::protocol::{BatchSize, FailureKind, Pieces};
use crate::store::{Disposition, SettingsCheck};
use crate::{Error, EventState, Isolation};

/// Applies the events of its keys, in batches of one transaction each, in order.
pub struct Lane {
    pub shared: Arc<Shared>,
    pub in_flight: Arc<InFlight>,
    pub stop: CancellationToken,
}

/// The number of times that a single event that lost against another transaction is tried again at once. The other one
/// has made progress, so an event without a fault gets through.
pub const CONFLICTS: u32 = 20;
const LONGEST_CONFLICT_PAUSE: u32 = 100;

/// Waits for the other transaction: longer after each conflict, and with a random part, so that competitors do not wait
/// equally long.
pub async fn pause_after(conflicts: u32) {
    let longest = Duration::from_millis(u64::from(conflicts.saturating_mul(5).min(LONGEST_CONFLICT_PAUSE)));
    tokio::time::sleep(longest.mul_f64(0.5 + random() / 2.)).await;
}

/// The number of conflicts after which an event runs while no other transaction of its partition runs.
const APART_AFTER: u32 = 3;
/// The time that it waits for the others.
const APART_WAIT: Duration = Duration::from_secs(1);

/// The permits that a transaction holds while it runs.
pub enum Turn<'a> {
    Shared {
        _guard: RwLockReadGuard<'a, ()>,
    },
    Apart {
        _guard: RwLockWriteGuard<'a, ()>,
    },
    /// Another transaction takes too long, so the event does not wait for it.
    Unordered,
}

impl Lane {
    pub fn new(shared: Arc<Shared>, in_flight: Arc<InFlight>, stop: CancellationToken) -> Self {
        Self { shared, in_flight, stop }
    }

    /// Waits until an event may run that has lost that many conflicts.
    pub async fn turn(&self, conflicts: u32) -> Turn<'_> {
        let turns = &self.in_flight.turns;
        if conflicts < APART_AFTER {
            return Turn::Shared { _guard: turns.read().await };
        }
        let apart = tokio::time::timeout(APART_WAIT, turns.write()).await;
        apart.map_or(Turn::Unordered, |guard| Turn::Apart { _guard: guard })
    }

    /// Works until the queue is closed, until it is instructed to stop, or until an error that does not concern one
    /// event.
    pub async fn run(self, mut work: mpsc::Receiver<Work>) -> Result<(), Error> {
        let most = self.shared.options.max_batch_size.get();
        let (mut taken, mut size) = (Vec::with_capacity(most), BatchSize::new(most));
        loop {
            let count = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                count = work.recv_many(&mut taken, most) => count,
            };

            if count == 0 {
                return Ok(());
            }

            let mut queue: VecDeque<Work> = taken.drain(..).collect();
            while let Some(next) = queue.pop_front() {
                let is_going = match &next {
                    Work::Event(item) => self.until_resumed(item).await,
                    Work::HeldEventTask(_) => !self.stop.is_cancelled(),
                };

                if !is_going {
                    return Ok(());
                }

                match next {
                    Work::HeldEventTask(task) => {
                        let done = self.run_task(&task).await;
                        self.in_flight.tasks.fetch_sub(1, Ordering::Relaxed);
                        done?;
                    }
                    Work::Event(item) if item.is_batched() => {
                        let mut batch = vec![item];
                        while let Some(Work::Event(_)) = queue.front().filter(|work| self.is_batched(work)) {
                            if let Some(Work::Event(item)) = queue.pop_front() {
                                batch.push(item);
                            }
                        }
                        self.apply(&mut batch, &mut size).await?;
                    }
                    Work::Event(mut item) => self.apply_alone(&mut item).await?,
                }
                self.in_flight.progress.notify_one();
            }
        }
    }

    /// Applies a batch in one transaction if it can. If an event fails, the batch is split until that event is alone.
    /// After a conflict it is applied in smaller ones.
    async fn apply(&self, batch: &mut [Item], size: &mut BatchSize) -> Result<(), Error> {
        let (topic, mut pieces) = (&*self.in_flight.topic, Pieces::of(batch.len()));
        while let Some(piece) =
            pieces.next(|part| fitting(batch.get(part), size.get())).filter(|_| !self.stop.is_cancelled())
        {
            let Some(items) = batch.get_mut(piece.clone()) else { break };
            let events = items.len();
            if let [item] = items {
                self.apply_alone(item).await?;
                size.committed(1);
                continue;
            }

            let Err(Aborted { fault, suspects }) = self.attempt(items).await else {
                size.committed(events);
                continue;
            };

            match &fault {
                Fault::Store(_) | Fault::SessionChanged(_) => return Err(fault.into_error()),
                Fault::NotShared(_) => {
                    measure::split(topic, "settings");
                    size.conflicted(events);
                    pieces.put_back(piece);
                }
                Fault::Conflict(_) | Fault::Locked(_) => {
                    measure::conflict(topic);
                    measure::split(topic, "conflict");
                    size.conflicted(events);
                    pieces.put_back(piece);
                }
                _ => {
                    measure::split(topic, "failed");
                    pieces.split(piece, &suspects);
                }
            }

            let error = fault.into_error();
            tracing::debug!(target: "outbox.consumer", topic, error = %ErrorChain::new(&error), events, "batch split");
        }
        Ok(())
    }

    async fn apply_alone(&self, item: &mut Item) -> Result<(), Error> {
        match &item.todo {
            Todo::Handle { .. } | Todo::Called { .. } => {}
            Todo::Reject(why) => {
                let failed = Failed::new(FailureKind::Undecodable, why.clone());
                return self.park(item, &failed).await;
            }
            Todo::Hold(why) => return self.park(item, &Failed::new(FailureKind::Unhandled, why.clone())).await,
            Todo::Poison => {
                let why = "the process, or its connection, ended each time this event was handled, alone and several times in a row";
                return self.park(item, &Failed::poison(why)).await;
            }
        }
        match self.attempt_alone(0, item).await {
            Ok(()) => Ok(()),
            Err(fault) => self.settle(item, fault).await,
        }
    }

    async fn attempt_alone(&self, conflicts: u32, item: &mut Item) -> Result<(), Fault> {
        let begun = Instant::now();
        let attempted = async {
            self.call_outside(item).await?;
            self.attempt_after(conflicts, std::slice::from_mut(item)).await.map_err(|aborted| aborted.fault)
        };
        attempted.await.map_err(|fault| fault.after(begun.elapsed(), self.shared.store.lease))
    }

    /// Handles an event whose transaction did not commit.
    async fn settle(&self, item: &mut Item, mut fault: Fault) -> Result<(), Error> {
        let mut conflicts = 0;
        loop {
            match fault {
                Fault::Store(e) | Fault::SessionChanged(e) | Fault::NotShared(e) => return Err(e),
                Fault::Stop(e) => {
                    let (topic, partition) = (&*self.in_flight.topic, self.in_flight.partition);
                    let reason = "the payload is not what the handler's event says";
                    return Err(Error::record(topic, partition, item.offset, reason).caused_by(e));
                }
                Fault::Ended => return Err(self.ended(item.offset)),
                Fault::Event(failed) => {
                    if !self.shared.breaks(&self.in_flight.topic, item.event_type(), &failed).await? {
                        return self.park(item, &failed).await;
                    }
                    if !self.until_resumed(item).await {
                        return Ok(());
                    }
                }
                Fault::Conflict(e) if conflicts >= CONFLICTS => {
                    let failed = Failed::new(FailureKind::Failed, ErrorChain::new(&e).to_string());
                    return self.park(item, &failed).await;
                }
                Fault::Locked(e) if conflicts >= CONFLICTS => return self.park(item, &Failed::locked(&e)).await,
                Fault::Conflict(_) | Fault::Locked(_) => {
                    measure::conflict(&self.in_flight.topic);
                    conflicts += 1;
                    pause_after(conflicts).await;
                }
            }
            match self.attempt_alone(conflicts, item).await {
                Ok(()) => return Ok(()),
                Err(next) => fault = next,
            }
        }
    }

    /// Records that the handler of this event cannot be called again before it is repaired.
    pub fn ended(&self, offset: i64) -> Error {
        Error::record(&self.in_flight.topic, self.in_flight.partition, offset, ENDED)
    }

    /// Keeps an event that failed, as its policy says, and lets the lane continue. An event of a blocked key must wait
    /// in any case.
    async fn park(&self, item: &Item, failed: &Failed) -> Result<(), Error> {
        let Shared { store, slots, .. } = &*self.shared;
        let _slot = slots.acquire().await;
        let doing = |e| Error::store("keep an event that failed", e);
        let disposition = self.shared.disposition(failed, item.route().map(|route| &**route), 1, random());
        let topic = &*self.in_flight.topic;
        let mut client = store.connection().await?;
        let mut tx = store.in_time(client.transaction()).await.map_err(doing)?;
        let begun = {
            let (fence, entry, level) = (self.in_flight.fence, item.entry(), Isolation::ReadCommitted);
            store.begin(&mut tx, fence, topic, &[entry], level, SettingsCheck::Listed).await
        };
        let begun = begun.map_err(doing)?.ok_or_else(Error::fenced)?;
        let is_new = item.id.is_none_or(|id| begun.new.contains(&id));
        let is_behind = item.message.key().is_some_and(|key| begun.blocked.contains(key));

        if is_new {
            // If the key has been freed meanwhile, the event is the first one of it to fail.
            let key = item.message.key().filter(|_| is_behind);
            let is_behind = match key {
                Some(key) => store.keep_blocked(&mut tx, topic, &[key].into()).await.map_err(doing)?,
                None => false,
            };
            let held = self.newly_held(item, if is_behind { behind() } else { disposition });
            store.hold(&mut tx, &held).await.map_err(doing)?;

            if let Some(id) = item.id {
                store.set_state(&mut tx, &[id], held.disposition.state.name()).await.map_err(doing)?;
            }

            measure::held(topic, held.disposition.state);
            self.expect(&held.disposition);
            tracing::warn!(
                target: "outbox.consumer", topic, partition = self.in_flight.partition, offset = item.offset,
                id = item.id.map(tracing::field::display), kind = held.disposition.kind.name(), error = held.disposition.error,
                retry_in = ?held.disposition.next_attempt, "event is {}", held.disposition.state
            );
        }
        self.finish(tx, &[item.offset], Isolation::ReadCommitted).await.map_err(Fault::into_error)
    }
}

/// Returns how many of the first events share a transaction, by their handlers' settings.
fn fitting(items: Option<&[Item]>, most: usize) -> usize {
    let (mut fitting, mut most) = (0, most);
    for item in items.unwrap_or_default() {
        most = most.min(item.route().map_or(usize::MAX, |route| route.max_batch_size()));
        if fitting >= most.max(1) {
            break;
        }
        fitting += 1;
    }
    fitting
}

/// Returns an event that waits behind another one of its key.
pub fn behind() -> Disposition<'static> {
    Disposition {
        state: EventState::Parked,
        blocks: true,
        attempts: 0,
        kind: FailureKind::Behind,
        error: "it waits behind an earlier event of its key",
        next_attempt: None,
    }
}

/// Returns a number from 0 to 1, good enough to spread delays.
pub fn random() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    let bits = RandomState::new().hash_one(0_u8);
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let random = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    random
}

impl Lane {
    /// Returns whether more work may share the transaction of events before it.
    fn is_batched(&self, work: &Work) -> bool {
        let Work::Event(item) = work else { return false };
        item.is_batched() && !self.shared.pauses.is_paused(&self.in_flight.topic, item.event_type())
    }

    /// Waits until events of this type are not paused. False if the lane is to stop: the event stays open.
    async fn until_resumed(&self, item: &Item) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = self.shared.pauses.until_resumed(&self.in_flight.topic, item.event_type()) => true,
        }
    }

    /// Schedules a poll for the time of the next attempt.
    pub fn expect(&self, disposition: &Disposition<'_>) {
        if let Some(delay) = disposition.next_attempt {
            self.shared.upkeep.due_in(delay);
        }
    }

    pub fn prefix(&self) -> std::sync::MutexGuard<'_, crate::protocol::OffsetTracker> {
        self.in_flight.prefix.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
