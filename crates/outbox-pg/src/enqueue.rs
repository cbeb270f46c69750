use outbox_core::{Error, InsertSql, OnDuplicate, Outbox, OutboxEvent, Pipeline, Row};
use tokio_postgres::types::{ToSql, Type};

use crate::PartitionRange;
use crate::statement::Insert;
use crate::store_failure::stored;

/// The outbox table of a pipeline. Cheap to clone, free of state, shared by all connections.
///
/// It takes the transaction of tokio-postgres, and that of deadpool-postgres coerces to it. A bare connection or pool
/// does not compile:
///
/// ```compile_fail,E0308
/// # use outbox_core::{OutboxEvent, Pipeline};
/// # use outbox_pg::{PgOutbox, tokio_postgres::Client};
/// # async fn example(client: Client, event: OutboxEvent) {
/// PgOutbox::new(Pipeline::recommended()).enqueue(&client, &event).await;
/// # }
/// ```
///
/// ```compile_fail,E0308
/// # use outbox_core::{OutboxEvent, Pipeline};
/// # use outbox_pg::{PgOutbox, deadpool_postgres::Client};
/// # async fn example(client: Client, event: OutboxEvent) {
/// PgOutbox::new(Pipeline::recommended()).enqueue(&client, &event).await;
/// # }
/// ```
///
/// ```compile_fail,E0308
/// # use outbox_core::{OutboxEvent, Pipeline};
/// # use outbox_pg::{PgOutbox, deadpool_postgres::Pool};
/// # async fn example(pool: Pool, event: OutboxEvent) {
/// PgOutbox::new(Pipeline::recommended()).enqueue(&pool, &event).await;
/// # }
/// ```
///
/// ```
/// # use outbox_core::{Error, OutboxEvent, Pipeline};
/// # use outbox_pg::{PgOutbox, deadpool_postgres, tokio_postgres};
/// # async fn example(driver: tokio_postgres::Transaction<'_>, pooled: deadpool_postgres::Transaction<'_>, event:
/// OutboxEvent) -> Result<(), Error> { let outbox = PgOutbox::new(Pipeline::recommended()); outbox.enqueue(&driver,
/// &event).await?; outbox.enqueue(&pooled, &event).await?;
/// # Ok(())
/// # }
/// ```
///
/// # After an error
/// An error of [`is_invalid_event`](Error::is_invalid_event) was found before anything was sent, and the transaction
/// continues, as it does after one of [`is_already_enqueued`](Error::is_already_enqueued). After any other error
/// PostgreSQL has aborted the transaction; no ROLLBACK is sent here, since the transaction is the caller's. Mind that
/// tokio-postgres' `commit()` answers `Ok` for an aborted transaction, which PostgreSQL then rolls back: return the
/// error instead of committing.
#[derive(Clone, Debug)]
pub struct PgOutbox {
    pipeline: Pipeline,
    insert: Insert,
    statements: Statements,
    horizon: Option<PartitionRange>,
}

/// How the INSERT is sent through a deadpool-postgres transaction, by [`Outbox`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Statements {
    /// Parsed each time, in one round trip. Works through PgBouncer in transaction mode.
    #[default]
    Unnamed,
    /// Prepared once for each connection and kept in deadpool's statement cache: one more round trip the first time.
    Cached,
}

impl PgOutbox {
    /// Creates the outbox of a pipeline.
    #[must_use]
    pub fn new(pipeline: Pipeline) -> Self {
        Self {
            insert: Insert::into_table(pipeline.layout()),
            pipeline,
            statements: Statements::default(),
            horizon: None,
        }
    }

    /// Chooses how [`Outbox`] sends the INSERT through a deadpool-postgres transaction.
    #[must_use]
    pub fn statements(self, statements: Statements) -> Self {
        Self { statements, ..self }
    }

    /// Refuses an event that a table in partitions has no place for, as an error of
    /// [`is_invalid_event`](Error::is_invalid_event), where its INSERT would fail the transaction.
    #[must_use]
    pub fn with_partition_range(self, horizon: PartitionRange) -> Self {
        Self { horizon: Some(horizon), ..self }
    }

    /// Returns the pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Adds one event to the transaction, in one round trip.
    ///
    /// # Errors
    /// See [After an error](#after-an-error).
    pub async fn enqueue(&self, tx: &tokio_postgres::Transaction<'_>, event: &OutboxEvent) -> Result<(), Error> {
        expect_added(self.insert_one(tx, self.insert.sql.one(), event).await?, 1)
    }

    /// Enqueues as [`enqueue`](Self::enqueue) does, with the statement kept in deadpool's cache for the connection.
    ///
    /// # Errors
    /// See [After an error](#after-an-error).
    pub async fn enqueue_cached(
        &self,
        tx: &deadpool_postgres::Transaction<'_>,
        event: &OutboxEvent,
    ) -> Result<(), Error> {
        let row = self.row(event)?;
        let params: Vec<_> = self.insert.params(&row).collect();
        let statement = tx.prepare_typed_cached(self.insert.sql.one(), &self.insert.types).await.map_err(stored)?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
        expect_added(tx.execute(&statement, &params).await.map_err(stored)?, 1)
    }

