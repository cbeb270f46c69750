use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::failed::{Aborted, Failed, Fault};
use super::item::Item;
use super::lane::{Lane, behind};
use super::measure;
use crate::protocol::FailureKind;
use crate::store::{Connection, Disposition, Entry, NewlyHeld, PgError, Transaction};
use crate::{Error, EventState, Isolation};

impl Lane {
    /// Runs one transaction: the events are taken into the inbox, those that are new and whose key is free are handled,
    /// the others of a blocked key are parked; the fence; COMMIT.
    pub async fn attempt(&self, items: &mut [Item]) -> Result<(), Aborted> {
        self.attempt_after(0, items).await
    }

    /// Makes an [`attempt`](Self::attempt) after that many conflicts.
    pub async fn attempt_after(&self, conflicts: u32, items: &mut [Item]) -> Result<(), Aborted> {
        let _slot = self.shared.slots.acquire().await;
        let _turn = self.turn(conflicts).await;
        let mut client = self.shared.store.connection().await.map_err(Fault::Store)?;
        match self.attempt_on(&mut client, items).await {
            Ok(()) => Ok(()),
            Err(Aborted { fault, suspects }) => Err(Aborted { fault: self.clean_up(client, fault).await, suspects }),
        }
    }

    async fn attempt_on(&self, client: &mut Connection, items: &mut [Item]) -> Result<(), Aborted> {
        let (store, isolation) = (&self.shared.store, self.shared.options.isolation);
        let begun = Instant::now();
        let started = store.in_time(client.transaction()).await;
        let mut tx = started.map_err(|e| Fault::of_store("begin a transaction", e))?;
        let entries: Vec<Entry> = items.iter().map(Item::entry).collect();
        let taken = store.begin(&mut tx, self.in_flight.fence, &self.in_flight.topic, &entries, isolation).await;
        let taken = taken.map_err(|e| Fault::of_store("take events into the inbox", e))?;
        let mut taken = taken.ok_or_else(|| Fault::Store(Error::fenced()))?;
        let (mut fresh, mut parked, mut duplicates) = (Vec::new(), Vec::new(), 0);
        for (index, item) in items.iter().enumerate() {
            if !item.id.is_some_and(|id| taken.new.remove(&id)) {
                duplicates += 1;
            } else if item.message.key().is_some_and(|key| taken.blocked.contains(key)) {
                parked.push(index);
            } else {
                fresh.push(index);
            }
        }

        tx = self.handle(tx, items, &fresh).await?;
        let (handled, parked) = (fresh.len() as u64, parked.iter().filter_map(|&index| items.get(index)));
        let parked: Vec<&Item> = parked.collect();
        if !parked.is_empty() && handled > 0 {
            let changed = self.after_handlers(&mut tx).await?;
            self.check_shared(&changed, items.len())?;
        }

        let is_parked = self.park_behind(&mut tx, &parked).await;
        if !is_parked.map_err(|e| Fault::of_store("park events behind their key", e))? {
            return Err(Fault::freed().into());
        }

        let offsets: Vec<i64> = items.iter().map(|item| item.offset).collect();
        self.finish(tx, &offsets, isolation).await?;
        fresh.iter().filter_map(|&index| items.get(index)).for_each(|item| {
            self.shared.succeeded(&self.in_flight.topic, item.event_type());
        });
        measure::batch(&self.in_flight.topic, handled, duplicates, begun.elapsed());
        Ok(())
    }

    /// Returns whether the keys are still blocked.
    async fn park_behind(&self, tx: &mut Transaction<'_>, parked: &[&Item]) -> Result<bool, PgError> {
        let ids: Vec<_> = parked.iter().filter_map(|item| item.id).collect();
        if ids.is_empty() {
            return Ok(true);
        }

        let store = &self.shared.store;
        let keys: BTreeSet<&[u8]> = parked.iter().filter_map(|item| item.message.key()).collect();
        if !store.keep_blocked(tx, &self.in_flight.topic, &keys).await? {
            return Ok(false);
        }
        store.set_state(tx, &ids, EventState::Parked.name()).await?;
        for item in parked {
            let held = self.newly_held(item, behind());
            store.hold(tx, &held).await?;
            measure::held(&self.in_flight.topic, EventState::Parked);
        }
        Ok(true)
    }

    pub fn newly_held<'a>(&'a self, item: &'a Item, disposition: Disposition<'a>) -> NewlyHeld<'a> {
        NewlyHeld {
            topic: &self.in_flight.topic,
            message: &item.message,
            partition: self.in_flight.partition,
            offset: item.offset,
            id: item.id,
            event_type: item.event_type.as_deref(),
            disposition,
        }
    }

    /// Restores the session after handlers, before the consumer's own statements. Returns the names of the settings
    /// that were changed.
    pub async fn after_handlers(&self, tx: &mut Transaction<'_>) -> Result<Vec<String>, Fault> {
        let restored = self.shared.store.after_handlers(tx).await;
        restored.map_err(|e| Fault::after_handlers("restore the session", e))?.ok_or(Fault::Ended)
    }

    /// Checks that no handler of a batch has changed the session that they share. Otherwise the events run again, and an
    /// event whose handler changes settings gets its own transaction.
    fn check_shared(&self, changed: &[String], events: usize) -> Result<(), Fault> {
        if changed.is_empty() || events == 1 {
            return Ok(());
        }
        let settings = changed.join(", ");
        if !self.in_flight.has_changed_settings.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: "outbox.consumer", topic = &*self.in_flight.topic, partition = self.in_flight.partition, settings,
                "handler changes settings of its session: its events run one by one, unless it sets them back"
            );
        }
        let error = format!("a handler of the batch changed {settings}");
        Err(Fault::Event(Failed::new(FailureKind::Failed, error)))
    }

    /// Leaves nothing of a failed attempt in the connection.
    pub async fn clean_up(&self, mut client: Connection, fault: Fault) -> Fault {
        match fault {
            // What the handler set after its COMMIT or ROLLBACK cannot be distinguished from earlier values, and after
            // a store fault the connection may only seem to be open.
            Fault::Ended | Fault::Store(_) => client.discard(),
            _ if client.is_unclean() => client.discard(),
            // A rollback undoes everything else.
            _ => self.shared.store.unlock(&mut client).await,
        }
        fault
    }

    /// Commits. The position follows later.
    pub async fn finish(&self, tx: Transaction<'_>, offsets: &[i64], isolation: Isolation) -> Result<(), Fault> {
        self.commit(tx, offsets.len(), isolation).await?;
        self.prefix().committed(offsets);
        Ok(())
    }

    async fn commit(&self, mut tx: Transaction<'_>, events: usize, isolation: Isolation) -> Result<(), Fault> {
        let closed = self.shared.store.close_guard(&mut tx, self.in_flight.fence, isolation).await;
        let changed = closed.map_err(|e| Fault::after_handlers("close the guard", e))?;
        self.check_shared(&changed.ok_or_else(|| Fault::Store(Error::fenced()))?, events)?;
        match self.shared.store.in_time(tx.commit()).await {
            Ok(()) => Ok(()),
            // PostgreSQL has not committed, because of a deferred constraint or a foreign server, for example.
            Err(e) if e.is_rejected_commit() => Err(Fault::of_commit(e)),
            // Whether it has is not known: position and inbox are read again before anything else is done.
            Err(e) => Err(Fault::of_store("report whether it has committed", e)),
        }
    }
}
