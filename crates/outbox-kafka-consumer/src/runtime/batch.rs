use std::time::Instant;

use deadpool_postgres::Transaction;
use deadpool_postgres::tokio_postgres::error::SqlState;

use super::failed::{Aborted, Fault};
use super::item::Item;
use super::lane::{Lane, behind};
use super::measure;
use crate::Error;
use crate::protocol::is_rejected_commit;
use crate::store::{Entry, Fate, NewlyHeld};

impl Lane {
    /// One transaction: the events are taken into the inbox, those that are new and whose key is free are handled, the
    /// others of a blocked key are parked; the fence; COMMIT.
    pub(super) async fn attempt(&self, items: &mut [Item]) -> Result<(), Aborted> {
        let store = &self.shared.store;
        let _slot = self.shared.slots.acquire().await;
        let begun = Instant::now();
        let mut client = store.connection().await.map_err(Fault::Store)?;
        let mut tx = client.transaction().await.map_err(|e| Fault::of_store("begin a transaction", e))?;
        let entries: Vec<Entry> = items.iter().map(Item::entry).collect();
        let taken = store.begin(&tx, self.dealt.fence, &self.dealt.topic, &entries).await;
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
        if !parked.is_empty() && handled > 0 && store.has_ended(&tx).await {
            return Err(Fault::Ended.into());
        }
        self.park_behind(&tx, &parked).await.map_err(|e| Fault::after_handlers("park events behind their key", e))?;
        let offsets: Vec<i64> = items.iter().map(|item| item.offset).collect();
        self.finish(tx, &offsets).await?;
        fresh.iter().filter_map(|&index| items.get(index)).for_each(|item| {
            self.shared.succeeded(&self.dealt.topic, item.event_type());
        });
        measure::batch(&self.dealt.topic, handled, duplicates, begun.elapsed());
        Ok(())
    }

    async fn park_behind(
        &self,
        tx: &Transaction<'_>,
        parked: &[&Item],
    ) -> Result<(), deadpool_postgres::tokio_postgres::Error> {
        let ids: Vec<_> = parked.iter().filter_map(|item| item.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let store = &self.shared.store;
        store.set_state(tx, &ids, "parked").await?;
        for item in parked {
            let held = self.newly_held(item, behind());
            store.hold(tx, &held).await?;
            measure::held(&self.dealt.topic, "parked");
        }
        Ok(())
    }

    pub(super) fn newly_held<'a>(&'a self, item: &'a Item, fate: Fate<'a>) -> NewlyHeld<'a> {
        NewlyHeld {
            topic: &self.dealt.topic,
            message: &item.message,
            partition: self.dealt.partition,
            offset: item.offset,
            id: item.id,
            event_type: item.event_type.as_deref(),
            fate,
        }
    }

    /// Commits. The position follows later.
    pub(super) async fn finish(&self, tx: Transaction<'_>, offsets: &[i64]) -> Result<(), Fault> {
        self.commit(tx).await?;
        self.prefix().committed(offsets);
        Ok(())
    }

    async fn commit(&self, tx: Transaction<'_>) -> Result<(), Fault> {
        match self.shared.store.close_guard(&tx).await {
            Ok(()) => {}
            Err(e) if e.code() == Some(&SqlState::INVALID_CURSOR_NAME) => return Err(Fault::Ended),
            Err(e) => return Err(Fault::after_handlers("close the guard", e)),
        }
        match tx.commit().await {
            Ok(()) => Ok(()),
            // PostgreSQL has not committed, because of a deferred constraint or a foreign server, for example.
            Err(e) if is_rejected_commit(&e) => Err(Fault::of_commit(e)),
            // Whether it has is not known: position and inbox are read again before anything else is done.
            Err(e) => Err(Fault::of_store("tell whether it has committed", e)),
        }
    }
}

/// What a handler did that ended its transaction.
pub(super) const ENDED: &str = "the handler ended its transaction by COMMIT or ROLLBACK, which only the consumer may: \
     remove that from the handler. Nothing of the transaction is stored";

impl Fault {
    /// For what has no event to blame.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Store(e) | Self::Conflict(e) => e,
            Self::Event(failed) => Error::store("keep an event that failed", failed.error),
            Self::Stop(e) => Error::store("keep an event that failed", e),
            Self::Ended => Error::store("keep a transaction", ENDED),
        }
    }
}
