use futures_util::future::BoxFuture;

use super::PgError;

/// A transaction of either driver. If it is dropped, it is rolled back.
pub enum Transaction<'a> {
    TokioPostgres(deadpool_postgres::Transaction<'a>),
    #[cfg(feature = "sqlx")]
    Sqlx(super::sqlx::Transaction<'a>),
}

impl<'a> Transaction<'a> {
    /// Returns the transaction of tokio-postgres, if it is one.
    pub fn as_tokio_postgres(&self) -> Option<&deadpool_postgres::Transaction<'a>> {
        match self {
            Self::TokioPostgres(tx) => Some(tx),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(_) => None,
        }
    }

    /// Creates a transaction that no connection of the store has.
    #[cfg(feature = "sqlx")]
    pub fn of_sqlx(tx: ::sqlx::Transaction<'a, ::sqlx::Postgres>) -> Self {
        Self::Sqlx(super::sqlx::Transaction::new(tx))
    }

    /// Returns the transaction of sqlx, if it is one.
    #[cfg(feature = "sqlx")]
    pub fn as_sqlx(&mut self) -> Option<&mut ::sqlx::Transaction<'a, ::sqlx::Postgres>> {
        match self {
            Self::TokioPostgres(_) => None,
            Self::Sqlx(tx) => Some(tx.of_handlers()),
        }
    }

    /// Returns whether the driver has rolled the transaction back by itself.
    pub fn was_rolled_back(&self) -> bool {
        match self {
            Self::TokioPostgres(_) => false,
            #[cfg(feature = "sqlx")]
            Self::Sqlx(tx) => tx.was_rolled_back(),
        }
    }

    pub fn commit(self) -> BoxFuture<'a, Result<(), PgError>> {
        match self {
            Self::TokioPostgres(tx) => Box::pin(async { tx.commit().await.map_err(PgError::from) }),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(tx) => Box::pin(async { tx.commit().await.map_err(PgError::from) }),
        }
    }

    pub fn rollback(self) -> BoxFuture<'a, Result<(), PgError>> {
        match self {
            Self::TokioPostgres(tx) => Box::pin(async { tx.rollback().await.map_err(PgError::from) }),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(tx) => Box::pin(async { tx.rollback().await.map_err(PgError::from) }),
        }
    }

    /// Returns whether the driver knows that the connection is lost; `None` if only a statement shows it.
    pub fn is_closed(&self) -> Option<bool> {
        match self {
            Self::TokioPostgres(tx) => Some(tx.client().is_closed()),
            #[cfg(feature = "sqlx")]
            Self::Sqlx(_) => None,
        }
    }
}
