//! A throw-away PostgreSQL server.

#[cfg(not(unix))]
compile_error!("the feature `postgres` of outbox-testkit starts PostgreSQL by means that only Unix systems have");

mod account;
mod admin;
mod database;
#[cfg(feature = "download")]
mod download;
mod error;
mod home;
mod programs;
mod random;
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::OnceCell;

pub use self::account::Account;
pub use self::database::Database;
#[cfg(feature = "download")]
pub use self::download::download;
use self::error::Kind;
pub use self::error::PostgresError;
pub use self::programs::Programs;
use self::server::{Cluster, SUPERUSER, Server};

/// A throw-away PostgreSQL server on a free port of 127.0.0.1, with logical decoding on.
///
/// ```no_run
/// use outbox_testkit::Postgres;
/// use tokio_postgres::NoTls;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let postgres = Postgres::shared().await?;
/// let database = postgres.database().await?;
/// let (client, connection) = tokio_postgres::connect(database.url(), NoTls).await?;
/// # Ok(())
/// # }
/// ```
///
/// Its programs are those in the directory that `OUTBOX_POSTGRES_BIN` names, else the installed ones (version 14 or
/// newer), else, with the feature `download`, ones from Maven Central, kept in the user's cache directory (as root in
/// `/var/cache`, if the former is closed to others). If this process is root, PostgreSQL runs as the user `postgres` or
/// `nobody`, because it refuses to run as root.
///
/// It stops, and its data is removed, when the last clone of this value and the last [`Database`] on it are dropped.
/// The same happens if the process ends in any other way, such as by `kill -9`.
#[derive(Clone)]
pub struct Postgres(Arc<Server>);

impl Postgres {
    /// Starts a server with installed programs, or else with downloaded ones, and waits until it answers.
    ///
    /// # Errors
    /// [`PostgresError::is_not_installed`] if there are no programs and none could be had.
    pub async fn start() -> Result<Self, PostgresError> {
        Self::builder().start().await
    }

    /// Returns the one server that all tests of this process share, started by the first of them. It ends with the
    /// process.
    ///
    /// If each test is its own process, as with cargo-nextest, each has its own server.
    pub async fn shared() -> Result<Self, PostgresError> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await.cloned()
    }

    /// Creates a builder of a server with its own settings.
    #[must_use]
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::new()
    }

    /// Creates an empty database, dropped with the value that stands for it.
    pub async fn database(&self) -> Result<Database, PostgresError> {
        Database::create(Arc::clone(&self.0)).await
    }

    /// Returns the superuser's connection to the database `postgres`, for operations on the whole server.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url(SUPERUSER)
    }

    /// Returns the server's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Ends the server as a crash would and starts it again in the same place, with all committed data. Slots are at
    /// the position of the last checkpoint.
    ///
    /// The server stays down when the future is dropped halfway.
    pub async fn crash(&self) -> Result<(), PostgresError> {
        self.0.crash().await
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("server", &self.0).finish()
    }
}

/// The options of a server, for uses that [`Postgres::start`] does not suit.
#[derive(Debug, Clone)]
pub struct PostgresBuilder {
    downloaded: bool,
    durability: Durability,
    settings: BTreeMap<String, String>,
}

impl PostgresBuilder {
    fn new() -> Self {
        let defaults = [
            ("listen_addresses", "127.0.0.1"),
            // Their names must be short, which a temporary directory's may not be.
            ("unix_socket_directories", ""),
            ("wal_level", "logical"),
            ("max_replication_slots", "32"),
            ("max_wal_senders", "32"),
            ("max_connections", "200"),
        ];
        let settings = defaults.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { downloaded: false, durability: Durability::default(), settings: settings.into() }
    }

    /// Uses the version that this crate downloads even if another one is installed, so that all machines run the same.
    ///
    /// `OUTBOX_POSTGRES_BIN` takes precedence.
    #[cfg(feature = "download")]
    #[must_use]
    pub fn downloaded(mut self) -> Self {
        self.downloaded = true;
        self
    }

    /// Sets how much of a crash the data survives; [`Durability::Relaxed`] unless set.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Changes a setting of the server, as in `postgresql.conf`. `port` is chosen again at each start and cannot be
    /// set.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// Dropping the future ends what was started and removes it, `initdb` only when it has done its work.
    pub async fn start(self) -> Result<Postgres, PostgresError> {
        let account = Account::for_postgres()?;
        let programs = find(self.downloaded, account.as_ref()).await?;
        // It blocks, and continues to its end even if the future is dropped.
        let cluster = tokio::task::spawn_blocking(move || Cluster::initialise(programs, account))
            .await
            .map_err(|error| PostgresError::caused(Kind::Runtime, error))??;
        let mut settings = self.settings;
        for (name, value) in self.durability.settings() {
            settings.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
        }
        let server = Server::start(cluster, settings).await?;
        Ok(Postgres(Arc::new(server)))
    }
}

/// Finds the programs that the environment names, else installed ones, else downloaded ones.
async fn find(downloaded: bool, account: Option<&Account>) -> Result<Programs, PostgresError> {
    let owned = account.cloned();
    // It runs the programs that it finds.
    let search = tokio::task::spawn_blocking(move || {
        let search = if downloaded { Programs::of_environment } else { Programs::find };
        search(owned.as_ref())
    });
    if let Some(found) = search.await.map_err(|error| PostgresError::caused(Kind::Runtime, error))?? {
        return Ok(found);
    }

    #[cfg(feature = "download")]
    return download::newest(account).await;
    #[cfg(not(feature = "download"))]
    return Err(PostgresError::new(Kind::NotInstalled));
}

/// The durability of data if the machine crashes, and not only the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing is forced to the disk. Committed data survives [`Postgres::crash`](crate::Postgres::crash) and a killed
    /// server, but not a power failure.
    #[default]
    Relaxed,
    /// The setting of production: each commit waits for the disk. For measurements.
    Full,
}

impl Durability {
    /// Returns the settings of `postgresql.conf`. `synchronous_commit` stays on in both: without it a commit reaches a
    /// logical replication stream only with the WAL writer's next round, up to 200 ms later.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Relaxed => &[("fsync", "off"), ("full_page_writes", "off")],
            Self::Full => &[],
        }
    }
}
