use std::time::Duration;

use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::ToSql;

use super::driver::Command;
use super::session::{ChangedSettings, SETTINGS, SettingsCheck, UNLOCK, record_as, record_custom, record_others};
use super::{Connection, Fence, PgError, Store, Transaction};
use crate::{Error, Isolation};

/// Opens a cursor that a COMMIT tries to keep, which fails and rolls back: a handler cannot commit. Its absence shows
/// that a handler has rolled back. Only [`Store::close_guard`] closes it. It is not computed before: `concat` is not
/// immutable.
const GUARD: &str = "DECLARE outbox_guard NO SCROLL CURSOR WITH HOLD FOR \
     SELECT concat('a handler must not COMMIT its transaction', NULL)::int";
/// A bound for whole transactions (PostgreSQL 17), which a role or a database may have, would end a handler's session.
const UNBOUNDED: &str = "SELECT set_config(name, '0', true) FROM (VALUES ('transaction_timeout')) AS bound (name) \
     WHERE current_setting(name, true) <> '0'";
const FIND_GUARD: &str = "MOVE 0 IN outbox_guard";
/// Notifications that a handler listens to would otherwise come to every later user of the session, and a cursor WITH
/// HOLD would stay open.
const CLOSE_GUARD: &str = "CLOSE outbox_guard; CLOSE ALL; UNLISTEN *";

/// The position of a partition, to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub fence: Fence,
    /// The next offset to read after a restart.
    pub position: i64,
    /// One after the last record of the partition, as of the last fetch.
    pub end: Option<i64>,
}

/// The session of a transaction after its handlers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
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
    pub fn without_answer(error: &PgError) -> Self {
        if error.is_no_answer() { Self::Silent } else { Self::Closed }
    }
}

impl Store {
    /// Returns the statements that every transaction begins with: settings, guard and the partition's lock.
    ///
    /// A statement and the pause after it are together shorter than the lease, so that the session of an owner that
    /// hangs has ended when its lease ends. The application name shows operators the owner of each backend.
    ///
    /// All transactions of a partition share the lock until they end, and a successor waits for it. So the epoch that a
    /// transaction reads after it has the lock is the epoch of its commit, and no row is locked or written for that.
    /// The epoch is read by another statement: at `READ COMMITTED`, whatever the default of the database or the role
    /// is, that one sees what was committed while this one waited. The settings that handlers change are restored
    /// at the end, as `check` says.
    ///
    /// The statements of a batch wait for other locks for 100 ms. Two batches that wait for each other then end before
    /// PostgreSQL looks for a deadlock, which it does after 1 s, and their events are handled in smaller ones. A single
    /// event waits for half of the time that its statement has, unless the session has a bound: so PostgreSQL reports
    /// that a lock is held, and not only that the statement took too long.
    pub fn bounds(&self, fence: Fence, isolation: Isolation, events: usize, check: SettingsCheck) -> String {
        let each =
            (self.lease / 2).saturating_sub(Duration::from_millis(250)).max(Duration::from_millis(250)).as_millis();
        let locks = if events > 1 {
            "SET LOCAL lock_timeout = 100".to_owned()
        } else {
            format!(
                "SELECT set_config('lock_timeout', '{}', true) WHERE current_setting('lock_timeout') = '0'",
                each / 2
            )
        };
        format!(
            "SET TRANSACTION ISOLATION LEVEL {}; {}; {}; {}{}\
             SET LOCAL statement_timeout = {each}; SET LOCAL idle_in_transaction_session_timeout = {each}; \
             {UNBOUNDED}; SET LOCAL application_name = '{}'; {}; \
             SELECT pg_advisory_xact_lock_shared(hashtextextended({}, {})); {locks}; {}",
            isolation.sql(),
            UNLOCK,
            record_as("session"),
            record_others(check),
            record_custom(&self.custom_settings),
            fence.backend_name(),
            GUARD,
            self.fence,
            fence.position,
            record_as("bounded"),
        )
    }

    /// Queries the guard cursor, and returns the state of the session.
    pub async fn session_state(&self, tx: &mut Transaction<'_>) -> SessionState {
        match self.in_transaction(tx).execute(FIND_GUARD).await {
            Ok(()) => SessionState::Open,
            Err(e) if e.is_state(&SqlState::IN_FAILED_SQL_TRANSACTION) => SessionState::Open,
            Err(e) if e.is_state(&SqlState::INVALID_CURSOR_NAME) => SessionState::Ended,
            Err(e) => SessionState::without_answer(&e),
        }
    }

