use std::collections::BTreeMap;

use super::account::Account;
use super::cluster::Cluster;
use super::durability::Durability;
use super::error::{Kind, PostgresError};
use super::programs::Programs;
use super::server::{Postgres, Server};

/// How a server is to be, where [`Postgres::start`] is not what is wanted.
#[derive(Debug, Clone)]
pub struct PostgresBuilder {
    downloaded: bool,
    durability: Durability,
    settings: BTreeMap<String, String>,
}

impl PostgresBuilder {
    pub(super) fn new() -> Self {
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

    /// Uses the version that this crate downloads even where one is installed, so that all machines run the same.
    ///
    /// `OUTBOX_POSTGRES_BIN` still has the last word.
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

    /// Changes a setting of the server, as in `postgresql.conf`. `port` is chosen again at each start, whatever is said
    /// here.
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
        let programs = Programs::find(self.downloaded, account.as_ref()).await?;
        // It blocks, and continues to its end when nobody waits for it any more.
        let cluster = tokio::task::spawn_blocking(move || Cluster::initialise(programs, account))
            .await
            .map_err(|error| PostgresError::caused(Kind::Runtime, error))??;
        let mut settings = self.settings;
        for (name, value) in self.durability.settings() {
            settings.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
        }
        Server::start(cluster, settings).await.map(Postgres::new)
    }
}
