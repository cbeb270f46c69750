use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::time::Duration;

use outbox_core::uuid::Uuid;
use outbox_net::{Backoff, SqlStateClass};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::driver::sealed::{self, StatementCache};
use crate::{PgClient, PgTransaction};

/// Runs a service's transaction, and repeats it after a serialization failure or a deadlock.
///
/// ```no_run
/// # use outbox_core::OutboxEvent;
/// # use outbox_pg::{PgOutbox, RetriedTransaction, TransactionError, tokio_postgres::Client};
/// # async fn example(client: &mut Client, outbox: PgOutbox, event: OutboxEvent) -> Result<(),
/// TransactionError<outbox_core::Error>> { let (outbox, event) = (&outbox, &event);
/// RetriedTransaction::default().run(client, |tx| Box::pin(async move { outbox.enqueue(&tx, event).await })).await
/// # }
/// ```
///
/// - Each attempt is its own transaction, begun when the one before is rolled back: its enqueued events are rolled back
///   with it. Other effects of the closure, such as a request to another service, are not.
/// - `Ok` says that PostgreSQL has committed. tokio-postgres' `commit()` also returns `Ok` for an aborted transaction,
///   so one more round trip checks this before.
/// - A connection that breaks during the COMMIT leaves open whether it happened. That is its own error,
///   [`TransactionError::CommitUnknown`], and nothing is run again.
/// - A dropped future rolls back, unless the COMMIT was sent.
#[derive(Clone, Debug)]
pub struct RetriedTransaction {
    attempts: u32,
    pause: Duration,
    isolation: Option<IsolationLevel>,
}

/// One attempt's transaction. `'e` is for what the closure borrows.
#[derive(Clone, Copy)]
pub struct Attempt<'e, 'r> {
    tx: &'r Transaction<'r>,
    cache: Option<&'r StatementCache>,
    // The marker that lets the borrows of the closure outlive each attempt.
    captured: PhantomData<&'r &'e ()>,
}

/// The future of the closure. It is boxed, because the future of an `async` closure cannot be spawned yet (rust-lang
/// issue 110338).
pub type TransactionFuture<'r, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'r>>;

impl Attempt<'_, '_> {
    /// Runs statements within a savepoint: if they fail, only they are rolled back, and the transaction continues.
    ///
    /// The inner result is that of `statements`. The outer one is an error if PostgreSQL rejects the savepoint itself;
    /// return it from the closure. Savepoints may be nested.
    ///
    /// ```no_run
    /// # use outbox_pg::{RetriedTransaction, TransactionError, tokio_postgres::{Client, Error}};
    /// # async fn example(client: &mut Client) -> Result<(), TransactionError<Error>> {
    /// RetriedTransaction::default().run(client, |tx| Box::pin(async move {
    ///     let reserved = tx.savepoint(tx.execute("INSERT INTO reservation (order_id) VALUES (7)", &[])).await?;
    ///     if reserved.is_err() {
    ///         tx.execute("INSERT INTO waiting_list (order_id) VALUES (7)", &[]).await?;
    ///     }
    ///     Ok(())
    /// })).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The savepoint could not be set, released or rolled back to.
    ///
    /// # Cancellation
    /// Dropping the future leaves the transaction within the savepoint. Return an error from the closure then.
    pub async fn savepoint<T, E>(
        &self,
        statements: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, tokio_postgres::Error> {
        self.tx.batch_execute("SAVEPOINT outbox_savepoint").await?;
        let outcome = statements.await;

        let end = match outcome {
            Ok(_) => "RELEASE SAVEPOINT outbox_savepoint",
            Err(_) => "ROLLBACK TO SAVEPOINT outbox_savepoint; RELEASE SAVEPOINT outbox_savepoint",
        };
        self.tx.batch_execute(end).await?;
        Ok(outcome)
    }
}

impl PgTransaction for Attempt<'_, '_> {}

impl sealed::Transaction for Attempt<'_, '_> {
    fn driver(&self) -> &Transaction<'_> {
        self
    }

    fn cache(&self) -> Option<&StatementCache> {
        self.cache
    }
}

