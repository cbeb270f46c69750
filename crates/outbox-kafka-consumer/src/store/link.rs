use std::time::Duration;

use deadpool_postgres::tokio_postgres::types::ToSql;
use deadpool_postgres::tokio_postgres::{Error, Row};
use deadpool_postgres::{ClientWrapper, Transaction};
use outbox_pg::Statements as Sending;

use super::statements::Sql;

/// The connection of a statement, and how it is sent.
#[derive(Clone, Copy)]
pub(crate) struct Link<'a> {
    to: To<'a>,
    sending: Sending,
    /// How long an answer is waited for.
    patience: Duration,
}

#[derive(Clone, Copy)]
enum To<'a> {
    Client(&'a ClientWrapper),
    Transaction(&'a Transaction<'a>),
}

pub(super) type Params<'a> = [&'a (dyn ToSql + Sync)];

impl<'a> Link<'a> {
    pub(super) fn client(client: &'a ClientWrapper, sending: Sending, patience: Duration) -> Self {
        Self { to: To::Client(client), sending, patience }
    }

    pub(super) fn transaction(tx: &'a Transaction<'a>, sending: Sending, patience: Duration) -> Self {
        Self { to: To::Transaction(tx), sending, patience }
    }

    /// Prepares a statement on this connection, unless it is or is parsed each time.
    pub(super) async fn prepare(&self, sql: &Sql) -> Result<(), Error> {
        if self.sending != Sending::Cached {
            return Ok(());
        }
        let prepared = async {
            match self.to {
                To::Client(client) => client.prepare_typed_cached(&sql.text, &sql.types).await.map(drop),
                To::Transaction(tx) => tx.prepare_typed_cached(&sql.text, &sql.types).await.map(drop),
            }
        };
        in_time(self.patience, prepared).await
    }

    /// Sends a statement: prepared once for each connection, or parsed each time, which works through a pooler. Outside
    /// of a transaction it runs in a separate one at READ COMMITTED, without another round trip.
    pub(super) async fn query(&self, sql: &Sql, params: &Params<'_>) -> Result<Vec<Row>, Error> {
        in_time(self.patience, self.answer(sql, params)).await
    }

    async fn answer(&self, sql: &Sql, params: &Params<'_>) -> Result<Vec<Row>, Error> {
        let typed: Vec<_> = params.iter().copied().zip(sql.types.iter().cloned()).collect();
        match (self.to, self.sending) {
            (To::Client(client), Sending::Cached) => {
                let statement = client.prepare_typed_cached(&sql.text, &sql.types).await?;
                read_committed(client, client.query(&statement, params)).await
            }
            (To::Client(client), _) => read_committed(client, client.query_typed(&sql.text, &typed)).await,
            (To::Transaction(tx), Sending::Cached) => {
                let statement = tx.prepare_typed_cached(&sql.text, &sql.types).await?;
                tx.query(&statement, params).await
            }
            (To::Transaction(tx), _) => tx.query_typed(&sql.text, &typed).await,
        }
    }

    /// Sends a statement that only reads, by itself: what its isolation level is makes no difference.
    pub(super) async fn read(&self, sql: &Sql, params: &Params<'_>) -> Result<Vec<Row>, Error> {
        let To::Client(client) = self.to else { return self.query(sql, params).await };
        if self.sending == Sending::Cached {
            let statement = client.prepare_typed_cached(&sql.text, &sql.types).await?;
            return client.query(&statement, params).await;
        }
        let typed: Vec<_> = params.iter().copied().zip(sql.types.iter().cloned()).collect();
        client.query_typed(&sql.text, &typed).await
    }

    pub(super) async fn query_opt(&self, sql: &Sql, params: &Params<'_>) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }
}

/// Waits for PostgreSQL's answer, but not for a server that is gone without a word: nothing else would end such a
/// connection for many minutes.
pub(super) async fn in_time<T>(patience: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // The crate `postgres` makes its timeouts by the same function.
    tokio::time::timeout(patience, Box::pin(answer)).await.unwrap_or_else(|_| Err(Error::__private_api_timeout()))
}

/// Runs one statement in a transaction at READ COMMITTED, whatever the default of the database or the role is.
///
/// All three parts are sent when they are first polled, one after the other, so the answers take one round trip, and a
/// caller that stops waiting leaves no transaction open. After an error in the statement, COMMIT rolls back.
async fn read_committed(
    client: &ClientWrapper,
    statement: impl Future<Output = Result<Vec<Row>, Error>>,
) -> Result<Vec<Row>, Error> {
    let begin = client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED");
    let (begun, rows, committed) = tokio::join!(biased; begin, statement, client.batch_execute("COMMIT"));
    begun?;
    let rows = rows?;
    committed?;
    Ok(rows)
}
