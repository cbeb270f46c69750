use deadpool_postgres::Transaction;
use deadpool_postgres::tokio_postgres::Error as PgError;
use deadpool_postgres::tokio_postgres::error::SqlState;

use super::{Fence, Store, is_state};
use crate::Error;

/// Opens a cursor that a COMMIT tries to keep, which fails and rolls back: a handler cannot commit. Its absence shows that
/// a handler has rolled back. Only [`Store::close_guard`] closes it. It is not computed before: `concat` is not immutable.
pub(super) const GUARD: &str = "DECLARE outbox_guard NO SCROLL CURSOR WITH HOLD FOR \
     SELECT concat('a handler must not COMMIT its transaction', NULL)::int";
const CLOSE_GUARD: &str = "CLOSE outbox_guard";

/// How far a partition is done, to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) fence: Fence,
    /// The next offset to read after a restart.
    pub(crate) position: i64,
    /// One after the last record of the partition, as of the last fetch.
    pub(crate) end: Option<i64>,
}

impl Store {
    /// Returns whether the transaction that was begun has ended: a handler has sent COMMIT or ROLLBACK.
    pub(crate) async fn has_ended(&self, tx: &Transaction<'_>) -> bool {
        let looked = tx.batch_execute("MOVE 0 IN outbox_guard").await;
        looked.is_err_and(|e| is_state(&e, &SqlState::INVALID_CURSOR_NAME))
    }

    /// The last statement of every transaction. It fails if an error has aborted the transaction, which a COMMIT does not,
    /// and if a handler has ended it. The fence was checked at the begin, and holds until the end.
    pub(crate) async fn close_guard(&self, tx: &Transaction<'_>) -> Result<(), PgError> {
        tx.batch_execute(CLOSE_GUARD).await
    }

    /// Moves positions forward. Returns those whose partition this owner still has; the others are under another epoch.
    pub(crate) async fn advance(&self, progress: &[Progress]) -> Result<Vec<i64>, Error> {
        let of = |field: fn(&Progress) -> i64| progress.iter().map(field).collect::<Vec<i64>>();
        let (ids, epochs) = (of(|moved| moved.fence.position), of(|moved| moved.fence.epoch));
        let (positions, ends): (_, Vec<Option<i64>>) =
            (of(|moved| moved.position), progress.iter().map(|moved| moved.end).collect());

        let client = self.connection().await?;
        let rows = self.on_client(&client).query(&self.statements.advance, &[&ids, &epochs, &positions, &ends]).await;
        let rows = rows.map_err(|e| Error::store("move positions", e))?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(super::lease::unread)
    }
}
