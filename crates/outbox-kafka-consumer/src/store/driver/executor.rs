use std::collections::VecDeque;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use deadpool_postgres::tokio_postgres::Error;
use futures_util::future::{BoxFuture, join_all};
use outbox_pg::StatementCaching as Sending;

use super::command::{BEGIN_READ_COMMITTED, Command, Params};
use super::connection::Inner;
use super::{Connection, PgError, Row, Transaction};
use crate::store::statements::Sql;

/// A connection or transaction that statements are sent to, and how they are sent.
pub struct Executor<'a> {
    target: Target<'a>,
    sending: Sending,
    /// The timeout for an answer.
    patience: Duration,
}

enum Target<'a> {
    Client(&'a ClientWrapper),
    Transaction(&'a deadpool_postgres::Transaction<'a>),
    #[cfg(feature = "sqlx")]
    Sqlx(super::sqlx::SqlxExecutor<'a>),
}

/// The answers to statements that were sent together, up to the first error.
pub struct Answers(VecDeque<Result<Vec<Row>, PgError>>);

impl Answers {
    /// Returns the answer to the next statement. After an error there is none.
    pub fn next(&mut self) -> Result<Vec<Row>, PgError> {
        self.0.pop_front().unwrap_or_else(|| Ok(Vec::new()))
    }
}

impl<'a> Executor<'a> {
    pub fn client(connection: &'a mut Connection, sending: Sending, patience: Duration) -> Self {
        let target = match &mut connection.0 {
            Inner::Pooled(client) => Target::Client(client),
            Inner::Own(client) => Target::Client(client),
            #[cfg(feature = "sqlx")]
            Inner::Sqlx(connection) => Target::Sqlx(connection.executor()),
        };
        Self { target, sending, patience }
    }

    pub fn transaction(tx: &'a mut Transaction<'_>, sending: Sending, patience: Duration) -> Self {
        let target = match tx {
            Transaction::TokioPostgres(tx) => Target::Transaction(tx),
            #[cfg(feature = "sqlx")]
            Transaction::Sqlx(tx) => Target::Sqlx(tx.executor()),
        };
        Self { target, sending, patience }
    }

    /// Prepares statements on this connection, unless they are or are parsed each time, if the driver sends statements
    /// before the answers to earlier ones.
    pub async fn prepare(&mut self, statements: &[&Sql]) -> Result<(), PgError> {
        if self.sending != Sending::Cached {
            return Ok(());
        }
        for sql in statements {
            match &self.target {
                Target::Client(client) => {
                    in_time(self.patience, client.prepare_typed_cached(&sql.text, &sql.types)).await?;
                }
                Target::Transaction(tx) => {
                    in_time(self.patience, tx.prepare_typed_cached(&sql.text, &sql.types)).await?;
                }
                #[cfg(feature = "sqlx")]
                Target::Sqlx(_) => {}
            }
        }
        Ok(())
    }

    /// Runs statements without parameters, whose rows are not needed.
    pub fn execute<'s>(&'s mut self, text: &'s str) -> BoxFuture<'s, Result<(), PgError>> {
        Box::pin(async move {
            match &mut self.target {
                Target::Client(client) => in_time(self.patience, client.batch_execute(text)).await,
                Target::Transaction(tx) => in_time(self.patience, tx.batch_execute(text)).await,
                #[cfg(feature = "sqlx")]
                Target::Sqlx(executor) => {
                    executor.in_time(self.patience, Command::Script(text), self.sending).await.map(drop)
                }
            }
        })
    }

    /// Sends a statement: prepared once for each connection, or parsed each time, which works through a pooler. Outside
    /// of a transaction it runs in a separate one at READ COMMITTED.
    pub fn query<'s>(&'s mut self, sql: &'s Sql, params: &'s Params<'s>) -> BoxFuture<'s, Result<Vec<Row>, PgError>> {
        Box::pin(async move {
            match &mut self.target {
                Target::Client(client) => {
                    in_time(self.patience, answer_of_client(client, self.sending, sql, params)).await
                }
                Target::Transaction(tx) => in_time(self.patience, answer(tx, self.sending, sql, params)).await,
                #[cfg(feature = "sqlx")]
                Target::Sqlx(executor) => {
                    executor.in_time(self.patience, Command::Statement(sql, params), self.sending).await
                }
            }
        })
    }

    pub async fn query_opt(&mut self, sql: &Sql, params: &Params<'_>) -> Result<Option<Row>, PgError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Sends a statement that only reads, outside of a transaction if the driver can, because its isolation level does
    /// not matter.
    pub fn read<'s>(&'s mut self, sql: &'s Sql, params: &'s Params<'s>) -> BoxFuture<'s, Result<Vec<Row>, PgError>> {
        Box::pin(async move {
            match &mut self.target {
                Target::Client(client) => in_time(self.patience, read(client, self.sending, sql, params)).await,
                Target::Transaction(tx) => in_time(self.patience, answer(tx, self.sending, sql, params)).await,
                #[cfg(feature = "sqlx")]
                Target::Sqlx(executor) => executor.read_in_time(self.patience, sql, params, self.sending).await,
            }
        })
    }

    /// Sends statements of a transaction one after the other: without a pause if the driver can, so that their answers
    /// take one round trip.
    pub fn send_all<'s>(&'s mut self, commands: &'s [Command<'s>]) -> BoxFuture<'s, Answers> {
        Box::pin(async move {
            let tx = match &mut self.target {
                Target::Transaction(tx) => *tx,
                _ => return self.send_in_turn(commands).await,
            };
            // They are sent in this order, because each is sent when it is first polled.
            let mut answers = Vec::with_capacity(commands.len());
            for command in commands {
                answers.push(in_time(self.patience, answer_command(tx, self.sending, *command)));
            }
            Answers(join_all(answers).await.into())
        })
    }

    async fn send_in_turn(&mut self, commands: &[Command<'_>]) -> Answers {
        let mut answers = VecDeque::with_capacity(commands.len());
        for command in commands {
            let answer = match command {
                Command::Script(text) => self.execute(text).await.map(|()| Vec::new()),
                Command::Statement(sql, params) => self.query(sql, params).await,
            };
            let is_error = answer.is_err();
            answers.push_back(answer);
            if is_error {
                break;
            }
        }
        Answers(answers)
    }
}

