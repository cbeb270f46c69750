use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::Config;

use super::admin;
use super::builder::PostgresBuilder;
use super::cluster::{Cluster, SUPERUSER};
use super::database::Database;
use super::error::{Kind, PostgresError};
use super::guarded::Guarded;
use super::log;

/// How long a server may take until it answers, recovery after a crash included.
const START: Duration = Duration::from_secs(60);
/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// Between the choice of a free port and its use, another process may take it.
const PORTS: usize = 5;

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
/// `/var/cache`, if the former is closed to others). Where this process is root, which PostgreSQL refuses to be, it
/// runs as the user `postgres` or `nobody`.
///
/// It ends, and its data goes, when the last clone of this value and the last [`Database`] on it are dropped, and also
/// when the process ends in any other way, be it by `kill -9`.
#[derive(Clone)]
pub struct Postgres(Arc<Server>);

pub(super) struct Server {
    // Before the cluster, whose files it uses until it is dropped.
    postmaster: Arc<Mutex<Guarded>>,
    cluster: Cluster,
    settings: BTreeMap<String, String>,
    port: u16,
}

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

    /// Returns the superuser's connection to the database `postgres`, for what concerns the whole server.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url(SUPERUSER)
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.0.port).into()
    }

    /// Ends the server as a crash would and starts it again in the same place, with what was committed; slots are where
    /// the last checkpoint had them.
    ///
    /// The server stays down when the future is dropped halfway.
    pub async fn crash(&self) -> Result<(), PostgresError> {
        let mut postmaster = Arc::clone(&self.0.postmaster).lock_owned().await;
        let ended = tokio::task::spawn_blocking(move || {
            postmaster.end();
            postmaster
        });
        let mut postmaster = ended.await.map_err(|error| PostgresError::caused(Kind::Runtime, error))?;
        *postmaster = launch(&self.0.cluster, &self.0.settings, self.0.port).await?;
        Ok(())
    }

    pub(super) fn new(server: Server) -> Self {
        Self(Arc::new(server))
    }
}

impl Server {
    pub(super) async fn start(cluster: Cluster, settings: BTreeMap<String, String>) -> Result<Self, PostgresError> {
        let mut attempts = 1;
        loop {
            let port = free_port()?;
            match launch(&cluster, &settings, port).await {
                Ok(postmaster) => {
                    let (version, programs) = (cluster.programs.version, cluster.programs.directory.display());
                    tracing::info!(port, version, %programs, "throw-away PostgreSQL listens on 127.0.0.1");
                    return Ok(Self { postmaster: Arc::new(Mutex::new(postmaster)), cluster, settings, port });
                }
                Err(error) if is_port_taken(&error) && attempts < PORTS => attempts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.cluster.password.0, self.port)
    }

    /// Returns the superuser's connection to the database `postgres`.
    pub(super) fn config(&self) -> Config {
        config(&self.cluster, self.port)
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("address", &self.address()).field("cluster", &self.0.cluster).finish()
    }
}

async fn launch(cluster: &Cluster, settings: &BTreeMap<String, String>, port: u16) -> Result<Guarded, PostgresError> {
    let mut args = vec!["-D".to_owned(), cluster.home.data().display().to_string()];
    for (name, value) in settings {
        args.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    args.extend(["-c".to_owned(), format!("port={port}")]);
    let log_start = log::length(&cluster.home.log());
    let program = cluster.programs.directory.join("postgres");
    let mut postmaster = Guarded::spawn(&program, &args, &cluster.home, cluster.account.as_ref())?;

    let (config, began) = (config(cluster, port), Instant::now());
    loop {
        let Err(reason) = admin::run(&config, &[], ATTEMPT).await else {
            return Ok(postmaster);
        };
        if postmaster.has_ended() {
            return Err(PostgresError::new(Kind::Ended { log: log::tail(&cluster.home.log(), log_start) }));
        }
        if began.elapsed() > START {
            let log = log::tail(&cluster.home.log(), log_start);
            return Err(PostgresError::caused(Kind::Deadline { waited: START, log }, reason));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn config(cluster: &Cluster, port: u16) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user(SUPERUSER).password(&cluster.password.0).dbname("postgres");
    config
}

fn free_port() -> Result<u16, PostgresError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| PostgresError::caused(Kind::Port, error))
}

fn is_port_taken(error: &PostgresError) -> bool {
    matches!(error.kind(), Kind::Ended { log } if log.contains("Address already in use"))
}
