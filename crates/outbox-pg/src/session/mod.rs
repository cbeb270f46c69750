//! The session that statements of operation are sent on: that of tokio-postgres, or of sqlx. Each statement is written
//! once, with parameters and values as tokio-postgres has them.

mod error;
mod row;
#[cfg(feature = "sqlx")]
mod sqlx;
mod timeouts;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Transaction};

pub(crate) use self::error::{DriverError, fault_of};
pub(crate) use self::row::Row;
pub(crate) use self::timeouts::Timeouts;

/// A session of PostgreSQL, or a transaction in it.
pub(crate) enum Session<'a> {
    Client(&'a Client),
    Transaction(&'a Transaction<'a>),
    #[cfg(feature = "sqlx")]
    Sqlx(sqlx::SqlxSession<'a>),
}

impl<'a> From<&'a Client> for Session<'a> {
    fn from(client: &'a Client) -> Self {
        Self::Client(client)
    }
}

impl<'a> From<&'a Transaction<'a>> for Session<'a> {
    fn from(tx: &'a Transaction<'a>) -> Self {
        Self::Transaction(tx)
    }
}

#[cfg(feature = "sqlx")]
impl<'a> From<&'a mut ::sqlx::PgConnection> for Session<'a> {
    fn from(connection: &'a mut ::sqlx::PgConnection) -> Self {
        Self::Sqlx(sqlx::SqlxSession::new(connection))
    }
}

impl Session<'_> {
    pub(crate) async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DriverError> {
        let rows = match self {
            Self::Client(client) => client.query(sql, params).await?,
            Self::Transaction(tx) => tx.query(sql, params).await?,
            #[cfg(feature = "sqlx")]
            Self::Sqlx(session) => {
                let rows = session.query(sql, params).await?;
                return Ok(rows.into_iter().map(Row::Sqlx).collect());
            }
        };
        Ok(rows.into_iter().map(Row::TokioPostgres).collect())
    }

    pub(crate) async fn query_opt(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, DriverError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    pub(crate) async fn query_one(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Row, DriverError> {
        self.query_opt(sql, params).await?.ok_or(DriverError::NoRow)
    }

    pub(crate) async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, DriverError> {
        match self {
            Self::Client(client) => Ok(client.execute(sql, params).await?),
            Self::Transaction(tx) => Ok(tx.execute(sql, params).await?),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(session) => Ok(session.execute(sql, params).await?),
        }
    }

    /// Sends statements without parameters as one simple query, which is one transaction outside of another.
    pub(crate) async fn batch_execute(&self, sql: &str) -> Result<(), DriverError> {
        match self {
            Self::Client(client) => Ok(client.batch_execute(sql).await?),
            Self::Transaction(tx) => Ok(tx.batch_execute(sql).await?),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(session) => Ok(session.batch_execute(sql).await?),
        }
    }
}
