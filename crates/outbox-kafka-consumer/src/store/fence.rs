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
pub(super) const FIND_GUARD: &str = "MOVE 0 IN outbox_guard";
/// Notifications that a handler listens to would otherwise come to every later user of the session.
const CLOSE_GUARD: &str = "CLOSE outbox_guard; UNLISTEN *";

/// What the last statements of a transaction found.
#[derive(Debug)]
pub(crate) struct Fenced {
    /// The partition is still this owner's.
    pub(crate) is_ours: bool,
    /// The settings that handlers had changed. They were restored.
    pub(crate) changed: Vec<String>,
}

impl Store {
    /// Returns whether the transaction that was begun has ended: a handler has sent COMMIT or ROLLBACK.
    pub(crate) async fn has_ended(&self, tx: &Transaction<'_>) -> bool {
        let looked = self.in_time(tx.batch_execute(FIND_GUARD)).await;
        looked.is_err_and(|e| is_state(&e, &SqlState::INVALID_CURSOR_NAME))
    }

    /// The last statements of every transaction, in one round trip: restores the session's settings, then moves the
    /// position, or else makes sure that nobody has taken the partition, and keeps it so until the commit. In a
    /// transaction that an error has aborted they fail, which a COMMIT does not.
    pub(crate) async fn hold_fence(
        &self,
        tx: &Transaction<'_>,
        fence: Fence,
        moved: Option<Move>,
    ) -> Result<Fenced, PgError> {
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
        // Prepared before, so that they are sent in this order: the fence as the consumer's role, and the cursor is closed
        // after the statement that looks for it.
        link.prepare(&self.statements.restore).await?;
        link.prepare(sql).await?;
        let (changed, row, closed) =
            tokio::join!(self.restore(tx), link.query_opt(sql, params), self.in_time(tx.batch_execute(CLOSE_GUARD)));
        // Those behind the first error only say that the transaction is aborted.
        let fenced = Fenced { changed: changed?, is_ours: row?.is_some() };
        closed.map(|()| fenced)
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