/// Waits for PostgreSQL's answer with a timeout. Otherwise, a connection to a server that has disappeared would be
/// noticed only after many minutes.
pub async fn in_time<T, E: Into<PgError>>(
    patience: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, PgError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(PgError::no_answer(patience)),
    }
}

async fn answer_command(
    tx: &deadpool_postgres::Transaction<'_>,
    sending: Sending,
    command: Command<'_>,
) -> Result<Vec<Row>, Error> {
    match command {
        Command::Script(text) => tx.batch_execute(text).await.map(|()| Vec::new()),
        Command::Statement(sql, params) => answer(tx, sending, sql, params).await,
    }
}

async fn answer(
    tx: &deadpool_postgres::Transaction<'_>,
    sending: Sending,
    sql: &Sql,
    params: &Params<'_>,
) -> Result<Vec<Row>, Error> {
    let rows = if sending == Sending::Cached {
        let statement = tx.prepare_typed_cached(&sql.text, &sql.types).await?;
        tx.query(&statement, params).await
    } else {
        tx.query_typed(&sql.text, &sql.typed(params)).await
    };
    Ok(rows?.into_iter().map(Row::TokioPostgres).collect())
}

async fn answer_of_client(
    client: &ClientWrapper,
    sending: Sending,
    sql: &Sql,
    params: &Params<'_>,
) -> Result<Vec<Row>, Error> {
    if sending == Sending::Cached {
        let statement = client.prepare_typed_cached(&sql.text, &sql.types).await?;
        read_committed(client, client.query(&statement, params)).await
    } else {
        read_committed(client, client.query_typed(&sql.text, &sql.typed(params))).await
    }
}

async fn read(client: &ClientWrapper, sending: Sending, sql: &Sql, params: &Params<'_>) -> Result<Vec<Row>, Error> {
    let rows = if sending == Sending::Cached {
        let statement = client.prepare_typed_cached(&sql.text, &sql.types).await?;
        client.query(&statement, params).await
    } else {
        client.query_typed(&sql.text, &sql.typed(params)).await
    };
    Ok(rows?.into_iter().map(Row::TokioPostgres).collect())
}

/// Runs one statement in a transaction at READ COMMITTED, whatever the default of the database or the role is.
///
/// All three parts are sent when they are first polled, one after the other, so the answers take one round trip, and a
/// caller that stops waiting leaves no transaction open. After an error in the statement, COMMIT rolls back.
async fn read_committed(
    client: &ClientWrapper,
    statement: impl Future<Output = Result<Vec<deadpool_postgres::tokio_postgres::Row>, Error>>,
) -> Result<Vec<Row>, Error> {
    let begin = client.batch_execute(BEGIN_READ_COMMITTED);
    let (begun, rows, committed) = tokio::join!(biased; begin, statement, client.batch_execute("COMMIT"));
    begun?;
    let rows = rows?;
    committed?;
    Ok(rows.into_iter().map(Row::TokioPostgres).collect())
}
