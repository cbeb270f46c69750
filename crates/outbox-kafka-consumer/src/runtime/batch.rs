use std::collections::BTreeSet;
use std::time::Instant;

use super::failed::{Aborted, Fault};
use super::item::Item;
use super::lane::{Lane, behind};
use super::measure;
use super::session::Calls;
use crate::store::{CommitError, Connection, Disposition, Entry, NewlyHeld, PgError, Transaction};
use crate::{Error, EventState, Isolation};

impl Lane {
    /// Runs one transaction: the events are taken into the inbox, those that are new and whose key is free are handled,
    /// the others of a blocked key are parked; the fence; COMMIT.
    pub async fn attempt(&self, items: &mut [Item]) -> Result<(), Aborted> {
        self.attempt_after(0, items).await
    }

    /// Makes an [`attempt`](Self::attempt) after this number of conflicts.
    pub async fn attempt_after(&self, conflicts: u32, items: &mut [Item]) -> Result<(), Aborted> {
        let _slot = self.shared.slots.acquire().await;
        let _turn = self.turn(conflicts).await;
        let mut client = self.shared.store.connection().await.map_err(Fault::Store)?;
        match self.attempt_on(&mut client, items).await {
            Ok(()) => Ok(()),
            Err(Aborted { fault, suspects }) => Err(Aborted { fault: self.clean_up(client, fault).await, suspects }),
        }
    }

    /// Runs the transaction on a connection, which the caller cleans up after a failure.
    async fn attempt_on(&self, client: &mut Connection, items: &mut [Item]) -> Result<(), Aborted> {
        let (store, isolation) = (&self.shared.store, self.shared.options.isolation);
        let begun = Instant::now();
        let started = store.in_time(client.transaction()).await;
        let mut tx = started.map_err(|e| Fault::of_store("begin a transaction", e))?;
        let entries: Vec<Entry> = items.iter().map(Item::entry).collect();
        let check = self.settings_check(items);
        let taken = store.begin(&mut tx, self.in_flight.fence, &self.in_flight.topic, &entries, isolation, check).await;
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
        let mut calls = Calls::of(items, &fresh, check);
        let of = |places: &[usize]| places.iter().filter_map(|&index| items.get(index)).collect();
        let (handled, parked): (Vec<&Item>, Vec<&Item>) = (of(&fresh), of(&parked));
        if !parked.is_empty() && !handled.is_empty() {
            calls.changed = self.after_handlers(&mut tx, check).await?;
            self.check_shared(&calls)?;
        }

        let is_parked = self.park_behind(&mut tx, &parked).await;
        if !is_parked.map_err(|e| Fault::of_store("park events behind their key", e))? {
            return Err(Fault::freed().into());
        }

        let offsets: Vec<i64> = items.iter().map(|item| item.offset).collect();
        let remained = self.finish_handled(tx, &offsets, isolation, calls).await?;
        handled.iter().for_each(|item| self.shared.succeeded(&self.in_flight.topic, item.event_type()));
        measure::batch(&self.in_flight.topic, handled.len() as u64, duplicates, begun.elapsed());
        Ok(self.check_session(&handled, check, &remained)?)
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

    /// Cleans the connection after a failed attempt.
    pub async fn clean_up(&self, mut client: Connection, fault: Fault) -> Fault {
        match fault {
            // Settings that the handler changed after its COMMIT or ROLLBACK cannot be distinguished from earlier
            // values, and after a store fault the connection may only seem to be open.
            Fault::Ended | Fault::Store(_) => client.discard(),
            // The settings are restored, but other changes by the handler are not known.
            Fault::SessionChanged(_) => client.discard(),
            _ if client.is_unclean() => client.discard(),
            // A rollback undoes everything else.
            _ => self.shared.store.unlock(&mut client).await,
        }
        fault
    }

    /// Commits a transaction without calls of handlers. The position follows later.
    pub async fn finish(&self, tx: Transaction<'_>, offsets: &[i64], isolation: Isolation) -> Result<(), Fault> {
        self.finish_handled(tx, offsets, isolation, Calls::default()).await.map(drop)
    }

    /// Commits as [`finish`](Self::finish) does, after these calls of handlers. Returns the settings that they have
    /// changed for longer than the transaction; the session has its own ones back.
    pub async fn finish_handled(
        &self,
        tx: Transaction<'_>,
        offsets: &[i64],
        isolation: Isolation,
        calls: Calls,
    ) -> Result<Vec<String>, Fault> {
        let remained = self.commit(tx, isolation, calls).await?;
        self.prefix().committed(offsets);
        Ok(remained)
    }

    /// Checks the lease again, commits, and resets the settings that handlers changed. Returns the names of those that
    /// would have outlived the transaction.
    async fn commit(
        &self,
        mut tx: Transaction<'_>,
        isolation: Isolation,
        mut calls: Calls,
    ) -> Result<Vec<String>, Fault> {
        let store = &self.shared.store;
        let closed = store.close_guard(&mut tx, self.in_flight.fence, isolation, calls.check).await;
        let changed = closed.map_err(|e| Fault::after_handlers("close the guard", e))?;
        calls.changed.extend(changed.ok_or_else(|| Fault::Store(Error::fenced()))?);
        self.check_shared(&calls)?;

        let committed = if calls.changed.is_empty() {
            store.commit(tx).await.map(|()| Vec::new())
        } else {
            store.commit_and_reset(tx, &calls.changed).await
        };
        let remained = committed.map_err(|e| match e {
            CommitError::NotCommitted(e) => Fault::of_commit(e),
            // Position and inbox are read again before anything else is done.
            CommitError::Unknown(e) => Fault::of_store("report whether it has committed", e),
        })?;
        self.note_settings(&calls.changed, &remained);
        Ok(remained)
    }
}
