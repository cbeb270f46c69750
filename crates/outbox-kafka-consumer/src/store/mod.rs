//! The SQL: everything that the consumer keeps, in tables of the user's schema.

mod admin;
pub(crate) mod driver;
mod fence;
mod held;
mod inbox;
mod lease;
mod operator_sql;
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

use std::time::Duration;

use outbox_core::Identifier;
use outbox_pg::{Migrations, StatementCaching as Sending};

pub(crate) use self::driver::{Connection, PgError, Pool, Transaction};
use self::driver::{Link, Row};
pub(crate) use self::fence::{Progress, SessionState};
pub(crate) use self::held::{Disposition, HeldEvent, NewlyHeld};
pub(crate) use self::inbox::Entry;
pub(crate) use self::pause::Paused;
pub(crate) use self::position::Fence;
pub(crate) use self::purge::PurgeFrom;
pub(crate) use self::request::{Action, Due, HeldEventTask, Wanted};
pub use self::schema::migrations;
use self::statements::Statements;
use crate::{Error, Isolation};

/// How long a [`Group`](crate::Group) waits for an answer.
const OPERATORS_PATIENCE: Duration = Duration::from_secs(30);

/// The tables of one group.
pub(crate) struct Store {
    pub(crate) pool: Pool,
    pub(crate) group: String,
    pub(crate) lease: Duration,
    schema: Identifier,
    /// The name of its partitions' locks, as SQL has it.
    fence: String,
    statements: Statements,
    sending: Sending,
}

impl Store {
    pub(crate) fn new(pool: Pool, schema: &Identifier, group: String, lease: Duration, sending: Sending) -> Self {
        let fence = statements::literal(&statements::fence_name(schema));
        Self { pool, group, lease, schema: schema.clone(), fence, statements: Statements::new(schema), sending }
    }

    pub(crate) fn migrations(&self) -> Migrations {
        migrations(&self.schema)
    }

    pub(crate) async fn connection(&self) -> Result<Connection, Error> {
        self.pool.connection(self.patience()).await
    }

    /// Returns a connection that is not the pool's any more, so that no handler can keep it waiting.
    pub(crate) async fn own_connection(&self) -> Result<Connection, Error> {
        self.pool.own_connection(self.patience()).await
    }

    /// Returns how long an answer is waited for: a little longer than PostgreSQL may take for a statement.
    fn patience(&self) -> Duration {
        if self.lease.is_zero() { OPERATORS_PATIENCE } else { self.lease / 2 }
    }

    /// Waits for an answer as long as for one to the consumer's own statements.
    pub(crate) async fn in_time<T>(&self, answer: impl Future<Output = Result<T, PgError>>) -> Result<T, PgError> {
        driver::in_time(self.patience(), answer).await
    }

    /// Closes the pool's connections that nobody uses: after one is lost, the others may only seem to be open.
    pub(crate) fn discard_idle(&self) {
        self.pool.discard_idle();
    }

    /// Runs statements in a transaction.
    pub(crate) async fn execute(&self, tx: &mut Transaction<'_>, text: &str) -> Result<(), PgError> {
        self.in_transaction(tx).execute(text).await
    }

    fn on_client<'a>(&self, connection: &'a mut Connection) -> Link<'a> {
        Link::client(connection, self.sending, self.patience())
    }

    fn in_transaction<'a>(&self, tx: &'a mut Transaction<'_>) -> Link<'a> {
        Link::transaction(tx, self.sending, self.patience())
    }

    /// Returns the statements that every transaction begins with: settings, guard and the partition's lock.
    ///
    /// A statement and the pause after it are together shorter than the lease, so that an owner that hangs is out of
    /// the way when its lease has ended. The name shows operators whose backends they are.
    ///
    /// All transactions of a partition share the lock until they end, and a successor waits for it. So the epoch that a
    /// transaction reads after it has the lock is the epoch of its commit, and no row is locked or written for that.
    /// The epoch is read by another statement: at `READ COMMITTED`, whatever the default of the database or the role
    /// is, that one sees what was committed while this one waited. The settings that handlers change are restored
    /// at the end.
    ///
    /// The statements of a batch wait for other locks for 100 ms. Two batches that wait for each other then end before
    /// PostgreSQL looks for a deadlock, which it does after 1 s, and their events are handled in smaller ones.
    fn bounds(&self, fence: Fence, isolation: Isolation, events: usize) -> String {
        let locks = if events > 1 { "; SET LOCAL lock_timeout = 100" } else { "" };
        let each =
            (self.lease / 2).saturating_sub(Duration::from_millis(250)).max(Duration::from_millis(250)).as_millis();
        format!(
            "SET TRANSACTION ISOLATION LEVEL {}; {}; {}; \
             SET LOCAL statement_timeout = {each}; SET LOCAL idle_in_transaction_session_timeout = {each}; \
             SET LOCAL application_name = '{}'; {}; \
             SELECT pg_advisory_xact_lock_shared(hashtextextended({}, {})){locks}; {}",
            isolation.sql(),
            session::UNLOCK,
            session::record_as("session"),
            fence.backend_name(),
            fence::GUARD,
            self.fence,
            fence.position,
            session::record_as("bounded"),
        )
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
