use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::BoxFuture;

use super::{Connection, PgError};
use crate::Error;

/// The pool of the service.
#[derive(Clone)]
pub enum Pool {
    TokioPostgres(deadpool_postgres::Pool),
    #[cfg(feature = "sqlx")]
    Sqlx(::sqlx::PgPool),
}

impl Pool {
    /// Waits for a connection. A server that does not answer while one is made or tested is given up after `patience`.
    pub fn connection(&self, patience: Duration) -> BoxFuture<'_, Result<Connection, Error>> {
        match self {
            Self::TokioPostgres(pool) => Box::pin(async move { get(pool, patience).await.map(Connection::pooled) }),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(pool) => {
                Box::pin(async move { acquire(pool, patience).await.map(Connection::sqlx).map_err(no_sqlx_connection) })
            }
        }
    }

    /// Waits for a connection as [`connection`](Self::connection) does, and takes it out of the pool.
    pub fn own_connection(&self, patience: Duration) -> BoxFuture<'_, Result<Connection, Error>> {
        match self {
            Self::TokioPostgres(pool) => {
                Box::pin(async move { get(pool, patience).await.map(|object| Connection::own(Object::take(object))) })
            }
            #[cfg(feature = "sqlx")]
            Self::Sqlx(pool) => Box::pin(async move {
                let acquired = acquire(pool, patience).await;
                acquired.map(|connection| Connection::own_sqlx(connection.detach())).map_err(no_sqlx_connection)
            }),
        }
    }

    /// Closes the idle connections.
    pub fn discard_idle(&self) {
        match self {
            Self::TokioPostgres(pool) => {
                pool.retain(|_, _| false);
            }
            #[cfg(feature = "sqlx")]
            Self::Sqlx(pool) => {
                for _ in 0..pool.num_idle() {
                    let Some(connection) = pool.try_acquire() else { break };
                    drop(connection.detach());
                }
            }
        }
    }

    /// Returns how many connections it has at most.
    pub fn max_size(&self) -> usize {
        match self {
            Self::TokioPostgres(pool) => pool.status().max_size,
            #[cfg(feature = "sqlx")]
            Self::Sqlx(pool) => usize::try_from(pool.options().get_max_connections()).unwrap_or(usize::MAX),
        }
    }
}

/// Waits for a connection without a limit while all are in use, but not for a server that does not answer.
async fn get(pool: &deadpool_postgres::Pool, patience: Duration) -> Result<Object, Error> {
    loop {
        match tokio::time::timeout(patience, pool.get()).await {
            Ok(got) => return got.map_err(no_connection),
            Err(_) if pool.status().size >= pool.status().max_size => {}
            Err(_) => return Err(Error::store("give a connection", PgError::no_answer(patience))),
        }
    }
}

fn no_connection(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::store("give a connection", error)
}

#[cfg(feature = "sqlx")]
fn no_sqlx_connection(error: ::sqlx::Error) -> Error {
    match error {
        ::sqlx::Error::PoolTimedOut => {
            let doing = "give a connection within the pool's acquire_timeout: check that the server is reachable, and \
                         that max_connections is larger than the consumer's concurrency";
            Error::store(doing, error)
        }
        error => no_connection(error),
    }
}

/// Waits for a connection as long as the pool's settings say.
#[cfg(feature = "sqlx")]
async fn acquire(
    pool: &::sqlx::PgPool,
    patience: Duration,
) -> Result<::sqlx::pool::PoolConnection<::sqlx::Postgres>, ::sqlx::Error> {
    let (begun, whole) = (tokio::time::Instant::now(), pool.options().get_acquire_timeout());
    loop {
        match tokio::time::timeout(patience, pool.acquire()).await {
            Ok(acquired) => return acquired,
            Err(_) if begun.elapsed() >= whole => return Err(::sqlx::Error::PoolTimedOut),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
impl Pool {
    /// Returns a pool of each driver, to the database at this URL.
    pub fn of_each_driver(url: &str) -> Vec<Self> {
        vec![
            Self::TokioPostgres(outbox_test_support::pool(url, 16)),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(::sqlx::PgPool::connect_lazy(url).unwrap()),
        ]
    }
}
