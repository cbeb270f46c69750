use crate::{Error, RowLife, StoreFault, TableLayout};

/// What an idempotent outbox makes of an event that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repeated {
    /// [`Enqueued::AlreadyEnqueued`], and nothing else happens.
    #[default]
    Accept,
    /// An error of [`Error::is_already_enqueued`]. The transaction goes on.
    Refuse,
}

/// What an idempotent enqueue did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enqueued {
    /// The event is part of the transaction.
    Enqueued,
    /// An event with this id was there; nothing was added.
    AlreadyEnqueued,
}

impl Repeated {
    /// For implementations of [`Outbox`](crate::Outbox): what the number of added rows says of one event.
    ///
    /// # Errors
    /// It was there, and that is refused.
    pub fn of_one(self, added: u64) -> Result<Enqueued, Error> {
        match self.of_many(added, 1)? {
            0 => Ok(Enqueued::AlreadyEnqueued),
            _ => Ok(Enqueued::Enqueued),
        }
    }

    /// For implementations of [`Outbox`](crate::Outbox): how many of the events were added.
    ///
    /// # Errors
    /// Some were there, and that is refused.
    pub fn of_many(self, added: u64, events: usize) -> Result<usize, Error> {
        let added = usize::try_from(added).unwrap_or(events);
        if added < events && self == Self::Refuse {
            let cause = "PostgreSQL added fewer rows than there are events";
            return Err(Error::store(StoreFault::AlreadyEnqueued, cause));
        }
        Ok(added)
    }
}

impl TableLayout {
    /// Whether an event that is enqueued again can be known.
    ///
    /// # Errors
    /// [`is_configuration`](Error::is_configuration): in [`RowLife::Vanish`] no id is kept to know an event by.
    pub fn remembers_ids(&self) -> Result<(), Error> {
        if self.row_life() == RowLife::Vanish {
            let reason = "an event enqueued again cannot be known, since its row has vanished: \
                          choose RowLife::VanishKeepingIds, or RowLife::Keep";
            return Err(Error::layout("id", reason));
        }
        Ok(())
    }
}
