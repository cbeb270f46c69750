use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_postgres::Config;

use super::admin;
use super::cluster::{Cluster, SUPERUSER};
use super::error::{Kind, PostgresError};
use super::guarded::Guarded;
use super::home::{log_length, log_tail};

/// How long a server may take until it answers, recovery after a crash included.
const START: Duration = Duration::from_secs(60);
/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// Between the choice of a free port and its use, another process may take it.
const PORTS: usize = 5;

/// A postmaster that serves a cluster.
pub(super) struct Server {
    // Before the cluster, whose files it uses until it is dropped.
    postmaster: Arc<Mutex<Guarded>>,
    pub(super) cluster: Cluster,
    settings: BTreeMap<String, String>,
    port: u16,
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

    /// Ends the postmaster as a crash would, and starts it again.
    pub(super) async fn crash(&self) -> Result<(), PostgresError> {
        let mut postmaster = Arc::clone(&self.postmaster).lock_owned().await;
        let ended = tokio::task::spawn_blocking(move || {
            postmaster.end();
            postmaster
        });
        let mut postmaster = ended.await.map_err(|error| PostgresError::caused(Kind::Runtime, error))?;
        *postmaster = launch(&self.cluster, &self.settings, self.port).await?;
        Ok(())
    }

    pub(super) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgresql://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.cluster.password.0, self.port)
    }

    /// Returns the superuser's connection to the database `postgres`.
    pub(super) fn config(&self) -> Config {
        config(&self.cluster, self.port)
    }
}

async fn launch(cluster: &Cluster, settings: &BTreeMap<String, String>, port: u16) -> Result<Guarded, PostgresError> {
    let mut args = vec!["-D".to_owned(), cluster.home.data().display().to_string()];
    for (name, value) in settings {
        args.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    args.extend(["-c".to_owned(), format!("port={port}")]);
    let log_start = log_length(&cluster.home.log());
    let program = cluster.programs.directory.join("postgres");
    let mut postmaster = Guarded::spawn(&program, &args, &cluster.home, cluster.account.as_ref())?;

    let (config, began) = (config(cluster, port), Instant::now());
    loop {
        let Err(reason) = admin::run(&config, &[], ATTEMPT).await else {
            return Ok(postmaster);
        };
        if postmaster.has_ended() {
            return Err(PostgresError::new(Kind::Ended { log: log_tail(&cluster.home.log(), log_start) }));
        }
        if began.elapsed() > START {
            let log = log_tail(&cluster.home.log(), log_start);
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
