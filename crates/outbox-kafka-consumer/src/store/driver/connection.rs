use deadpool_postgres::{ClientWrapper, Object};
use futures_util::future::BoxFuture;

use super::{PgError, Transaction};

/// A connection of the pool, or one that was taken out of it.
pub struct Connection(pub Inner);

pub enum Inner {
    Pooled(Object),
    Own(ClientWrapper),
    #[cfg(feature = "sqlx")]
    Sqlx(super::sqlx::Connection),
}

impl Connection {
    pub fn pooled(object: Object) -> Self {
        Self(Inner::Pooled(object))
    }

    pub fn own(client: ClientWrapper) -> Self {
        Self(Inner::Own(client))
    }

    #[cfg(feature = "sqlx")]
    pub fn sqlx(connection: ::sqlx::pool::PoolConnection<::sqlx::Postgres>) -> Self {
        Self(Inner::Sqlx(super::sqlx::Connection::pooled(connection)))
    }

    #[cfg(feature = "sqlx")]
    pub fn own_sqlx(connection: ::sqlx::PgConnection) -> Self {
        Self(Inner::Sqlx(super::sqlx::Connection::own(connection)))
    }

    /// Closes the connection instead of giving it back to the pool.
    pub fn discard(self) {
        match self.0 {
            Inner::Pooled(object) => drop(Object::take(object)),
            Inner::Own(client) => drop(client),
            #[cfg(feature = "sqlx")]
            Inner::Sqlx(connection) => connection.discard(),
        }
    }

    /// Returns whether the driver knows that the connection is lost.
    pub fn is_closed(&self) -> bool {
        match &self.0 {
            Inner::Pooled(client) => client.is_closed(),
            Inner::Own(client) => client.is_closed(),
            #[cfg(feature = "sqlx")]
            Inner::Sqlx(connection) => connection.is_unsure(),
        }
    }

    /// Returns whether the driver knows that more than a rollback is needed before others may use the session: a
    /// transaction that should have ended is open, or a handler has sent statements outside of its transaction.
    pub fn is_unclean(&self) -> bool {
        match &self.0 {
            Inner::Pooled(_) | Inner::Own(_) => false,
            #[cfg(feature = "sqlx")]
            Inner::Sqlx(connection) => connection.is_unclean(),
        }
    }

    /// Begins a transaction. If it is dropped, it is rolled back.
    pub fn transaction(&mut self) -> BoxFuture<'_, Result<Transaction<'_>, PgError>> {
        let client: &mut ClientWrapper = match &mut self.0 {
            Inner::Pooled(client) => client,
            Inner::Own(client) => client,
            #[cfg(feature = "sqlx")]
            Inner::Sqlx(connection) => return begin_on_sqlx(connection, "BEGIN"),
        };
        Box::pin(async { Ok(Transaction::TokioPostgres(client.transaction().await?)) })
    }

    /// Begins a transaction at READ COMMITTED, whatever the default of the database or the role is.
    pub fn read_committed_transaction(&mut self) -> BoxFuture<'_, Result<Transaction<'_>, PgError>> {
        use deadpool_postgres::tokio_postgres::IsolationLevel::ReadCommitted;

        let client: &mut ClientWrapper = match &mut self.0 {
            Inner::Pooled(client) => client,
            Inner::Own(client) => client,
            #[cfg(feature = "sqlx")]
            Inner::Sqlx(connection) => return begin_on_sqlx(connection, super::command::BEGIN_READ_COMMITTED),
        };
        Box::pin(async {
            let begun = client.build_transaction().isolation_level(ReadCommitted).start().await?;
            Ok(Transaction::TokioPostgres(begun))
        })
    }
}

#[cfg(feature = "sqlx")]
fn begin_on_sqlx<'a>(
    connection: &'a mut super::sqlx::Connection,
    begin: &'static str,
) -> BoxFuture<'a, Result<Transaction<'a>, PgError>> {
    Box::pin(async move { connection.transaction(begin).await.map(Transaction::Sqlx) })
}
