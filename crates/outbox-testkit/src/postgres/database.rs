use std::sync::Arc;
use std::time::Duration;

use super::admin;
use super::error::PostgresError;
use super::random;
use super::server::Server;

/// The timeout of CREATE and DROP DATABASE: the first copies files, and the second waits for sessions.
const PATIENCE: Duration = Duration::from_secs(120);

/// An empty database that no other test uses. Dropping the value drops the database and its replication slots, even if
/// sessions are open.
///
/// Its server lives at least as long.
pub struct Database {
    server: Arc<Server>,
    name: String,
    url: String,
}

impl Database {
    pub(super) async fn create(server: Arc<Server>) -> Result<Self, PostgresError> {
        let name = format!("test_{}", random::hex::<6>()?);
        // The value is created before the statement, so that the database is also dropped if the future is dropped.
        let database = Self { url: server.url(&name), server, name };
        // Unlike the default, `template0` has no sessions that would block the copy.
        let statement = format!("CREATE DATABASE {} TEMPLATE template0", database.name);
        admin::run(&database.server.config(), &[statement], PATIENCE)
            .await
            .map_err(PostgresError::database("create a database"))?;
        Ok(database)
    }

    /// Returns its name, which is unique and legal in the names of slots, roles and topics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the superuser's connection to it, with the password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Dropping the last value stops the server and removes its data.
        if Arc::strong_count(&self.server) == 1 {
            return;
        }
        if let Err(error) = admin::run_blocking(&self.server.config(), &removal(&self.name), PATIENCE) {
            tracing::warn!(database = self.name, error, "database stays until its server ends");
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("name", &self.name).finish_non_exhaustive()
    }
}

fn removal(name: &str) -> [String; 3] {
    let slots = format!("FROM pg_replication_slots WHERE database = '{name}'");
    [
        format!("SELECT pg_terminate_backend(active_pid, 5000) {slots} AND active"),
        format!("SELECT pg_drop_replication_slot(slot_name) {slots}"),
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
    ]
}
