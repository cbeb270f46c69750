use deadpool_postgres::{Pool, Transaction};
use outbox_core::Identifier;
use outbox_pg::{Migration, Migrations};

use crate::Error;

/// The tables of a consumer, in the schema that [`Builder::schema`](crate::Builder::schema) names.
///
/// `consumer_position` has a row for each group, topic and partition: the offset that is read next.
#[must_use]
pub fn migrations(schema: &Identifier) -> Migrations {
    let positions = format!(
        "CREATE TABLE {schema}.consumer_position (
            consumer_group text NOT NULL,
            topic text NOT NULL,
            partition integer NOT NULL,
            next_offset bigint NOT NULL CHECK (next_offset >= 0),
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (consumer_group, topic, partition)
        )"
    );
    Migrations::new("consumer", schema.clone(), vec![Migration::new(1, "positions", positions)])
}

/// The positions of one group.
#[derive(Clone, Debug)]
pub(crate) struct Positions {
    pub(crate) pool: Pool,
    pub(crate) schema: Identifier,
    pub(crate) group: String,
}

impl Positions {
    /// Where to read next; `None` for a partition that the group has never read.
    pub(crate) async fn read(&self, topic: &str, partition: i32) -> Result<Option<i64>, Error> {
        let failed = |e: deadpool_postgres::tokio_postgres::Error| Error::store("read the position", e);
        let client = self.pool.get().await.map_err(|e| Error::store("give a connection", e))?;
        let sql = format!(
            "SELECT next_offset FROM {}.consumer_position WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
            self.schema
        );
        let row = client.query_opt(&sql, &[&self.group, &topic, &partition]).await.map_err(failed)?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Begins at an offset, unless another consumer of the group has begun already.
    pub(crate) async fn begin(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Error> {
        let client = self.pool.get().await.map_err(|e| Error::store("give a connection", e))?;
        let sql = format!(
            "INSERT INTO {}.consumer_position (consumer_group, topic, partition, next_offset) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            self.schema
        );
        client
            .execute(&sql, &[&self.group, &topic, &partition, &offset])
            .await
            .map_err(|e| Error::store("write the first position", e))?;
        Ok(())
    }

    /// Moves the position within a transaction, if it is where this consumer left it. It is the fence: whoever finds it
    /// elsewhere rolls back, and so does a transaction that an error within the handler has aborted.
    pub(crate) async fn advance(
        &self,
        tx: &Transaction<'_>,
        topic: &str,
        partition: i32,
        from: i64,
        to: i64,
    ) -> Result<(), Error> {
        let sql = format!(
            "UPDATE {}.consumer_position SET next_offset = $5, updated_at = clock_timestamp()
             WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND next_offset = $4",
            self.schema
        );
        let statement =
            tx.prepare_cached(&sql).await.map_err(|e| Error::store("prepare the move of the position", e))?;
        let moved = tx
            .execute(&statement, &[&self.group, &topic, &partition, &from, &to])
            .await
            .map_err(|e| Error::store("move the position in the handler's transaction", e))?;
        if moved == 1 { Ok(()) } else { Err(Error::fenced(topic, partition)) }
    }
}
