//! The types of tokio-postgres and deadpool-postgres that this crate accepts. Those of deadpool-postgres are there with
//! the feature `deadpool`.

use std::sync::Arc;

use tokio_postgres::{Client, Transaction};

use self::sealed::StatementCache;

/// A transaction that [`PgOutbox`](crate::PgOutbox) accepts: that of tokio-postgres, of deadpool-postgres, or the
/// [`Attempt`](crate::Attempt) of a [`RetriedTransaction`](crate::RetriedTransaction). The trait is sealed.
///
/// Statements are cached with the connection of a pool. A bare client of tokio-postgres has no cache, and PostgreSQL
/// parses its statements each time, in one round trip.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transaction of tokio-postgres or deadpool-postgres",
    label = "an event is enqueued in the transaction of its rows",
    note = "begin a transaction, such as by `client.transaction()`, and pass a reference to it"
)]
pub trait PgTransaction: sealed::Transaction {}

impl PgTransaction for Transaction<'_> {}
#[cfg(feature = "deadpool")]
impl PgTransaction for deadpool_postgres::Transaction<'_> {}
impl<T: PgTransaction> PgTransaction for &T {}

/// A connection that [`RetriedTransaction`](crate::RetriedTransaction) accepts: a client of tokio-postgres or
/// deadpool-postgres. The trait is sealed.
pub trait PgClient: sealed::Client {}

impl PgClient for Client {}
#[cfg(feature = "deadpool")]
impl PgClient for deadpool_postgres::Client {}
#[cfg(feature = "deadpool")]
impl PgClient for deadpool_postgres::ClientWrapper {}

/// Keeps other types from implementing the traits, and their methods out of the public API.
pub(crate) mod sealed {
    #[cfg(feature = "deadpool")]
    pub(crate) use deadpool_postgres::StatementCache;

    use super::Arc;

    /// The cache of statements of a connection. Without a pool there is none.
    #[cfg(not(feature = "deadpool"))]
    #[derive(Debug)]
    pub enum StatementCache {}

    #[cfg(not(feature = "deadpool"))]
    impl StatementCache {
        pub fn prepare_typed(
            &self,
            _: &tokio_postgres::Client,
            _: &str,
            _: &[tokio_postgres::types::Type],
        ) -> std::future::Ready<Result<tokio_postgres::Statement, tokio_postgres::Error>> {
            match *self {}
        }
    }

    pub trait Transaction: Sync {
        fn driver(&self) -> &tokio_postgres::Transaction<'_>;

        fn cache(&self) -> Option<&StatementCache>;
    }

    pub trait Client: Send {
        fn parts(&mut self) -> (&mut tokio_postgres::Client, Option<Arc<StatementCache>>);
    }
}

impl sealed::Transaction for Transaction<'_> {
    fn driver(&self) -> &Transaction<'_> {
        self
    }

    fn cache(&self) -> Option<&StatementCache> {
        None
    }
}

#[cfg(feature = "deadpool")]
impl sealed::Transaction for deadpool_postgres::Transaction<'_> {
    fn driver(&self) -> &Transaction<'_> {
        self
    }

    fn cache(&self) -> Option<&StatementCache> {
        Some(&self.statement_cache)
    }
}

impl<T: sealed::Transaction> sealed::Transaction for &T {
    fn driver(&self) -> &Transaction<'_> {
        T::driver(self)
    }

    fn cache(&self) -> Option<&StatementCache> {
        T::cache(self)
    }
}

impl sealed::Client for Client {
    fn parts(&mut self) -> (&mut Client, Option<Arc<StatementCache>>) {
        (self, None)
    }
}

#[cfg(feature = "deadpool")]
impl sealed::Client for deadpool_postgres::ClientWrapper {
    fn parts(&mut self) -> (&mut Client, Option<Arc<StatementCache>>) {
        let cache = Arc::clone(&self.statement_cache);
        (self, Some(cache))
    }
}

#[cfg(feature = "deadpool")]
impl sealed::Client for deadpool_postgres::Client {
    fn parts(&mut self) -> (&mut Client, Option<Arc<StatementCache>>) {
        deadpool_postgres::ClientWrapper::parts(self)
    }
}
