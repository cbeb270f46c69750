use crate::Error;
use crate::session::Session;

/// The pool that the worker gets its connections from.
pub(super) enum Pool {
    #[cfg(feature = "deadpool")]
    Deadpool(deadpool_postgres::Pool),
    #[cfg(feature = "sqlx")]
    Sqlx(::sqlx::PgPool),
}

/// A connection of the pool.
pub(super) enum Connection {
    #[cfg(feature = "deadpool")]
    Deadpool(deadpool_postgres::Object),
    #[cfg(feature = "sqlx")]
    Sqlx(::sqlx::pool::PoolConnection<::sqlx::Postgres>),
}

impl Pool {
    pub(super) async fn get(&self) -> Result<Connection, Error> {
        match self {
            #[cfg(feature = "deadpool")]
            Self::Deadpool(pool) => pool.get().await.map(Connection::Deadpool).map_err(Error::pool),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(pool) => pool.acquire().await.map(Connection::Sqlx).map_err(Error::pool),
        }
    }
}

impl Connection {
    pub(super) fn session(&mut self) -> Session<'_> {
        match self {
            #[cfg(feature = "deadpool")]
            Self::Deadpool(client) => Session::Client(client),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(connection) => Session::from(&mut **connection),
        }
    }
}