    /// Adds events to the transaction in their order, in one round trip for each 8 MiB of payload.
    ///
    /// # Errors
    /// See [After an error](#after-an-error). Every event is checked before the first is sent.
    pub async fn enqueue_all(&self, tx: &tokio_postgres::Transaction<'_>, events: &[OutboxEvent]) -> Result<(), Error> {
        let added = self.insert_many(tx, self.insert.sql.many(), events).await?;
        expect_added(added, events.len())
    }

    pub(crate) async fn insert_one(
        &self,
        tx: &tokio_postgres::Transaction<'_>,
        sql: &str,
        event: &OutboxEvent,
    ) -> Result<u64, Error> {
        let row = self.row(event)?;
        let params: Vec<_> = self.insert.params(&row).collect();
        let typed: Vec<(&(dyn ToSql + Sync), Type)> =
            params.iter().zip(&self.insert.types).map(|(param, ty)| (param as _, ty.clone())).collect();
        tx.execute_typed(sql, &typed).await.map_err(stored)
    }

    pub(crate) async fn insert_many(
        &self,
        tx: &tokio_postgres::Transaction<'_>,
        sql: &str,
        events: &[OutboxEvent],
    ) -> Result<u64, Error> {
        let mut all = Vec::with_capacity(events.len());
        for event in events {
            all.push(self.row(event)?);
        }
        let mut rest = all.as_slice();
        let mut added = 0;
        for chunk in InsertSql::batch_lengths(events) {
            let (rows, tail) = rest.split_at_checked(chunk).unwrap_or((rest, &[]));
            rest = tail;
            let columns = self.insert.arrays(rows);
            let typed: Vec<(&(dyn ToSql + Sync), Type)> =
                columns.iter().zip(self.insert.array_types()).map(|(column, ty)| (column as _, ty)).collect();
            added += tx.execute_typed(sql, &typed).await.map_err(stored)?;
        }
        Ok(added)
    }

    pub(crate) fn insert(&self) -> &Insert {
        &self.insert
    }

    fn row(&self, event: &OutboxEvent) -> Result<Row, Error> {
        if let Some(horizon) = &self.horizon {
            horizon.admit(event)?;
        }
        self.pipeline.row(event).map(|row| self.insert.sql.sent(row))
    }
}

/// Checks that the row was added. A trigger of the table may leave out a row, as that of kept ids does: no event is
/// lost in silence.
fn expect_added(added: u64, events: usize) -> Result<(), Error> {
    OnDuplicate::Error.of_many(added, events).map(drop)
}

impl<'r, 't> Outbox<&'r tokio_postgres::Transaction<'t>> for PgOutbox {
    async fn enqueue(&self, tx: &'r tokio_postgres::Transaction<'t>, event: &OutboxEvent) -> Result<(), Error> {
        Self::enqueue(self, tx, event).await
    }

    async fn enqueue_all(&self, tx: &'r tokio_postgres::Transaction<'t>, events: &[OutboxEvent]) -> Result<(), Error> {
        Self::enqueue_all(self, tx, events).await
    }
}

impl<'r, 't> Outbox<&'r deadpool_postgres::Transaction<'t>> for PgOutbox {
    async fn enqueue(&self, tx: &'r deadpool_postgres::Transaction<'t>, event: &OutboxEvent) -> Result<(), Error> {
        match self.statements {
            Statements::Unnamed => Self::enqueue(self, tx, event).await,
            Statements::Cached => self.enqueue_cached(tx, event).await,
        }
    }

    async fn enqueue_all(
        &self,
        tx: &'r deadpool_postgres::Transaction<'t>,
        events: &[OutboxEvent],
    ) -> Result<(), Error> {
        Self::enqueue_all(self, tx, events).await
    }
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;

    use super::*;

    #[test]
    fn parameters_take_one_allocation_for_each_text_and_one_for_each_list() {
        let outbox = PgOutbox::new(Pipeline::recommended());
        let event = OutboxEvent::builder("order", "42", "OrderPlaced").json(r#"{"n":1}"#).build().unwrap();
        let row = measure(|| drop(outbox.row(&event).unwrap()));
        // The row; aggregate type and id, event type, payload, content type and headers; the topic, to see that it is
        // legal.
        assert_eq!(row.count_total, 8);
        let row = outbox.row(&event).unwrap();
        let params = measure(|| assert_eq!(outbox.insert.params(&row).collect::<Vec<_>>().len(), 13));
        assert_eq!(params.count_total, 1);
        let mut out = bytes::BytesMut::with_capacity(1_024);
        let params: Vec<_> = outbox.insert.params(&row).collect();
        let bound = measure(|| {
            for (param, ty) in params.iter().zip(&outbox.insert.types) {
                param.to_sql(ty, &mut out).unwrap();
            }
        });
        assert_eq!(bound.count_total, 0, "values are written into the message, and nowhere before");
    }
}
