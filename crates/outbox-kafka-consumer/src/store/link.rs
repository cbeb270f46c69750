use deadpool_postgres::tokio_postgres::types::ToSql;
use deadpool_postgres::tokio_postgres::{Error, Row};
use deadpool_postgres::{ClientWrapper, Transaction};
use outbox_pg::Statements as Sending;

use super::statements::Sql;

/// Where a statement is sent, and how.
#[derive(Clone, Copy)]
pub(crate) struct Link<'a> {
    to: To<'a>,
    sending: Sending,
}

#[derive(Clone, Copy)]
enum To<'a> {
    Client(&'a ClientWrapper),
    Transaction(&'a Transaction<'a>),
}

pub(super) type Params<'a> = [&'a (dyn ToSql + Sync)];

impl<'a> Link<'a> {
    pub(super) fn client(client: &'a ClientWrapper, sending: Sending) -> Self {
        Self { to: To::Client(client), sending }
    }

    pub(super) fn transaction(tx: &'a Transaction<'a>, sending: Sending) -> Self {
        Self { to: To::Transaction(tx), sending }
    }

    /// Prepares a statement on this connection, unless it is or is parsed each time.
    pub(super) async fn prepare(&self, sql: &Sql) -> Result<(), Error> {
        if self.sending != Sending::Cached {
            return Ok(());
        }
        match self.to {
            To::Client(client) => client.prepare_typed_cached(&sql.text, &sql.types).await.map(drop),
            To::Transaction(tx) => tx.prepare_typed_cached(&sql.text, &sql.types).await.map(drop),
        }
    }

    /// Prepared once for each connection, or parsed each time, which works through a pooler.
    pub(super) async fn query(&self, sql: &Sql, params: &Params<'_>) -> Result<Vec<Row>, Error> {
        if self.sending == Sending::Cached {
            return match self.to {
                To::Client(client) => {
                    let statement = client.prepare_typed_cached(&sql.text, &sql.types).await?;
                    client.query(&statement, params).await
                }
                To::Transaction(tx) => {
                    let statement = tx.prepare_typed_cached(&sql.text, &sql.types).await?;
                    tx.query(&statement, params).await
                }
            };
        }
        let typed: Vec<_> = params.iter().copied().zip(sql.types.iter().cloned()).collect();
        match self.to {
            To::Client(client) => client.query_typed(&sql.text, &typed).await,
            To::Transaction(tx) => tx.query_typed(&sql.text, &typed).await,
        }
    }

    pub(super) async fn query_opt(&self, sql: &Sql, params: &Params<'_>) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }
}
