use std::time::Duration;

use deadpool_postgres::{Manager, Pool, Runtime};
use tokio_postgres::{Client, Error, NoTls};

/// The time that a pool waits for a connection.
const POOL_WAIT: Duration = Duration::from_secs(300);

/// A database and the superuser's connection to its server.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    name: String,
    url: String,
    server: String,
}

impl Database {
    /// Creates an empty database on the server of a superuser's URL.
    pub(crate) async fn create(server: String, name: String) -> Self {
        let (address, _) = server.rsplit_once('/').expect("a URL of a database");
        let database = Self { url: format!("{address}/{name}"), server, name };
        // Unlike the default, `template0` has no sessions that would prevent the copy.
        let create = format!("CREATE DATABASE {} TEMPLATE template0", database.name);
        connect(&database.server).await.batch_execute(&create).await.expect("a new database");
        database
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Replaces the port by which tests reach the database.
    pub(crate) fn through(&mut self, port: u16) {
        let (address, name) = self.url.rsplit_once('/').expect("a URL of a database");
        let (host, _) = address.rsplit_once(':').expect("a URL with a port");
        self.url = format!("{host}:{port}/{name}");
    }

    /// Removes the database, its replication slots, and the roles whose names begin with its name.
    pub(crate) async fn remove(&self) -> Result<(), Error> {
        let (client, connection) = tokio_postgres::connect(&self.server, NoTls).await?;
        tokio::spawn(connection);
        let (name, slots) = (&self.name, format!("FROM pg_replication_slots WHERE database = '{}'", self.name));

        // A reader that is still running could otherwise connect again between the following statements.
        client.batch_execute(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")).await?;
        client.execute(&format!("SELECT pg_terminate_backend(active_pid, 60000) {slots} AND active"), &[]).await?;
        client.execute(&format!("SELECT pg_drop_replication_slot(slot_name) {slots}"), &[]).await?;
        client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await?;

        let roles = "SELECT quote_ident(rolname) FROM pg_roles WHERE starts_with(rolname, $1)";
        for role in client.query(roles, &[name]).await? {
            client.batch_execute(&format!("DROP ROLE IF EXISTS {}", role.get::<_, &str>(0))).await?;
        }
        Ok(())
    }
}

/// Connects to PostgreSQL and runs the connection in a task.
///
/// # Panics
/// Panics if the server refuses the connection.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection to PostgreSQL");
    tokio::spawn(connection);
    client
}

/// Returns a pool of at most `size` connections.
///
/// # Panics
/// Panics if the text is not a URL of PostgreSQL.
#[must_use]
pub fn pool(url: &str, size: usize) -> Pool {
    let manager = Manager::new(url.parse().expect("a URL of PostgreSQL"), NoTls);
    let pool = Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1).wait_timeout(Some(POOL_WAIT));
    pool.build().expect("a pool")
}
