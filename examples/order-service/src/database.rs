use std::error::Error;
use std::time::Duration;

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use tokio_postgres::{Config, NoTls};

const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// The address of the database.
#[derive(Clone, Debug)]
pub struct Database(Config);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The setting is no connection string. Its text is not reported: there may be a password in it.
    #[error(
        "DATABASE_URL (--database-url) is not the address of a PostgreSQL database; \
         its form is postgres://USER:PASSWORD@HOST:PORT/DATABASE"
    )]
    Address,
    /// The pool could not be made.
    #[error("the pool of connections cannot be made")]
    Pool(#[source] deadpool_postgres::BuildError),
    /// The server does not let us in, or there is none.
    #[error("cannot connect to the database {database:?} at {server} (DATABASE_URL)")]
    Connect {
        /// Host and port.
        server: String,
        /// The name of the database.
        database: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Database {
    /// Reads a connection string, in the form of a URL or of keys and values.
    ///
    /// # Errors
    /// [`DatabaseError::Address`]
    pub fn new(url: &str) -> Result<Self, DatabaseError> {
        let mut config: Config = url.parse().map_err(|_| DatabaseError::Address)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(DatabaseError::Address);
        }
        if config.get_application_name().is_none() {
            config.application_name("order-service");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        Ok(Self(config))
    }

    /// Returns a pool of connections; none is opened yet.
    ///
    /// # Errors
    /// [`DatabaseError::Pool`]
    pub fn pool(&self) -> Result<Pool, DatabaseError> {
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        Pool::builder(Manager::from_config(self.0.clone(), NoTls, manager))
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .build()
            .map_err(DatabaseError::Pool)
    }

    /// Returns a connection of the pool, with an error that reports where it was to lead.
    ///
    /// # Errors
    /// [`DatabaseError::Connect`]
    pub async fn connect(&self, pool: &Pool) -> Result<Client, DatabaseError> {
        pool.get().await.map_err(|source| DatabaseError::Connect {
            server: self.server(),
            database: self.0.get_dbname().or(self.0.get_user()).unwrap_or_default().to_owned(),
            source: below(source),
        })
    }

    fn server(&self) -> String {
        let host = match self.0.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(name)) => name.clone(),
            Some(tokio_postgres::config::Host::Unix(path)) => path.display().to_string(),
            None => self.0.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
        };
        format!("{host}:{}", self.0.get_ports().first().unwrap_or(&5432))
    }
}

/// Returns the cause below the pool's error, which reports its cause in its own text and as its source.
pub(crate) fn below(error: PoolError) -> Box<dyn Error + Send + Sync> {
    match error {
        PoolError::Backend(error) => Box::new(error),
        error => Box::new(error),
    }
}