    /// Prepares the statements that follow handlers: a role that a handler has set may not prepare them, and prepared
    /// statements are sent in the order of the calls.
    pub async fn prepare_end(
        &self,
        tx: &mut Transaction<'_>,
        isolation: Isolation,
        check: SettingsCheck,
    ) -> Result<(), PgError> {
        let (mut executor, restore) = (self.in_transaction(tx), self.restore(check));
        match isolation {
            Isolation::ReadCommitted => executor.prepare(&[restore]).await,
            _ => executor.prepare(&[restore, &self.statements.position.lock_fence]).await,
        }
    }

    /// Reverts the handlers' changes of the session, until the transaction ends, and returns the settings. `None` if a
    /// handler has ended the transaction with COMMIT or ROLLBACK. It fails in an aborted transaction.
    pub async fn after_handlers(
        &self,
        tx: &mut Transaction<'_>,
        check: SettingsCheck,
    ) -> Result<Option<ChangedSettings>, PgError> {
        let settings: &[&str] = &SETTINGS;
        let settings: [&(dyn ToSql + Sync); 2] = [&settings, &self.custom_settings];
        let commands = [Command::Script(FIND_GUARD), Command::Statement(self.restore(check), &settings)];
        let mut answers = self.in_transaction(tx).send_all(&commands).await;
        match answers.next() {
            Ok(_) => ChangedSettings::from_rows(&answers.next()?).map(Some),
            Err(e) if e.is_state(&SqlState::INVALID_CURSOR_NAME) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Releases the advisory locks that a failed handler has left, which a rollback keeps.
    pub async fn unlock(&self, client: &mut Connection) {
        // If it fails, the connection is lost and its locks with it.
        _ = self.on_client(client).execute(UNLOCK).await;
    }

    /// Runs the last statements of every transaction, in one round trip: they restore the session's settings and close
    /// the guard. They fail if an error has aborted the transaction, which a COMMIT does not, and if a handler has
    /// ended it. Returns the settings that handlers had changed; `None` if the partition is under another epoch.
    ///
    /// At `READ COMMITTED` the fence was checked at the begin, and holds until the end. At a stricter level the epoch
    /// was read as of a snapshot that may be older than the lock, so the row is locked here.
    pub async fn close_guard(
        &self,
        tx: &mut Transaction<'_>,
        fence: Fence,
        isolation: Isolation,
        check: SettingsCheck,
    ) -> Result<Option<ChangedSettings>, PgError> {
        let (settings, owner): (&[&str], [&(dyn ToSql + Sync); 2]) = (&SETTINGS, [&fence.position, &fence.epoch]);
        let restored: [&(dyn ToSql + Sync); 2] = [&settings, &self.custom_settings];
        let (restore, close) = (Command::Statement(self.restore(check), &restored), Command::Script(CLOSE_GUARD));
        let lock = Command::Statement(&self.statements.position.lock_fence, &owner);
        let is_checked = isolation == Isolation::ReadCommitted;
        let commands: &[Command<'_>] = if is_checked { &[restore, close] } else { &[restore, lock, close] };

        // The errors after the first one only report that the transaction is aborted.
        let mut answers = self.in_transaction(tx).send_all(commands).await;
        let changed = ChangedSettings::from_rows(&answers.next()?)?;
        let is_ours = is_checked || !answers.next()?.is_empty();
        answers.next()?;
        Ok(is_ours.then_some(changed))
    }

    /// Moves positions forward. Returns the positions whose partition this owner still has; the others are under
    /// another epoch.
    pub async fn advance(&self, progress: &[Progress]) -> Result<Vec<i64>, Error> {
        let of = |field: fn(&Progress) -> i64| progress.iter().map(field).collect::<Vec<i64>>();
        let (ids, epochs) = (of(|moved| moved.fence.position), of(|moved| moved.fence.epoch));
        let (positions, ends): (_, Vec<Option<i64>>) =
            (of(|moved| moved.position), progress.iter().map(|moved| moved.end).collect());

        let mut client = self.connection().await?;
        let rows = self
            .on_client(&mut client)
            .query(&self.statements.position.advance, &[&ids, &epochs, &positions, &ends])
            .await;
        let rows = rows.map_err(|e| Error::store("move positions", e))?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(super::lease::unread)
    }
}
