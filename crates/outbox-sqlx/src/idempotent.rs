use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outbox_core::{Enqueued, Error, OnDuplicate, Outbox, OutboxEvent};
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use crate::SqlxOutbox;
use crate::store::stored;

/// An outbox that recognises a repeated event by its id, so that enqueue may be repeated.
///
/// The INSERT ends in a bare `ON CONFLICT DO NOTHING`, so that the caller's transaction continues and no privilege
/// beyond INSERT is needed. An id is recognised as long as its row is kept, in
/// [`DeleteOnInsertKeepIds`](outbox_core::RowLife::DeleteOnInsertKeepIds) as long as the id is.
#[derive(Clone, Debug)]
pub struct IdempotentOutbox {
    outbox: SqlxOutbox,
    repeated: OnDuplicate,
    /// Whether the table is known to have a unique id, for all clones.
    is_unique: Arc<AtomicBool>,
}

impl SqlxOutbox {
    /// Returns the same outbox, which recognises repeated events.
    ///
    /// # Errors
    /// [`is_configuration`](Error::is_configuration): in
    /// [`RowLife::DeleteOnInsert`](outbox_core::RowLife::DeleteOnInsert) no id is kept by which an event could be
    /// recognised.
    pub fn idempotent(self, repeated: OnDuplicate) -> Result<IdempotentOutbox, Error> {
        self.pipeline().layout().remembers_ids()?;
        Ok(IdempotentOutbox { outbox: self, repeated, is_unique: Arc::default() })
    }
}

impl IdempotentOutbox {
    /// Adds one event to the transaction, unless it is there already.
    ///
    /// If another transaction has enqueued the same id and not ended, this waits for its end.
    ///
    /// # Errors
    /// See [`SqlxOutbox`].
    pub async fn enqueue(&self, tx: &mut Transaction<'_, Postgres>, event: &OutboxEvent) -> Result<Enqueued, Error> {
        self.expect_unique_id(tx).await?;
        let added = self.outbox.insert_one(tx, self.outbox.insert().one_if_new(), event).await?;
        self.repeated.resolve(added)
    }

    /// Adds the events that the outbox does not have, in their order, and returns their number.
    ///
    /// # Errors
    /// See [`SqlxOutbox`]. If repeated events are refused, the others are part of the transaction.
    pub async fn enqueue_all(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        events: &[OutboxEvent],
    ) -> Result<usize, Error> {
        self.expect_unique_id(tx).await?;
        let added = self.outbox.insert_many(tx, self.outbox.insert().many_if_new(), events).await?;
        self.repeated.resolve_all(added, events.len())
    }

    /// Checks that ids are unique. Without an index, `ON CONFLICT DO NOTHING` would store an event twice without an
    /// error.
    async fn expect_unique_id(&self, tx: &mut Transaction<'_, Postgres>) -> Result<(), Error> {
        if !self.is_unique.load(Ordering::Relaxed) {
            let query = sqlx::query_scalar(AssertSqlSafe(self.outbox.insert().has_unique_id())).persistent(false);
            let is_unique = query.fetch_one(&mut **tx).await.map_err(stored)?;
            self.outbox.pipeline().layout().expect_unique_id(is_unique)?;
            self.is_unique.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl<'r, 't> Outbox<&'r mut Transaction<'t, Postgres>> for IdempotentOutbox {
    async fn enqueue(&self, tx: &'r mut Transaction<'t, Postgres>, event: &OutboxEvent) -> Result<(), Error> {
        Self::enqueue(self, tx, event).await.map(drop)
    }

    async fn enqueue_all(&self, tx: &'r mut Transaction<'t, Postgres>, events: &[OutboxEvent]) -> Result<(), Error> {
        Self::enqueue_all(self, tx, events).await.map(drop)
    }
}
