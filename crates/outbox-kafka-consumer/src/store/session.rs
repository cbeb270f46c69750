//! The settings of its database session that a handler may change, and how that is undone before others use the
//! session.

use deadpool_postgres::tokio_postgres::error::SqlState;
use deadpool_postgres::tokio_postgres::types::Type;

use super::driver::Command;
use super::fence::FIND_GUARD;
use super::statements::Sql;
use super::{Connection, PgError, Row, Store, Transaction};

/// The settings that change what later statements do, who runs them or how long they may take. The first one resets the
/// second one.
pub const SETTINGS: [&str; 17] = [
    "session_authorization",
    "role",
    "search_path",
    "session_replication_role",
    "row_security",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "default_transaction_deferrable",
    "synchronous_commit",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "application_name",
    "client_encoding",
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
];

/// Releases the advisory locks that an earlier handler of the session has left.
pub const UNLOCK: &str = "SELECT pg_advisory_unlock_all()";

/// Returns the statement that records the settings as they are in a setting of this name, until the transaction ends.
pub fn record_as(name: &str) -> String {
    let settings = SETTINGS.join(",");
    format!(
        "SELECT set_config('outbox.{name}', ARRAY(SELECT current_setting(name) \
         FROM unnest('{{{settings}}}'::text[]) AS name)::text, true)"
    )
}

/// Returns the statement that undoes what handlers have changed and returns the names of those settings.
///
/// SET and SET LOCAL look the same until the transaction ends. Therefore a changed setting gets the value that the
/// session had before the transaction, and within the transaction the value that the consumer had set. Advisory locks
/// of the session are released; those of the transaction stay.
pub fn restore() -> Sql {
    let text = "
        SELECT '' AS name, pg_advisory_unlock_all()::text
        UNION ALL
        SELECT name, set_config(name, session, false)
                     || CASE WHEN bounded <> session THEN set_config(name, bounded, true) ELSE '' END
        FROM unnest($1::text[], nullif(current_setting('outbox.session', true), '')::text[],
                    nullif(current_setting('outbox.bounded', true), '')::text[]) AS setting (name, session, bounded)
        WHERE current_setting(name) <> bounded";
    Sql { text: text.to_owned(), types: vec![Type::TEXT_ARRAY] }
}

impl Store {
    /// Undoes what handlers have changed of the session, and returns the names of the settings. `None` if a handler has
    /// ended the transaction with COMMIT or ROLLBACK. In a transaction that an error has aborted it fails.
    pub async fn after_handlers(&self, tx: &mut Transaction<'_>) -> Result<Option<Vec<String>>, PgError> {
        let settings: &[&str] = &SETTINGS;
        let commands = [Command::Script(FIND_GUARD), Command::Statement(&self.statements.restore, &[&settings])];
        let mut answers = self.in_transaction(tx).send_all(&commands).await;
        match answers.next() {
            Ok(_) => changed_settings(&answers.next()?).map(Some),
            Err(e) if e.is_state(&SqlState::INVALID_CURSOR_NAME) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Releases the advisory locks that a failed handler has left: a rollback does not.
    pub async fn unlock(&self, client: &mut Connection) {
        // If it fails, the connection is lost and its locks with it.
        _ = self.on_client(client).execute(UNLOCK).await;
    }
}

/// Returns the names of the settings that a statement has restored.
pub fn changed_settings(restored: &[Row]) -> Result<Vec<String>, PgError> {
    let names = restored.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
}
