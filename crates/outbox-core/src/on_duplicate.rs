use crate::{Error, EventField, RowLife, StoreFault, TableLayout};

/// The reaction of an idempotent outbox to an event that it already has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDuplicate {
    /// [`Enqueued::AlreadyEnqueued`], and nothing else happens.
    #[default]
    Ignore,
    /// An error of [`Error::is_already_enqueued`]. The transaction continues.
    Error,
}

/// The outcome of an idempotent enqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enqueued {
    /// The event is part of the transaction.
    Enqueued,
    /// An event with this id was there; nothing was added.
    AlreadyEnqueued,
}

impl OnDuplicate {
    /// Converts the number of added rows into the outcome for one event, for implementations of
    /// [`Outbox`](crate::Outbox).
    ///
    /// # Errors
    /// It was there, and that is refused.
    pub fn resolve(self, added: u64) -> Result<Enqueued, Error> {
        match self.resolve_all(added, 1)? {
            0 => Ok(Enqueued::AlreadyEnqueued),
            _ => Ok(Enqueued::Enqueued),
        }
    }

    /// Converts the number of added rows into the number of new events, for implementations of
    /// [`Outbox`](crate::Outbox).
    ///
    /// # Errors
    /// Some were there, and that is refused.
    pub fn resolve_all(self, added: u64, events: usize) -> Result<usize, Error> {
        let added = usize::try_from(added).unwrap_or(events);
        if added < events && self == Self::Error {
            let cause = "PostgreSQL added fewer rows than there are events";
            return Err(Error::store(StoreFault::AlreadyEnqueued, cause));
        }
        Ok(added)
    }
}

impl TableLayout {
    /// Checks that an event that is enqueued again can be recognised.
    ///
    /// # Errors
    /// [`is_configuration`](Error::is_configuration): in [`RowLife::DeleteOnInsert`] and [`RowLife::Message`] no id is
    /// kept by which an event could be recognised.
    pub fn remembers_ids(&self) -> Result<(), Error> {
        let reason = match self.row_life() {
            RowLife::DeleteOnInsert => {
                "an event enqueued again cannot be known, because its row was deleted: \
                 choose RowLife::DeleteOnInsertKeepIds, or RowLife::Keep"
            }
            RowLife::Message => {
                "an event enqueued again cannot be known, because there is no table: \
                 choose RowLife::DeleteOnInsertKeepIds, or RowLife::Keep"
            }
            RowLife::Keep | RowLife::Partitioned | RowLife::DeleteOnInsertKeepIds => return Ok(()),
        };
        Err(Error::layout("id", reason))
    }

    /// Checks, from the answer to [`InsertSql::has_unique_id`](crate::sql::InsertSql::has_unique_id), that an
    /// idempotent enqueue is possible, for implementations of [`Outbox`](crate::Outbox).
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