impl<'r> Deref for Attempt<'_, 'r> {
    type Target = Transaction<'r>;

    fn deref(&self) -> &Self::Target {
        self.tx
    }
}

impl fmt::Debug for Attempt<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Default for RetriedTransaction {
    /// Returns the defaults: 6 attempts, pauses from 20 ms on, the session's isolation level.
    fn default() -> Self {
        Self { attempts: 6, pause: Duration::from_millis(20), isolation: None }
    }
}

/// The reason why a transaction did not commit, or may not have committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError<E> {
    /// The closure failed, and its transaction is rolled back. After a serialization failure or a deadlock this was the
    /// last attempt.
    #[error("the transaction is rolled back: its work failed")]
    Work(#[source] E),
    /// The transaction could not begin.
    #[error("the transaction could not begin")]
    Begin(#[source] tokio_postgres::Error),
    /// The closure returned `Ok`, although one of its statements had failed.
    #[error(
        "the transaction is rolled back: a statement in it had failed, which its work ignored. Return that error, or \
         put the statement under Attempt::savepoint"
    )]
    Aborted(#[source] tokio_postgres::Error),
    /// The connection broke before the COMMIT.
    #[error("the transaction is rolled back: the connection broke before the COMMIT")]
    Lost(#[source] tokio_postgres::Error),
    /// PostgreSQL refused the COMMIT, such as for a deferred constraint, and rolled back.
    #[error("the transaction is rolled back: PostgreSQL refused the COMMIT")]
    Commit(#[source] tokio_postgres::Error),
    /// The answer to the COMMIT is missing.
    #[error(
        "whether the transaction was committed is not known: the connection broke. Look for what it would have written"
    )]
    CommitUnknown(#[source] tokio_postgres::Error),
}

impl RetriedTransaction {
    /// Sets how often the closure is run at most, at least once.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts: attempts.max(1), ..self }
    }

    /// Sets the pause before the second attempt. Each is twice as long as the one before, up to 2 s, and is shortened
    /// by up to a half at random.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Sets the isolation level, if it is not to be the session's.
    #[must_use]
    pub fn isolation_level(self, level: IsolationLevel) -> Self {
        Self { isolation: Some(level), ..self }
    }

    /// Runs the closure in a transaction, and commits.
    ///
    /// An error of the closure and its sources are searched for a serialization failure or a deadlock.
    ///
    /// # Errors
    /// [`TransactionError`]; in all cases except [`CommitUnknown`](TransactionError::CommitUnknown), nothing was
    /// written.
    pub async fn run<'e, T, E, F>(&self, client: &mut impl PgClient, mut work: F) -> Result<T, TransactionError<E>>
    where
        F: for<'r> FnMut(Attempt<'e, 'r>) -> TransactionFuture<'r, T, E>,
        E: StdError + 'static,
    {
        self.run_while(client, &mut work, |error| asks_for_retry(error)).await
    }

    /// Runs as [`run`](Self::run) does, for an error type that other errors convert to, such as `anyhow::Error`,
    /// `eyre::Report` and `Box<dyn Error + Send + Sync>`. An error of the closure is returned as it is; any other is a
    /// [`TransactionError`] that was converted, to be found by a downcast.
    ///
    /// ```no_run
    /// # use outbox_pg::{RetriedTransaction, tokio_postgres::Client};
    /// async fn reserve(client: &mut Client) -> anyhow::Result<u64> {
    ///     let transaction = RetriedTransaction::default();
    ///     transaction.run_dyn(client, |tx| Box::pin(async move {
    ///         let reserved = tx.execute("UPDATE stock SET free = free - 1 WHERE free > 0", &[]).await?;
    ///         anyhow::ensure!(reserved > 0, "nothing is in stock");
    ///         Ok(reserved)
    ///     })).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_dyn<'e, T, E, F>(&self, client: &mut impl PgClient, mut work: F) -> Result<T, E>
    where
        F: for<'r> FnMut(Attempt<'e, 'r>) -> TransactionFuture<'r, T, E>,
        E: AsRef<dyn StdError + Send + Sync> + From<TransactionError<Infallible>>,
    {
        let run = self.run_while(client, &mut work, |error| asks_for_retry(error.as_ref()));
        run.await.map_err(|error| match error {
            TransactionError::Work(error) => error,
            TransactionError::Begin(error) => TransactionError::Begin(error).into(),
            TransactionError::Aborted(error) => TransactionError::Aborted(error).into(),
            TransactionError::Lost(error) => TransactionError::Lost(error).into(),
            TransactionError::Commit(error) => TransactionError::Commit(error).into(),
            TransactionError::CommitUnknown(error) => TransactionError::CommitUnknown(error).into(),
        })
    }

    /// Runs the work again while its error or that of the commit is a conflict, at most as often as was set. An error
    /// after which the transaction may be committed is never retried.
    async fn run_while<'e, T, E, F>(
        &self,
        client: &mut impl PgClient,
        work: &mut F,
        is_conflict: impl Fn(&E) -> bool,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'r> FnMut(Attempt<'e, 'r>) -> TransactionFuture<'r, T, E>,
    {
        let (client, cache) = client.parts();
        let mut attempt = 1;
        let mut backoff = Backoff::new(self.pause, LONGEST_PAUSE);

        loop {
            let error = match self.attempt(client, cache.as_deref(), work).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let is_retried = match &error {
                TransactionError::Work(error) => is_conflict(error),
                TransactionError::Commit(error) => asks_for_retry(error),
                _ => false,
            };
            if !is_retried || attempt >= self.attempts {
                return Err(error);
            }

            tokio::time::sleep(less_by_chance(backoff.delay())).await;
            attempt += 1;
        }
    }

    /// Runs the work once in a transaction. A statement before the commit shows a transaction that is aborted, because
    /// PostgreSQL answers its COMMIT with a rollback and no error.
    async fn attempt<'e, T, E, F>(
        &self,
        client: &mut Client,
        cache: Option<&StatementCache>,
        work: &mut F,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'r> FnMut(Attempt<'e, 'r>) -> TransactionFuture<'r, T, E>,
    {
        let mut builder = client.build_transaction();
        if let Some(level) = self.isolation {
            builder = builder.isolation_level(level);
        }

        let tx = builder.start().await.map_err(TransactionError::Begin)?;
        let value = match work(Attempt { tx: &tx, cache, captured: PhantomData }).await {
            Ok(value) => value,
            Err(error) => {
                // If it fails, the connection is broken, and PostgreSQL rolls back.
                let _ = tx.rollback().await;
                return Err(TransactionError::Work(error));
            }
        };

        if let Err(error) = tx.batch_execute("SELECT 1").await {
            let is_aborted = error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION);
            return Err(if is_aborted { TransactionError::Aborted(error) } else { TransactionError::Lost(error) });
        }
        match tx.commit().await {
            Ok(()) => Ok(value),
            Err(error) if is_refusal(&error) => Err(TransactionError::Commit(error)),
            Err(error) => Err(TransactionError::CommitUnknown(error)),
        }
    }
}

/// Shortens a pause by up to a half at random, so that transactions that conflicted do not conflict again.
fn less_by_chance(pause: Duration) -> Duration {
    // The last bits of a UUID are random.
    let chance = Uuid::now_v7().as_u128() % 1_000;
    pause.mul_f64(1.0 - f64::from(u16::try_from(chance).unwrap_or_default()) / 2_000.0)
}

/// Returns whether PostgreSQL rejected the COMMIT, so that it certainly did not commit. A server that is shutting down
/// may have committed before.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => match SqlStateClass::from_sqlstate(code.code()) {
            // 40003 says that the outcome is not known.
            SqlStateClass::RolledBack => *code != SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN,
            SqlStateClass::Connection | SqlStateClass::Shutdown | SqlStateClass::Cancelled | SqlStateClass::System => {
                false
            }
            _ => true,
        },
        None => false,
    }
}

fn asks_for_retry(error: &(dyn StdError + 'static)) -> bool {
    let sources = std::iter::successors(Some(error), |error| (*error).source());
    sources.filter_map(|error| error.downcast_ref::<tokio_postgres::Error>()).any(|error| {
        error.code().is_some_and(|code| SqlStateClass::from_sqlstate(code.code()) == SqlStateClass::Conflict)
    })
}
