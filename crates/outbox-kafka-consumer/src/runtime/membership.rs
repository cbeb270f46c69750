use outbox_net::ErrorChain;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use outbox_core::uuid::Uuid;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::discovery::Found;
use super::partition::Partition;
use super::{Shared, TopicPartition, measure};
use crate::Error;
use crate::protocol::{LeaseClock, PartitionLease, assign};
use crate::store::Connection;

/// Keeps the leases: claims its share, renews leases, releases them, and drops those that it has lost. It has a
/// separate connection, so that neither a long handler nor an exhausted pool can delay it.
pub struct Membership {
    shared: Arc<Shared>,
    owner: Uuid,
    topics: Vec<String>,
    handles: Vec<String>,
    found: watch::Receiver<Found>,
    /// The topics whose first number of partitions is in the store.
    subscribed: BTreeSet<String>,
    client: Option<Connection>,
    /// Whether the group has registered this consumer.
    is_member: bool,
    clock: LeaseClock,
    began: Instant,
    owned: HashMap<TopicPartition, Owned>,
    workers: JoinSet<()>,
    workers_places: HashMap<Id, TopicPartition>,
}

struct Owned {
    stop: CancellationToken,
    abort: AbortHandle,
}

impl Membership {
    pub fn new(shared: Arc<Shared>, found: watch::Receiver<Found>) -> Self {
        Self {
            topics: shared.registry.topics().into_iter().map(str::to_owned).collect(),
            owner: Uuid::now_v7(),
            handles: shared.registry.handles(),
            found,
            subscribed: BTreeSet::new(),
            client: None,
            is_member: false,
            clock: LeaseClock::new(shared.store.lease, Duration::ZERO),
            began: Instant::now(),
            owned: HashMap::new(),
            workers: JoinSet::new(),
            workers_places: HashMap::new(),
            shared,
        }
    }

