use std::time::Duration;

use super::Security;

/// The addresses of the brokers, and the time to wait for them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Brokers of the cluster, as `host:port`; the others are learned from them.
    pub bootstrap: Vec<String>,
    /// The `client.id` that brokers log.
    pub client_id: String,
    /// The limit for opening a connection, until requests can be sent.
    pub connect_timeout: Duration,
    /// The limit for an answer.
    pub request_timeout: Duration,
    /// The limit for all attempts of a request that changes nothing. After it, the call returns the last error.
    pub retry_timeout: Duration,
    /// The largest answer in bytes. A larger one closes its connection.
    pub max_answer: usize,
    /// The most bytes of one produce request; a larger batch goes alone.
    pub max_request: usize,
    /// TLS and login.
    pub security: Security,
}

impl Settings {
    /// Creates the settings of a cluster from the addresses of some of its brokers.
    pub fn new(bootstrap: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            bootstrap: bootstrap.into_iter().map(Into::into).collect(),
            client_id: "outbox-relay".to_owned(),
            connect_timeout: Duration::from_secs(10),
            // That of Kafka's own clients.
            request_timeout: Duration::from_secs(30),
            retry_timeout: Duration::from_secs(30),
            // A fetch returns at least one whole batch, so this must be above the broker's `message.max.bytes`.
            max_answer: 128 * 1024 * 1024,
            // Below the broker's `socket.request.max.bytes`, 100 MiB by default.
            max_request: 8 * 1024 * 1024,
            security: Security::default(),
        }
    }
}
