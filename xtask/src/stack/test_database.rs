use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Stack, StackError, sql};

/// The timeout of a removal, which waits for a slot's reader and for a checkpoint.
const PATIENCE: Duration = Duration::from_secs(300);

/// A database for one test. Dropping the value drops the database with its replication slots.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    server: String,
}

impl Stack {
    /// Creates an empty database for one test.
    pub fn test_database(&self) -> Result<TestDatabase, StackError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let server = self.postgres_url();
        // A killed test process with the same pid may have left the database.
        on_server(&server, &removal(&name))?;
        on_server(&server, &[format!("CREATE DATABASE {name}")])?;
        Ok(TestDatabase { url: self.database_url(&name), server, name })
    }
}

impl TestDatabase {
    /// Returns its name, which is unique on the server and legal in the name of a slot, a role and a topic.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the superuser's connection to it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Err(error) = on_server(&self.server, &removal(&self.name)) {
            eprintln!("the test database {} stays behind: {error:?}", self.name);
        }
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

fn on_server(url: &str, statements: &[String]) -> Result<(), StackError> {
    sql::run(url, statements.to_vec(), PATIENCE)
        .map_err(|error| StackError::caused(format!("PostgreSQL did not do: {}", statements.join("; ")), error))
}