    /// Renews the leases and starts and stops the workers of partitions until `stop`, then releases all of them.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let pause = (self.shared.store.lease / 8).min(Duration::from_millis(500));
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            checked = self.check_setup(pause) => checked?,
        }

        let mut next = self.began;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.workers.join_next_with_id() => {
                    if let Some(place) = self.ended(ended).await {
                        self.shared.forget_stopped(&place);
                    }
                }
                Ok(()) = self.found.changed() => next = Instant::now(),
                () = sleep_until(next) => {
                    self.tick().await;
                    next = Instant::now() + pause;
                }
            }
        }

        self.close().await;
        Ok(())
    }

    /// Checks the tables as soon as the store answers.
    async fn check_setup(&self, pause: Duration) -> Result<(), Error> {
        let store = &self.shared.store;
        loop {
            let checked = timeout(store.lease / 3, store.check_setup()).await;
            match checked.unwrap_or_else(|e| Err(Error::store("answer in time", e))) {
                Err(e) if !e.is_setup() => {
                    tracing::warn!(target: "outbox.consumer", error = %ErrorChain::new(&e), "cannot check the consumer's tables, retrying");
                    sleep(pause).await;
                }
                checked => return checked,
            }
        }
    }

    /// Renews the leases that are due, and claims or releases partitions by the shares.
    async fn tick(&mut self) {
        let patience = self.shared.store.lease / 3;
        let worked = timeout(patience, self.keep()).await;
        let worked = worked.unwrap_or_else(|e| Err(Error::store("answer in time", e)));
        if let Err(e) = worked {
            tracing::warn!(target: "outbox.consumer", error = %ErrorChain::new(&e), "leases not renewed");
            self.client = None;
            self.shared.store.discard_idle();
        }

        if self.clock.is_lost(self.began.elapsed()) {
            for (place, owned) in self.owned.drain() {
                tracing::warn!(target: "outbox.consumer", topic = place.0, partition = place.1, "lease expired: releasing the partition");
                measure::lease("lost");
                owned.abort.abort();
                self.shared.forget_stopped(&place);
            }
        }
    }

    /// Does one round of the membership: renews the leases, registers new partitions, and claims or releases leases by
    /// the fair shares.
    async fn keep(&mut self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let store = &shared.store;
        if self.client.as_ref().is_none_or(|client| client.is_closed()) {
            self.client = Some(store.own_connection().await?);
        }

        let Some(client) = &mut self.client else { return Ok(()) };
        let begun = self.began.elapsed();
        if !self.is_member || self.clock.is_due(begun) {
            let still = store.renew(client, self.owner, &self.topics, &self.handles).await?;
            self.is_member = true;
            self.clock.renewed(begun);

            self.owned.retain(|place, owned| {
                let is_ours = still.contains(place);
                if !is_ours {
                    tracing::warn!(target: "outbox.consumer", topic = place.0, partition = place.1, "lease taken by another consumer");
                    measure::lease("lost");
                    owned.abort.abort();
                    shared.forget_stopped(place);
                }
                is_ours
            });
        }

        let mut survey = store.survey(client, &self.topics).await?;
        let known: BTreeSet<TopicPartition> =
            survey.seats.iter().map(|seat| (seat.topic.clone(), seat.partition)).collect();
        shared.ignored.learn(std::mem::take(&mut survey.handles));
        let Found { places: existing, partitions, settled } = self.found.borrow().clone();
        let first: BTreeMap<String, i32> =
            partitions.into_iter().filter(|(topic, _)| !self.subscribed.contains(topic)).collect();
        if !first.is_empty() {
            store.subscribe(client, &first).await?;
            self.subscribed.extend(first.into_keys());
        }

        let missing: BTreeSet<TopicPartition> = existing.difference(&known).cloned().collect();
        if !missing.is_empty() {
            store.add_seats(client, &missing).await?;
            survey = store.survey(client, &self.topics).await?;
        }

        let is_gone =
            |seat: &PartitionLease| settled.get(&seat.topic).is_some_and(|partitions| seat.partition >= *partitions);

        if survey.seats.iter().any(is_gone) {
            store.forget_partitions(client, self.owner, &settled).await?;
        }

        // To open such a partition could create the topic again.
        survey.seats.retain(|seat| existing.contains(&(seat.topic.clone(), seat.partition)));
        let shares = assign(&survey.seats, &survey.members);
        for (place, owned) in &self.owned {
            let is_another_ones = shares.get(place).is_some_and(|owner| *owner != self.owner);
            if is_another_ones || !existing.contains(place) {
                owned.stop.cancel();
            }
        }

        let is_free = |place: &TopicPartition| {
            let seat = survey.seats.iter().find(|seat| seat.topic == place.0 && seat.partition == place.1);
            seat.is_some_and(|seat| seat.owner.is_none_or(|owner| owner == self.owner))
        };
        let wanted: Vec<TopicPartition> = shares
            .iter()
            .filter(|(place, owner)| {
                **owner == self.owner
                    && !self.owned.contains_key(*place)
                    && is_free(place)
                    && !self.workers_places.values().any(|busy| busy == *place)
            })
            .map(|(place, _)| place.clone())
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }

        let claimed = store.claim(client, self.owner, &wanted).await?;
        if self.owned.is_empty() {
            self.clock.renewed(begun);
        }
        for claim in claimed {
            tracing::info!(
                target: "outbox.consumer", topic = claim.topic, partition = claim.partition,
                was_abandoned = claim.was_abandoned, "partition claimed"
            );
            measure::lease("claimed");
            let place = (claim.topic, claim.partition);
            let stop = CancellationToken::new();
            let partition = Partition::new(Arc::clone(&shared), &place, self.owner, claim.was_abandoned);
            let abort = self.workers.spawn(partition.run(stop.clone()));
            self.workers_places.insert(abort.id(), place.clone());
            self.owned.insert(place, Owned { stop, abort });
        }

        Ok(())
    }

    /// Frees the lease of a partition whose work has ended. Returns the partition, if it was still
    /// owned.
    async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) -> Option<TopicPartition> {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(e) => e.id(),
        };
        let place = self.workers_places.remove(&id)?;
        if self.owned.get(&place).is_none_or(|owned| owned.abort.id() != id) {
            return None;
        }

        self.owned.remove(&place);
        if let Err(e) = ended {
            tracing::error!(target: "outbox.consumer", topic = place.0, partition = place.1, error = %e, "task of a partition ended");
        }
        self.give_back(&place).await;
        Some(place)
    }

    async fn give_back(&mut self, place: &TopicPartition) {
        let Some(client) = &mut self.client else { return };
        let store = &self.shared.store;
        let given = timeout(store.lease / 3, store.give_back(client, self.owner, place)).await;
        match given.unwrap_or_else(|e| Err(Error::store("answer in time", e))) {
            Ok(()) => measure::lease("given back"),
            Err(e) => {
                tracing::warn!(target: "outbox.consumer", error = %ErrorChain::new(&e), "lease not released: it expires");
            }
        }
    }

    /// Lets the handlers finish for a bounded time, then releases all leases.
    async fn close(mut self) {
        for owned in self.owned.values() {
            owned.stop.cancel();
        }

        let deadline = Instant::now() + self.shared.options.shutdown_timeout;
        while !self.workers.is_empty() {
            tokio::select! {
                Some(ended) = self.workers.join_next_with_id() => drop(self.ended(ended).await),
                () = sleep_until(deadline) => {
                    tracing::warn!(target: "outbox.consumer", "handlers did not finish in time and are rolled back");
                    self.workers.shutdown().await;
                }
            }
        }

        let left: Vec<TopicPartition> = self.owned.drain().map(|(place, _)| place).collect();
        for place in left {
            self.give_back(&place).await;
        }
        if let Some(client) = &mut self.client {
            let left = timeout(self.shared.store.lease / 3, self.shared.store.leave(client, self.owner)).await;
            if let Ok(Err(e)) = left {
                tracing::debug!(target: "outbox.consumer", error = %ErrorChain::new(&e), "member not removed: it expires with its lease");
            }
        }
    }
}
