use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::error::BrokerError;
use super::handle::Broker;
use super::imitation::Imitation;
use super::server;
use super::shared::{AutoCreation, Node, Settings, Shared};

/// The settings of a [`Broker`].
#[derive(Debug, Clone)]
#[must_use]
pub struct BrokerBuilder {
    listen: SocketAddr,
    settings: Settings,
}

impl BrokerBuilder {
    pub(super) fn new() -> Self {
        Self { listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), settings: Settings::default() }
    }

    /// Sets the address to listen on; 127.0.0.1 and a free port if it is not said.
    ///
    /// Metadata names this address to clients, so that an unspecified one (0.0.0.0) is named as 127.0.0.1.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Partitions of a topic that is made without a number of them (`num.partitions`): 1 if it is not said.
    pub fn default_partitions(mut self, partitions: i32) -> Self {
        self.settings.default_partitions = partitions;
        self
    }

    /// Sets the largest record batch in bytes (`message.max.bytes`): 1,048,588 if it is not said.
    pub fn max_message_bytes(mut self, bytes: i32) -> Self {
        self.settings.max_message_bytes = bytes;
        self
    }

    /// Lets only CreateTopics make topics (`auto.create.topics.enable=false`).
    pub fn without_auto_creation(mut self) -> Self {
        self.settings.auto_creation = AutoCreation::Never;
        self
    }

    /// Lets the broker differ from Apache Kafka 4. A limit of the imitation replaces
    /// [`max_message_bytes`](Self::max_message_bytes), unless that is set afterwards.
    pub fn imitating(mut self, imitation: Imitation) -> Self {
        if let Some(bytes) = imitation.message_limit() {
            self.settings.max_message_bytes = bytes;
        }
        self.settings.imitation = imitation;
        self
    }

    /// Starts the broker; it listens when this returns.
    pub async fn start(self) -> Result<Broker, BrokerError> {
        let failed = |cause| BrokerError::listen(self.listen, cause);
        let listener = TcpListener::bind(self.listen).await.map_err(failed)?;
        let mut address = listener.local_addr().map_err(failed)?;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let shared = Arc::new(Shared::new(Node::at(address), self.settings));
        let (running, stopped) = oneshot::channel();
        let server = tokio::spawn(server::run(listener, Arc::clone(&shared), stopped));
        Ok(Broker::new(address, shared, running, server))
    }
}
