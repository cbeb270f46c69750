use std::thread;
use std::time::Duration;

use outbox_core::ConnectorConfig;
use tokio::task::spawn_blocking;
use xtask::stack::{ConnectRest, StackError};

use crate::stack;

const PATIENCE: Duration = Duration::from_secs(300);

/// A connector of the shared Kafka Connect. Dropping the value deletes the connector.
#[derive(Debug)]
pub struct Connector {
    rest: ConnectRest,
    name: String,
    config: ConnectorConfig,
}

impl Connector {
    /// Names the connector; [`create`](Self::create) and [`start`](Self::start) create it.
    ///
    /// Kafka Connect keeps a connector's offsets indefinitely, so no two connectors may have the same name.
    #[must_use]
    pub fn new(name: &str, config: ConnectorConfig) -> Self {
        Self { rest: stack().connect_rest(), name: name.to_owned(), config }
    }

    /// Creates the connector, or replaces its configuration.
    pub async fn create(&self) {
        let config = serde_json::from_str(&self.config.to_json()).expect("JSON");
        self.ask(move |rest, name| rest.put_config(name, &config)).await;
    }

    /// Creates the connector and waits until its task runs.
    pub async fn start(&self) {
        self.create().await;
        self.ask(|rest, name| rest.wait_running(name, PATIENCE)).await;
    }

    /// Sends a request about the connector, given its name.
    ///
    /// # Panics
    /// Panics if the request fails.
    pub async fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(&ConnectRest, &str) -> Result<T, StackError> + Send + 'static,
    ) -> T {
        let (rest, name) = (self.rest.clone(), self.name.clone());
        spawn_blocking(move || request(&rest, &name).unwrap()).await.unwrap()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        let (rest, name) = (self.rest.clone(), self.name.clone());
        // The client blocks, which is not allowed on a thread of the test's runtime.
        let removed = thread::spawn(move || rest.delete(&name)).join();
        if !matches!(removed, Ok(Ok(()))) {
            eprintln!("the connector {} is not deleted: {removed:?}", self.name);
        }
    }
}
