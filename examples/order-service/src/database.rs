use std::error::Error;
use std::time::Duration;

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime};
use outbox_net::{PostgresTls, Tls};
use tokio_postgres::Config;

const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(5);

/// The address of the database, and the TLS of connections to it.
#[derive(Clone, Debug)]
pub struct Database {
    config: Config,
    tls: Tls,
}

/// The reason why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The setting is no connection string. Its text is not reported: there may be a password in it.
    #[error(
        "DATABASE_URL (--database-url) is not the address of a PostgreSQL database; \
         its form is postgres://USER:PASSWORD@HOST:PORT/DATABASE"
    )]
    Address,
    /// TLS cannot be used as the address describes it.
    #[error("TLS to PostgreSQL cannot be used as DATABASE_URL (--database-url) describes it")]
    Tls(#[source] outbox_net::Error),
    /// The pool could not be made.
    #[error("the pool of connections cannot be made")]
    Pool(#[source] deadpool_postgres::BuildError),
    /// The server does not let us in, or there is none.
    #[error(
        "cannot connect to the database {database:?} at {server}; check that PostgreSQL runs there, and the user and password in DATABASE_URL"
    )]
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
    /// Reads a connection string, in the form of a URL or of keys and values. A URL may also have libpq's `sslmode`,
    /// `sslrootcert`, `sslcert` and `sslkey`.
    ///
    /// # Errors
    /// [`DatabaseError::Address`], [`DatabaseError::Tls`]
    pub fn new(url: &str) -> Result<Self, DatabaseError> {
        let (url, parameters) = without_tls_parameters(url);
        let parameter = |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let (mode, tls) = PostgresTls::settings(parameter).map_err(DatabaseError::Tls)?;

        let mut config: Config = url.parse().map_err(|_| DatabaseError::Address)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(DatabaseError::Address);
        }
        if !parameters.is_empty() {
            config.ssl_mode(mode);
        }
        if config.get_application_name().is_none() {
            config.application_name("order-service");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        Ok(Self { config, tls })
    }

    /// Creates a pool of connections; none is opened yet.
    ///
    /// # Errors
    /// [`DatabaseError::Pool`], or a certificate cannot be read ([`DatabaseError::Tls`]).
    pub async fn pool(&self) -> Result<Pool, DatabaseError> {
        let tls = PostgresTls::new(&self.tls).await.map_err(DatabaseError::Tls)?;
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        Pool::builder(Manager::from_config(self.config.clone(), tls, manager))
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .build()
            .map_err(DatabaseError::Pool)
    }

    /// Returns a connection of the pool, with an error that names the server.
    ///
    /// # Errors
    /// [`DatabaseError::Connect`]
    pub async fn connect(&self, pool: &Pool) -> Result<Client, DatabaseError> {
        pool.get().await.map_err(|source| DatabaseError::Connect {
            server: self.server(),
            database: self.config.get_dbname().or(self.config.get_user()).unwrap_or_default().to_owned(),
            source: below(source),
        })
    }

    fn server(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(name)) => name.clone(),
            Some(tokio_postgres::config::Host::Unix(path)) => path.display().to_string(),
            None => self.config.get_hostaddrs().first().map(ToString::to_string).unwrap_or_default(),
        };
        format!("{host}:{}", self.config.get_ports().first().unwrap_or(&5432))
    }
}

/// Takes libpq's TLS parameters out of a URL, because tokio-postgres knows only one of them.
fn without_tls_parameters(url: &str) -> (String, Vec<(&str, &str)>) {
    let Some((address, query)) = url.split_once('?') else { return (url.to_owned(), Vec::new()) };
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (tls, others): (Vec<_>, Vec<_>) =
        pairs.partition(|(key, _)| ["sslmode", "sslrootcert", "sslcert", "sslkey"].contains(key));
    let others: Vec<_> = others.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let address = if others.is_empty() { address.to_owned() } else { format!("{address}?{}", others.join("&")) };
    (address, tls)
}

/// Returns the cause below the pool's error, which reports its cause in its own text and as its source.
pub(crate) fn below(error: PoolError) -> Box<dyn Error + Send + Sync> {
    match error {
        PoolError::Backend(error) => Box::new(error),
        error => Box::new(error),
    }
}
