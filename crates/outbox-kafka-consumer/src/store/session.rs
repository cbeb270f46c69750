//! Detects and reverts changes that a handler makes to the settings of its database session.
//!
//! SET and SET LOCAL look the same until the transaction ends. So changed settings are put back for the rest of the
//! transaction, and only if there are any, `COMMIT AND CHAIN` ends it: the values that SET LOCAL had given are gone
//! then, and those that remain were given by SET. The chained transaction is on the same server also behind a pooler.

use std::borrow::Cow;

use deadpool_postgres::tokio_postgres::types::ToSql;

use super::driver::Command;
use super::statements::{Sql, literal};
use super::{PgError, Row, Store, Transaction};

/// The settings that change the meaning, the role or the timeouts of later statements. Every transaction checks them.
/// The first one resets the second one.
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

/// Ends the transaction, and begins another one at once.
const NEXT_TRANSACTION: &str = "COMMIT AND CHAIN";

/// The settings that a transaction checks after its handlers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SettingsCheck {
    /// [`SETTINGS`], and the custom settings of the builder.
    #[default]
    Listed,
    /// All settings that PostgreSQL lists, which takes about a millisecond.
    All,
}

/// The settings that handlers have changed within a transaction.
#[derive(Debug, Default)]
pub struct ChangedSettings {
    names: Vec<String>,
    /// The values that the session had before; `None` is the default value.
    before: Vec<Option<String>>,
    /// Whether a handler has reset all of them, so that their earlier values are not known.
    are_reset: bool,
}

/// In place of the names of settings that RESET ALL has changed.
const ALL_SETTINGS: &str = "all settings (RESET ALL)";

/// Returns the statement that records the listed settings as they are in a setting of this name, until the transaction
/// ends.
pub fn record_as(name: &str) -> String {
    let settings = SETTINGS.join(",");
    format!(
        "SELECT set_config('outbox.{name}', ARRAY(SELECT current_setting(name) \
         FROM unnest('{{{settings}}}'::text[]) AS name)::text, true)"
    )
}

/// Returns the statement that records the other settings that the session has changed before, if they are checked.
pub fn record_others(check: SettingsCheck) -> Cow<'static, str> {
    if check == SettingsCheck::Listed {
        return Cow::Borrowed("");
    }
    let settings = SETTINGS.join(",");
    let record = format!(
        "SELECT set_config('outbox.others', (SELECT coalesce(jsonb_object_agg(name, setting), '{{}}')::text \
         FROM pg_catalog.pg_settings WHERE source = 'session' AND name <> ALL ('{{{settings}}}')), true); "
    );
    Cow::Owned(record)
}

/// Returns the statement that records custom settings, which need not exist, until the transaction ends.
pub fn record_custom(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    format!(
        "SELECT set_config('outbox.custom', ARRAY(SELECT coalesce(current_setting(name, true), '') \
         FROM unnest(ARRAY[{}]) AS name)::text, true); ",
        names.join(",")
    )
}

impl ChangedSettings {
    /// Reads the rows of the statement that restores the session.
    pub fn from_rows(rows: &[Row]) -> Result<Self, PgError> {
        let mut changed = Self::default();
        for row in rows {
            let name: String = row.try_get(0)?;
            let before: Option<String> = row.try_get(1)?;
            if name.is_empty() {
                changed.are_reset = before.is_none();
            } else {
                changed.names.push(name);
                changed.before.push(before);
            }
        }
        Ok(changed)
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.are_reset
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).chain(self.are_reset.then_some(ALL_SETTINGS))
    }

    /// Returns whether the setting of this name affects later statements of the transaction.
    pub fn is_listed(name: &str) -> bool {
        name == ALL_SETTINGS || SETTINGS.contains(&name)
    }

    /// Adds the settings that were found later in the same transaction.
    pub fn extend(&mut self, later: Self) {
        self.are_reset |= later.are_reset;
        for (name, before) in later.names.into_iter().zip(later.before) {
            if !self.names.contains(&name) {
                self.names.push(name);
                self.before.push(before);
            }
        }
    }
}

impl Store {
    /// Returns the statement that reverts the handlers' changes of the session, until the transaction ends.
    pub fn restore(&self, check: SettingsCheck) -> &Sql {
        match check {
            SettingsCheck::Listed => &self.statements.restore,
            SettingsCheck::All => &self.statements.restore_all,
        }
    }

    /// Commits a transaction in which handlers have changed settings. Then gives the session its settings back, and
    /// returns the names of those that SET had changed: SET LOCAL does not outlive the transaction.
    ///
    /// With tokio-postgres all statements are sent at once, so that a caller that stops waiting changes nothing. sqlx
    /// closes a connection whose transaction is open then.
    pub async fn commit_and_reset(
        &self,
        mut tx: Transaction<'_>,
        changed: &ChangedSettings,
    ) -> Result<Vec<String>, CommitError> {
        let mut executor = self.in_transaction(&mut tx);
        executor.prepare(&[&self.statements.reset]).await.map_err(CommitError::NotCommitted)?;
        let ChangedSettings { names, before, are_reset } = changed;
        let settings: [&(dyn ToSql + Sync); 2] = [names, before];
        let commands = [
            Command::Script(NEXT_TRANSACTION),
            Command::Statement(&self.statements.reset, &settings),
            Command::Script(NEXT_TRANSACTION),
        ];
        let mut answers = executor.send_all(&commands).await;

        answers.next().map_err(|e| match e.is_rejected_commit() {
            true => CommitError::NotCommitted(e),
            false => CommitError::Unknown(e),
        })?;
        let remained = answers.next().map_err(CommitError::Unknown)?;
        answers.next().map_err(CommitError::Unknown)?;
        let remained: Result<Vec<String>, _> = remained.iter().map(|row| row.try_get(0)).collect();
        let mut remained = remained.map_err(CommitError::Unknown)?;
        remained.extend(are_reset.then(|| ALL_SETTINGS.to_owned()));
        self.in_time(tx.commit()).await.map_err(CommitError::Unknown)?;
        Ok(remained)
    }

    /// Commits.
    pub async fn commit(&self, tx: Transaction<'_>) -> Result<(), CommitError> {
        match self.in_time(tx.commit()).await {
            Ok(()) => Ok(()),
            Err(e) if e.is_rejected_commit() => Err(CommitError::NotCommitted(e)),
            Err(e) => Err(CommitError::Unknown(e)),
        }
    }
}

/// The reason why a transaction was not committed, as far as is known.
#[derive(Debug)]
pub enum CommitError {
    /// PostgreSQL has not committed, because of a deferred constraint or a foreign server, for example.
    NotCommitted(PgError),
    /// Whether it committed, or whether the session is clean, is not known.
    Unknown(PgError),
}
