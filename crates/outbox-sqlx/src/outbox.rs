use outbox_core::layout::Row;
use outbox_core::sql::InsertSql;
use outbox_core::{Error, OnDuplicate, Outbox, OutboxEvent, Pipeline, StatementCaching};
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use crate::param::{Param, Params};
use crate::store::stored;

/// The outbox table of a pipeline. Free of state, shared by all connections.
///
/// It takes sqlx's transaction. A bare connection or pool does not compile:
///
/// ```compile_fail,E0308
/// # use outbox_sqlx::{SqlxOutbox, outbox_core::{OutboxEvent, Pipeline}, sqlx::PgConnection};
/// # async fn example(mut connection: PgConnection, event: OutboxEvent) {
/// SqlxOutbox::new(Pipeline::recommended()).enqueue(&mut connection, &event).await;
/// # }
/// ```
///
/// ```compile_fail,E0308
/// # use outbox_sqlx::{SqlxOutbox, outbox_core::{OutboxEvent, Pipeline}, sqlx::PgPool};
/// # async fn example(mut pool: PgPool, event: OutboxEvent) {
/// SqlxOutbox::new(Pipeline::recommended()).enqueue(&mut pool, &event).await;
/// # }
/// ```
///
/// # After an error
/// An error of [`is_invalid_event`](Error::is_invalid_event) was found before anything was sent, and the transaction
/// continues, as it does after one of [`is_already_enqueued`](Error::is_already_enqueued). After any other error
/// PostgreSQL has aborted the transaction. sqlx's `commit()` returns `Ok` for an aborted transaction, which PostgreSQL
/// then rolls back: return the error instead of committing.
#[derive(Clone, Debug)]
pub struct SqlxOutbox {
    pipeline: Pipeline,
    insert: InsertSql,
    caching: StatementCaching,
}

impl SqlxOutbox {
    /// Creates the outbox of a pipeline.
    #[must_use]
    pub fn new(pipeline: Pipeline) -> Self {
        Self { insert: InsertSql::into_table(pipeline.layout()), pipeline, caching: StatementCaching::default() }
    }

    /// Sets whether statements are kept in sqlx's cache: [`Cached`](StatementCaching::Cached) unless set.
    /// [`Unnamed`](StatementCaching::Unnamed) takes a round trip more each time.
    #[must_use]
    pub fn statement_caching(self, caching: StatementCaching) -> Self {
        Self { caching, ..self }
    }

    /// Returns the pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Adds one event to the transaction.
    ///
    /// # Errors
    /// See [After an error](#after-an-error).
    pub async fn enqueue(&self, tx: &mut Transaction<'_, Postgres>, event: &OutboxEvent) -> Result<(), Error> {
        expect_added(self.insert_one(tx, self.insert.one(), event).await?, 1)
    }

    /// Adds events to the transaction in their order, by one INSERT for each 8 MiB of payload.
    ///
    /// # Errors
    /// See [After an error](#after-an-error). Every event is checked before the first is sent.
    pub async fn enqueue_all(&self, tx: &mut Transaction<'_, Postgres>, events: &[OutboxEvent]) -> Result<(), Error> {
        expect_added(self.insert_many(tx, self.insert.many(), events).await?, events.len())
    }

    pub(crate) fn insert(&self) -> &InsertSql {
        &self.insert
    }

    /// Sends an INSERT. Its text has quoted identifiers of the layout only, and the values are bound.
    pub(crate) async fn insert_one(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        sql: &str,
        event: &OutboxEvent,
    ) -> Result<u64, Error> {
        let row = self.row(event)?;
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(self.is_cached());
        for (value, ty) in self.insert.values(&row).zip(self.insert.columns()) {
            query = query.bind(Param { value, ty });
        }
        query.execute(&mut **tx).await.map(|done| done.rows_affected()).map_err(stored)
    }

    /// Sends an INSERT for each batch of events, and returns the number of added rows.
    pub(crate) async fn insert_many(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        sql: &str,
        events: &[OutboxEvent],
    ) -> Result<u64, Error> {
        let rows = events.iter().map(|event| self.row(event)).collect::<Result<Vec<_>, _>>()?;
        let mut rest = rows.as_slice();
        let mut added = 0;

        for length in InsertSql::batch_lengths(events) {
            let (batch, tail) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = tail;
            let array = |ty| Params { values: Vec::with_capacity(batch.len()), ty };
            let mut arrays: Vec<_> = self.insert.columns().map(array).collect();
            for row in batch {
                for (array, value) in arrays.iter_mut().zip(self.insert.values(row)) {
                    array.values.push(value);
                }
            }
            let query = sqlx::query(AssertSqlSafe(sql)).persistent(self.is_cached());
            let query = arrays.into_iter().fold(query, |query, array| query.bind(array));
            added += query.execute(&mut **tx).await.map_err(stored)?.rows_affected();
        }
        Ok(added)
    }

    fn row(&self, event: &OutboxEvent) -> Result<Row, Error> {
        self.pipeline.row(event).map(|row| self.insert.sent(row))
    }

    fn is_cached(&self) -> bool {
        self.caching == StatementCaching::Cached
    }
}

/// Checks that the row was added. A trigger of the table, such as that of kept ids, may skip a row, which must not pass
/// without an error.
fn expect_added(added: u64, events: usize) -> Result<(), Error> {
    OnDuplicate::Error.resolve_all(added, events).map(drop)
}

impl<'r, 't> Outbox<&'r mut Transaction<'t, Postgres>> for SqlxOutbox {
    async fn enqueue(&self, tx: &'r mut Transaction<'t, Postgres>, event: &OutboxEvent) -> Result<(), Error> {
        Self::enqueue(self, tx, event).await
    }

    async fn enqueue_all(&self, tx: &'r mut Transaction<'t, Postgres>, events: &[OutboxEvent]) -> Result<(), Error> {
        Self::enqueue_all(self, tx, events).await
    }
}
