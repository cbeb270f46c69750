use crate::{Error, EventField, RowLife, StoreFault, TableLayout};

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
    /// [`is_configuration`](Error::is_configuration): in [`RowLife::Vanish`] and [`RowLife::Message`] no id is kept to know an
    /// event by.
    pub fn remembers_ids(&self) -> Result<(), Error> {
        let reason = match self.row_life() {
            RowLife::Vanish => {
                "an event enqueued again cannot be known, because its row has vanished: \
                 choose RowLife::VanishKeepingIds, or RowLife::Keep"
            }
            RowLife::Message => {
                "an event enqueued again cannot be known, because there is no table: \
                 choose RowLife::VanishKeepingIds, or RowLife::Keep"
            }
            RowLife::Keep | RowLife::KeepInPartitions | RowLife::VanishKeepingIds => return Ok(()),
        };
        Err(Error::layout("id", reason))
    }

    /// For implementations of [`Outbox`](crate::Outbox): what the answer of
    /// [`InsertSql::has_unique_id`](crate::InsertSql::has_unique_id) means for an idempotent enqueue.
    ///
    /// # Errors
    /// [`is_configuration`](Error::is_configuration): no index keeps the id unique. Nothing was sent.
    pub fn expect_unique_id(&self, is_unique: bool) -> Result<(), Error> {
        if is_unique {
            return Ok(());
        }
        let reason = "the table has no unique index on it, so an event enqueued again would be stored twice: make it the \
                      primary key";
        Err(Error::layout(self.column_of(EventField::Id).map_or("id", |column| column.name().as_str()), reason))
    }
}
