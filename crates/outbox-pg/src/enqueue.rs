use outbox_core::layout::Row;
use outbox_core::sql::InsertSql;
use outbox_core::{Error, OnDuplicate, Outbox, OutboxEvent, Pipeline, StatementCaching, StoreFault};
use tokio_postgres::types::{ToSql, Type};

use crate::session::Session;
use crate::statement::Insert;
use crate::store_failure::stored;
use crate::{PartitionRange, PgTransaction};

/// The outbox table of a pipeline. Cheap to clone, free of state, shared by all connections.
///
/// It takes a [`PgTransaction`]: that of tokio-postgres or deadpool-postgres. A bare connection or pool does not
/// compile:
///
/// ```compile_fail,E0277
/// # use outbox_core::{OutboxEvent, Pipeline};
/// # use outbox_pg::{PgOutbox, tokio_postgres::Client};
/// # async fn example(client: Client, event: OutboxEvent) {
/// PgOutbox::new(Pipeline::recommended()).enqueue(&client, &event).await;
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # use outbox_core::{OutboxEvent, Pipeline};
/// # use outbox_pg::{PgOutbox, deadpool_postgres::Client};
/// # async fn example(client: Client, event: OutboxEvent) {
/// PgOutbox::new(Pipeline::recommended()).enqueue(&client, &event).await;
/// # }
/// ```
///
/// ```compile_fail,E0277
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
/// PostgreSQL has aborted the transaction; no ROLLBACK is sent here, because the transaction belongs to the caller.
/// tokio-postgres' `commit()` returns `Ok` for an aborted transaction, which PostgreSQL then rolls back: return the
/// error instead of committing.
#[derive(Clone, Debug)]
pub struct PgOutbox {
    pipeline: Pipeline,
    insert: Insert,
    caching: StatementCaching,
    partitions: Option<PartitionRange>,
}

impl PgOutbox {
    /// Creates the outbox of a pipeline.
    #[must_use]
    pub fn new(pipeline: Pipeline) -> Self {
        Self {
            insert: Insert::into_table(pipeline.layout()),
            pipeline,
            caching: StatementCaching::default(),
            partitions: None,
        }
    }

    /// Sets whether statements are kept in the cache of deadpool-postgres: [`Cached`](StatementCaching::Cached) unless
    /// set. Without a pool there is no cache.
    #[must_use]
    pub fn statement_caching(self, caching: StatementCaching) -> Self {
        Self { caching, ..self }
    }

    /// Refuses an event that a table in partitions has no place for, as an error of
    /// [`is_invalid_event`](Error::is_invalid_event), instead of letting its INSERT abort the transaction. If the range
    /// has no place for an event, it is read again first.
    #[must_use]
    pub fn with_partition_range(self, range: PartitionRange) -> Self {
        Self { partitions: Some(range), ..self }
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
    pub async fn enqueue(&self, tx: &impl PgTransaction, event: &OutboxEvent) -> Result<(), Error> {
        expect_added(self.insert_one(tx, self.insert.sql.one(), event).await?, 1)
    }

    /// Adds events to the transaction in their order, in one round trip for each 8 MiB of payload.
    ///
    /// # Errors
    /// See [After an error](#after-an-error). Every event is checked before the first is sent.
    pub async fn enqueue_all(&self, tx: &impl PgTransaction, events: &[OutboxEvent]) -> Result<(), Error> {
        let added = self.insert_many(tx, self.insert.sql.many(), events).await?;
        expect_added(added, events.len())
    }

    pub(crate) async fn insert_one(
        &self,
        tx: &impl PgTransaction,
        sql: &str,
        event: &OutboxEvent,
    ) -> Result<u64, Error> {
        self.expect_partitions(tx, std::slice::from_ref(event)).await?;
        let row = self.row(event)?;
        let params: Vec<_> = self.insert.params(&row).collect();
        self.execute(tx, sql, &params, &self.insert.types).await
    }

    /// Sends an INSERT for each batch of events, and returns the number of added rows.
    pub(crate) async fn insert_many(
        &self,
        tx: &impl PgTransaction,
        sql: &str,
        events: &[OutboxEvent],
    ) -> Result<u64, Error> {
        self.expect_partitions(tx, events).await?;
        let mut all = Vec::with_capacity(events.len());
        for event in events {
            all.push(self.row(event)?);
        }

        let mut rest = all.as_slice();
        let mut added = 0;
        for chunk in InsertSql::batch_lengths(events) {
            let (rows, tail) = rest.split_at_checked(chunk).unwrap_or((rest, &[]));
            rest = tail;
            added += self.execute(tx, sql, &self.insert.arrays(rows), &self.insert.array_types).await?;
        }
        Ok(added)
    }

    /// Sends a statement, by the pool's cache if there is one and it is to be used.
    async fn execute<P: ToSql + Sync>(
        &self,
        tx: &impl PgTransaction,
        sql: &str,
        params: &[P],
        types: &[Type],
    ) -> Result<u64, Error> {
        let driver = tx.driver();
        let cache = tx.cache().filter(|_| self.caching == StatementCaching::Cached);

        let Some(cache) = cache else {
            let typed: Vec<(&(dyn ToSql + Sync), Type)> =
                params.iter().zip(types).map(|(param, ty)| (param as _, ty.clone())).collect();
            return driver.execute_typed(sql, &typed).await.map_err(stored);
        };
        let statement = cache.prepare_typed(driver.client(), sql, types).await.map_err(stored)?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
        driver.execute(&statement, &params).await.map_err(stored)
    }

    pub(crate) fn insert(&self) -> &Insert {
        &self.insert
    }

    fn row(&self, event: &OutboxEvent) -> Result<Row, Error> {
        self.pipeline.row(event).map(|row| self.insert.sql.sent(row))
    }

    /// Checks that the table has partitions for the events. If the known range does not include an event, it may be
    /// outdated, and is read again.
    async fn expect_partitions(&self, tx: &impl PgTransaction, events: &[OutboxEvent]) -> Result<(), Error> {
        let Some(range) = &self.partitions else { return Ok(()) };
        if events.iter().all(|event| range.admit(event).is_ok()) {
            return Ok(());
        }
        let refreshed = range.refresh_on(&Session::Transaction(tx.driver()), &self.pipeline).await;
        refreshed.map_err(|error| {
            let fault = if error.is_transient() { StoreFault::Transient } else { StoreFault::Permanent };
            Error::store(fault, error)
        })?;
        events.iter().try_for_each(|event| range.admit(event))
    }
}

/// Checks that the row was added. A trigger of the table, such as that of kept ids, may skip a row, which must not pass
/// without an error.
fn expect_added(added: u64, events: usize) -> Result<(), Error> {
    OnDuplicate::Error.resolve_all(added, events).map(drop)
}

impl<T: PgTransaction> Outbox<&T> for PgOutbox {
    async fn enqueue(&self, tx: &T, event: &OutboxEvent) -> Result<(), Error> {
        Self::enqueue(self, tx, event).await
    }

    async fn enqueue_all(&self, tx: &T, events: &[OutboxEvent]) -> Result<(), Error> {
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
