use deadpool_postgres::Transaction;
use deadpool_postgres::tokio_postgres::Error as PgError;
use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::ToSql;

use super::{Fence, Store, is_state};
use crate::{Error, Isolation};

/// Opens a cursor that a COMMIT tries to keep, which fails and rolls back: a handler cannot commit. Its absence shows
/// that a handler has rolled back. Only [`Store::close_guard`] closes it. It is not computed before: `concat` is not
/// immutable.
pub(super) const GUARD: &str = "DECLARE outbox_guard NO SCROLL CURSOR WITH HOLD FOR \
     SELECT concat('a handler must not COMMIT its transaction', NULL)::int";
pub(super) const FIND_GUARD: &str = "MOVE 0 IN outbox_guard";
/// Notifications that a handler listens to would otherwise come to every later user of the session.
const CLOSE_GUARD: &str = "CLOSE outbox_guard; UNLISTEN *";

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
        let looked = self.in_time(tx.batch_execute(FIND_GUARD)).await;
        looked.is_err_and(|e| is_state(&e, &SqlState::INVALID_CURSOR_NAME))
    }

    /// Prepares the statements that follow handlers: a role that a handler has set may not prepare them, and what is
    /// prepared is sent in the order of the calls.
    pub(super) async fn prepare_end(&self, tx: &Transaction<'_>, isolation: Isolation) -> Result<(), PgError> {
        let link = self.in_transaction(tx);
        link.prepare(&self.statements.restore).await?;
        match isolation {
            Isolation::ReadCommitted => Ok(()),
            _ => link.prepare(&self.statements.lock_fence).await,
        }
    }

    /// Runs the last statements of every transaction, in one round trip: they restore the session's settings and close
    /// the guard. They fail if an error has aborted the transaction, which a COMMIT does not, and if a handler has
    /// ended it. Returns the settings that handlers had changed; `None` if the partition is under another epoch.
    ///
    /// At `READ COMMITTED` the fence was checked at the begin, and holds until the end. At a stricter level the epoch
    /// was read as of a snapshot that may be older than the lock, so the row is locked here.
    pub(crate) async fn close_guard(
        &self,
        tx: &Transaction<'_>,
        fence: Fence,
        isolation: Isolation,
    ) -> Result<Option<Vec<String>>, PgError> {
        let link = self.in_transaction(tx);
        let owner: [&(dyn ToSql + Sync); 2] = [&fence.position, &fence.epoch];
        let is_ours = async {
            match isolation {
                Isolation::ReadCommitted => Ok(true),
                _ => link.query_opt(&self.statements.lock_fence, &owner).await.map(|row| row.is_some()),
            }
        };
        let (changed, is_ours, closed) = tokio::join!(
            biased;
            self.restore(tx),
            is_ours,
            self.in_time(tx.batch_execute(CLOSE_GUARD))
        );
        // Those behind the first error only say that the transaction is aborted.
        let (changed, is_ours) = (changed?, is_ours?);
        closed?;
        Ok(is_ours.then_some(changed))
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
