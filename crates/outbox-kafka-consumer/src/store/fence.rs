use deadpool_postgres::Transaction;
use deadpool_postgres::tokio_postgres::Error as PgError;
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::ToSql;

use super::{Fence, Store, is_state};
use crate::Error;
use crate::protocol::Move;

/// Opens a cursor that a COMMIT tries to keep, which fails and rolls back: a handler cannot commit. Its absence shows that
/// a handler has rolled back. Only the fence closes it. It is not computed before: `concat` is not immutable.
pub(super) const GUARD: &str = "DECLARE outbox_guard NO SCROLL CURSOR WITH HOLD FOR \
     SELECT concat('a handler must not COMMIT its transaction', NULL)::int";
const CLOSE_GUARD: &str = "CLOSE outbox_guard";

impl Store {
    /// Returns whether the transaction that was begun has ended: a handler has sent COMMIT or ROLLBACK.
    pub(crate) async fn has_ended(&self, tx: &Transaction<'_>) -> bool {
        let looked = tx.batch_execute("MOVE 0 IN outbox_guard").await;
        looked.is_err_and(|e| is_state(&e, &SqlState::INVALID_CURSOR_NAME))
    }

    /// The last statement of every transaction: moves the position, or else makes sure that nobody has taken the
    /// partition, and keeps it so until the commit. False where somebody has. In a transaction that an error has aborted
    /// it fails, which a COMMIT does not.
    pub(crate) async fn hold_fence(
        &self,
        tx: &Transaction<'_>,
        fence: Fence,
        moved: Option<Move>,
    ) -> Result<bool, PgError> {
        let link = self.in_transaction(tx);
        let (id, epoch) = (&fence.position, &fence.epoch);
        let params: [&(dyn ToSql + Sync); 4] = match &moved {
            Some(Move { from, to }) => [id, epoch, from, to],
            None => [id, epoch, &0_i64, &0_i64],
        };
        let (sql, params) = match moved {
            Some(_) => (&self.statements.advance_guarded, &params[..]),
            None => (&self.statements.read_fence, &params[..2]),
        };
        // Prepared before, so that the cursor is closed after the statement that looks for it, in the same round trip.
        link.prepare(sql).await?;
        let (row, ()) = tokio::try_join!(link.query_opt(sql, params), tx.batch_execute(CLOSE_GUARD))?;
        Ok(row.is_some())
    }

    /// Moves the position over what needed no transaction.
    pub(crate) async fn advance(&self, fence: Fence, moved: Move) -> Result<(), Error> {
        let client = self.connection().await?;
        let sql = &self.statements.advance;
        let row =
            self.on_client(&client).query_opt(sql, &[&fence.position, &fence.epoch, &moved.from, &moved.to]).await;
        row.map_err(|e| Error::store("move the position", e))?.map(drop).ok_or_else(Error::fenced)
    }
}
