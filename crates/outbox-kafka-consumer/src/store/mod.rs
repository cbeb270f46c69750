//! The SQL: everything that the consumer keeps, in tables of the user's schema.

#![allow(unreachable_pub, reason = "the module is private, and the list of re-exports is what others see")]

mod admin;
pub mod driver;
mod fence;
mod held;
mod inbox;
mod lease;
mod pause;
#[cfg(test)]
mod plans;
mod position;
mod purge;
mod request;
mod schema;
mod session;
mod setup;
mod statements;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outbox_core::Identifier;
use outbox_pg::{Migrations, StatementCaching as Sending};

pub use self::driver::{Connection, PgError, Pool, Transaction};
use self::driver::{Executor, Row};
pub use self::fence::{Progress, SessionState};
pub use self::held::{Disposition, HeldEvent, NewlyHeld};
pub use self::inbox::Entry;
pub use self::pause::Paused;
pub use self::position::Fence;
pub use self::purge::PurgeFrom;
pub use self::request::{Action, Due, HeldEventTask, Wanted};
pub use self::schema::migrations;
pub use self::session::{ChangedSettings, CommitError, SettingsCheck};
use self::statements::Statements;
use crate::Error;

/// The time that a [`Group`](crate::Group) waits for an answer.
const OPERATORS_PATIENCE: Duration = Duration::from_secs(30);

/// The tables of one group.
pub struct Store {
    pub pool: Pool,
    pub group: String,
    pub lease: Duration,
    schema: Identifier,
    /// The settings that PostgreSQL does not list and that are checked after handlers.
    custom_settings: Vec<String>,
    /// The name of its partitions' locks, as SQL has it.
    fence: String,
    statements: Statements,
    sending: Sending,
    /// Whether the database's encoding has every character, as far as is known.
    has_all_characters: AtomicBool,
}

impl Store {
    pub fn new(pool: Pool, schema: &Identifier, group: String, lease: Duration, sending: Sending) -> Self {
        let fence = statements::literal(&statements::fence_name(schema));
        Self {
            pool,
            group,
            lease,
            schema: schema.clone(),
            custom_settings: Vec::new(),
            fence,
            statements: Statements::new(schema),
            sending,
            has_all_characters: AtomicBool::new(true),
        }
    }

    /// Checks these settings after handlers, in addition to those that PostgreSQL lists.
    pub fn with_custom_settings(self, names: Vec<String>) -> Self {
        Self { custom_settings: names, ..self }
    }

    pub fn migrations(&self) -> Migrations {
        migrations(&self.schema)
    }

    pub async fn connection(&self) -> Result<Connection, Error> {
        self.pool.connection(self.patience()).await
    }

    /// Returns a connection taken out of the pool, so that no handler can delay it.
    pub async fn own_connection(&self) -> Result<Connection, Error> {
        self.pool.own_connection(self.patience()).await
    }

    /// Returns the timeout for an answer, which is a little longer than PostgreSQL may take for a statement.
    fn patience(&self) -> Duration {
        if self.lease.is_zero() { OPERATORS_PATIENCE } else { self.lease / 2 }
    }

    /// Waits for an answer as long as for one to the consumer's own statements.
    pub async fn in_time<T>(&self, answer: impl Future<Output = Result<T, PgError>>) -> Result<T, PgError> {
        driver::in_time(self.patience(), answer).await
    }

    /// Closes the pool's idle connections: after one is lost, the others may only seem to be open.
    pub fn discard_idle(&self) {
        self.pool.discard_idle();
    }

    /// Runs statements in a transaction.
    pub async fn execute(&self, tx: &mut Transaction<'_>, text: &str) -> Result<(), PgError> {
        self.in_transaction(tx).execute(text).await
    }

    /// Replaces characters that PostgreSQL cannot store: NUL, and those that the database's encoding may not have.
    fn storable<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let text = text.into();
        let has_all = self.has_all_characters.load(Ordering::Relaxed);
        if !text.contains('\0') && (has_all || text.is_ascii()) {
            return text;
        }
        let replaced = |character: char| match character {
            '\0' if has_all => "\u{fffd}".to_owned(),
            _ if has_all || (character.is_ascii() && character != '\0') => character.to_string(),
            _ => character.escape_unicode().to_string(),
        };
        text.chars().map(replaced).collect::<String>().into()
    }

    fn on_client<'a>(&self, connection: &'a mut Connection) -> Executor<'a> {
        Executor::client(connection, self.sending, self.patience())
    }

    fn in_transaction<'a>(&self, tx: &'a mut Transaction<'_>) -> Executor<'a> {
        Executor::transaction(tx, self.sending, self.patience())
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
