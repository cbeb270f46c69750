use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::ToSql;

use super::driver::Step;
use super::session::{SETTINGS, changed_settings};
use super::{Fence, PgError, Store, Transaction};
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

/// The session of a transaction after its handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// The transaction is open, or aborted by an error.
    Open,
    /// The transaction has ended: a handler has sent COMMIT or ROLLBACK.
    Ended,
    /// The connection is closed.
    Closed,
    /// PostgreSQL does not answer.
    Silent,
}

impl SessionState {
    /// Returns the state of a session from which no answer came.
    pub(crate) fn without_answer(error: &PgError) -> Self {
        if error.is_no_answer() { Self::Silent } else { Self::Closed }
    }
}

impl Store {
    /// Asks PostgreSQL for the guard, and returns what the answer says of the session.
    pub(crate) async fn session_state(&self, tx: &mut Transaction<'_>) -> SessionState {
        match self.in_transaction(tx).execute(FIND_GUARD).await {
            Ok(()) => SessionState::Open,
            Err(e) if e.is_state(&SqlState::IN_FAILED_SQL_TRANSACTION) => SessionState::Open,
            Err(e) if e.is_state(&SqlState::INVALID_CURSOR_NAME) => SessionState::Ended,
            Err(e) => SessionState::without_answer(&e),
        }
    }

    /// Prepares the statements that follow handlers: a role that a handler has set may not prepare them, and what is
    /// prepared is sent in the order of the calls.
    pub(super) async fn prepare_end(&self, tx: &mut Transaction<'_>, isolation: Isolation) -> Result<(), PgError> {
        let mut link = self.in_transaction(tx);
        match isolation {
            Isolation::ReadCommitted => link.prepare(&[&self.statements.restore]).await,
            _ => link.prepare(&[&self.statements.restore, &self.statements.lock_fence]).await,
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
        tx: &mut Transaction<'_>,
        fence: Fence,
        isolation: Isolation,
    ) -> Result<Option<Vec<String>>, PgError> {
        let (settings, owner): (&[&str], [&(dyn ToSql + Sync); 2]) = (&SETTINGS, [&fence.position, &fence.epoch]);
        let restored: [&(dyn ToSql + Sync); 1] = [&settings];
        let (restore, close) = (Step::Query(&self.statements.restore, &restored), Step::Text(CLOSE_GUARD));
        let lock = Step::Query(&self.statements.lock_fence, &owner);
        let is_checked = isolation == Isolation::ReadCommitted;
        let steps: &[Step<'_>] = if is_checked { &[restore, close] } else { &[restore, lock, close] };

        // Those behind the first error only say that the transaction is aborted.
        let mut answers = self.in_transaction(tx).send_all(steps).await;
        let changed = changed_settings(&answers.next()?)?;
        let is_ours = is_checked || !answers.next()?.is_empty();
        answers.next()?;
        Ok(is_ours.then_some(changed))
    }

    /// Moves positions forward. Returns those whose partition this owner still has; the others are under another epoch.
    pub(crate) async fn advance(&self, progress: &[Progress]) -> Result<Vec<i64>, Error> {
        let of = |field: fn(&Progress) -> i64| progress.iter().map(field).collect::<Vec<i64>>();
        let (ids, epochs) = (of(|moved| moved.fence.position), of(|moved| moved.fence.epoch));
        let (positions, ends): (_, Vec<Option<i64>>) =
            (of(|moved| moved.position), progress.iter().map(|moved| moved.end).collect());

        let mut client = self.connection().await?;
        let rows =
            self.on_client(&mut client).query(&self.statements.advance, &[&ids, &epochs, &positions, &ends]).await;
        let rows = rows.map_err(|e| Error::store("move positions", e))?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(super::lease::unread)
    }
}
