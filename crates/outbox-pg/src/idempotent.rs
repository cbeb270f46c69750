use outbox_core::{Error, Outbox, OutboxEvent, RowLife};
use tokio_postgres::Transaction;

use crate::PgOutbox;
use crate::enqueue::already_enqueued;

/// An outbox that knows an event that it has already, by its id: enqueue may be run again.
///
/// The INSERT ends in a bare `ON CONFLICT DO NOTHING`, so that the caller's transaction lives on and no right beyond
/// INSERT is needed. An id is known as long as its row is kept, in
/// [`VanishKeepingIds`](RowLife::VanishKeepingIds) as long as the id is.
#[derive(Clone, Debug)]
pub struct IdempotentOutbox {
    outbox: PgOutbox,
    repeated: Repeated,
}

/// What an [`IdempotentOutbox`] makes of an event that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repeated {
    /// [`Enqueued::AlreadyEnqueued`], and nothing else happens.
    #[default]
    Accept,
    /// An error of [`Error::is_already_enqueued`]. The transaction goes on.
    Refuse,
}

/// What enqueue did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enqueued {
    /// The event is part of the transaction.
    Enqueued,
    /// An event with this id was there; nothing was added.
    AlreadyEnqueued,
}

impl PgOutbox {
    /// The same outbox, which knows events that it has already.
    ///
    /// # Errors
    /// [`is_configuration`](crate::Error::is_configuration): in [`RowLife::Vanish`] no id is kept to know an event by.
    pub fn idempotent(self, repeated: Repeated) -> Result<IdempotentOutbox, crate::Error> {
        if self.pipeline().layout().row_life() == RowLife::Vanish {
            let reason = "an event enqueued again cannot be known, since its row has vanished: \
                          choose RowLife::VanishKeepingIds, or RowLife::Keep";
            return Err(crate::Error::configuration(reason));
        }
        Ok(IdempotentOutbox { outbox: self, repeated })
    }
}

impl IdempotentOutbox {
    /// Adds one event to the transaction, in one round trip, unless it is there already.
    ///
    /// Where another transaction has enqueued the same id and not ended, this waits for its end.
    ///
    /// # Errors
    /// See [`PgOutbox`].
    pub async fn enqueue(&self, tx: &Transaction<'_>, event: &OutboxEvent) -> Result<Enqueued, Error> {
        match (self.outbox.insert_one(tx, &self.outbox.insert().one_if_new, event).await?, self.repeated) {
            (1, _) => Ok(Enqueued::Enqueued),
            (_, Repeated::Accept) => Ok(Enqueued::AlreadyEnqueued),
            (_, Repeated::Refuse) => Err(already_enqueued()),
        }
    }

    /// Adds those events that are not there already, in their order; says how many these were.
    ///
    /// # Errors
    /// See [`PgOutbox`]. Where repeated events are refused, the others are part of the transaction.
    pub async fn enqueue_all(&self, tx: &Transaction<'_>, events: &[OutboxEvent]) -> Result<usize, Error> {
        let added = self.outbox.insert_many(tx, &self.outbox.insert().many_if_new, events).await?;
        let added = usize::try_from(added).unwrap_or(events.len());
        if added < events.len() && self.repeated == Repeated::Refuse { Err(already_enqueued()) } else { Ok(added) }
    }
}

impl<'r, 't> Outbox<&'r Transaction<'t>> for IdempotentOutbox {
    async fn enqueue(&self, tx: &'r Transaction<'t>, event: &OutboxEvent) -> Result<(), Error> {
        Self::enqueue(self, tx, event).await.map(drop)
    }

    async fn enqueue_all(&self, tx: &'r Transaction<'t>, events: &[OutboxEvent]) -> Result<(), Error> {
        Self::enqueue_all(self, tx, events).await.map(drop)
    }
}

impl<'r, 't> Outbox<&'r deadpool_postgres::Transaction<'t>> for IdempotentOutbox {
    async fn enqueue(&self, tx: &'r deadpool_postgres::Transaction<'t>, event: &OutboxEvent) -> Result<(), Error> {
        Self::enqueue(self, tx, event).await.map(drop)
    }

    async fn enqueue_all(
        &self,
        tx: &'r deadpool_postgres::Transaction<'t>,
        events: &[OutboxEvent],
    ) -> Result<(), Error> {
        Self::enqueue_all(self, tx, events).await.map(drop)
    }
}
