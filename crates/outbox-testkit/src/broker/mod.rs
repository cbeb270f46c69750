//! A Kafka-protocol broker in this process.

mod api;
mod cluster;
mod error;
mod faults;
mod imitation;
mod log;
mod server;
mod settings;
mod shared;
mod topic;
mod transaction;
mod transactions;
mod wire;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use kafka_protocol::ResponseError;

pub use self::error::BrokerError;
pub use self::faults::{Fault, Faults, Injected};
pub use self::imitation::Imitation;
pub use self::log::{Codec, RecordBatch};
use self::log::{Log, Producing};
use self::settings::{AutoCreation, Node, Settings};
use self::shared::Shared;
use self::topic::{Topic, TopicConfig};
pub use self::transaction::Transaction;
pub use self::wire::Api;

/// The settings of a [`Broker`].
#[derive(Debug, Clone)]
#[must_use]
pub struct BrokerBuilder {
    listen: SocketAddr,
    settings: Settings,
}

impl BrokerBuilder {
    fn new() -> Self {
        Self { listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), settings: Settings::default() }
    }

    /// Sets the address to listen on; 127.0.0.1 and a free port by default.
    ///
    /// Metadata names this address to clients, so that an unspecified one (0.0.0.0) is named as 127.0.0.1.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Sets the number of partitions of a topic that is created without one (`num.partitions`): 1 by default.
    pub fn default_partitions(mut self, partitions: i32) -> Self {
        self.settings.default_partitions = partitions;
        self
    }

    /// Sets the largest record batch in bytes (`message.max.bytes`): 1,048,588 by default.
    pub fn max_message_bytes(mut self, bytes: i32) -> Self {
        self.settings.max_message_bytes = bytes;
        self
    }

    /// Disables the automatic creation of topics (`auto.create.topics.enable=false`).
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

    /// Starts the broker, which listens when this returns.
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

/// A Kafka-protocol broker in this process, for development and tests.
///
/// It is one node that keeps all data in memory and listens on 127.0.0.1. It replaces Apache Kafka if a test or a
/// developer's machine has none. It is **not for production**: its data ends with it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), outbox_testkit::BrokerError> {
/// use outbox_testkit::Broker;
///
/// let broker = Broker::start().await?;
/// broker.create_topic("orders", 3)?; // or by a client, or by its first use
/// println!("bootstrap.servers={}", broker.address());
/// # Ok(())
/// # }
/// ```
///
/// # What it serves
/// ApiVersions, Metadata, CreateTopics, DeleteTopics, InitProducerId, Produce, Fetch, ListOffsets, DeleteRecords,
/// DescribeProducers, FindCoordinator, OffsetCommit, OffsetFetch, AddPartitionsToTxn and EndTxn, in the versions that
/// Kafka 4 and the codec share. Record batches (format 2, all codecs) are kept as they were received. A waiting fetch
/// is answered as soon as there are records. An idempotent producer's sequences are checked as Kafka checks them.
/// Transactions end with markers; readers of committed records get the last stable offset and the aborted transactions.
/// Errors are those of Kafka.
///
/// # What it does not do
/// Group membership, transaction timeouts, retention, compaction except on [demand](Self::compact), quotas, ACLs, TLS
/// and SASL, more than one node, and anything on disk.
///
/// # Other brokers
/// [`BrokerBuilder::imitating`] removes features that Kafka-compatible services lack. See
/// [`Imitation`](crate::Imitation).
///
/// # Faults
/// [`faults`](Self::faults) injects rare behaviour of real brokers: lost, late and missing answers, batches appended
/// late, a paused broker, errors of every API, throttling. See [`Fault`](crate::Fault).
///
/// Dropping the value stops the broker and closes its connections.
pub struct Broker {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropped to stop the server.
    running: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Broker {
    /// Starts a broker on a free port of 127.0.0.1.
    pub async fn start() -> Result<Self, BrokerError> {
        Self::builder().start().await
    }

    /// Creates a builder of a broker with other settings than the defaults.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::new()
    }

    fn new(address: SocketAddr, shared: Arc<Shared>, running: oneshot::Sender<()>, server: JoinHandle<()>) -> Self {
        Self { address, shared, running: Some(running), server }
    }

    /// Returns the address, as `host:port` for `bootstrap.servers`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns the faults, to inject some.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Creates a topic, as CreateTopics does.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), BrokerError> {
        self.shared
            .write(|cluster| cluster.create_topic(name, partitions, TopicConfig::new(&self.shared.settings)))
            .map(|_id| ())
            .map_err(|refusal| BrokerError::topic(name, refusal.error))
    }

    /// Appends a batch of records to a partition without a client, and returns the offset of the first one.
    ///
    /// # Errors
    /// The topic or the partition does not exist, or the batch is refused: [`BrokerError::code`] gives the reason.
    pub fn append(&self, topic: &str, partition: i32, batch: impl Into<RecordBatch>) -> Result<i64, BrokerError> {
        self.shared.append(topic, partition, batch.into(), Producing::PLAIN).map(|(base_offset, _taken)| base_offset)
    }

    /// Begins a transaction whose records a test appends without a client.
    pub fn begin_transaction(&self) -> Transaction {
        Transaction::new(Arc::clone(&self.shared))
    }

    /// Compacts a partition as Kafka does with `cleanup.policy=compact`, all but its newest batch.
    ///
    /// The newest record of each key stays. Batches keep their offsets, and those without records are removed, so that
    /// readers encounter gaps. The setting of the topic does not matter.
    ///
    /// # Errors
    /// The topic or the partition does not exist.
    pub fn compact(&self, topic: &str, partition: i32) -> Result<(), BrokerError> {
        let compacted = self.shared.write(|cluster| cluster.log_mut(topic, partition).map(Log::compact));
        compacted.map_err(|error| BrokerError::append(topic, partition, error))
    }

    /// Forgets all idempotent producers, as Kafka does with one that has sent nothing for a day (counted by the
    /// timestamps of its records): repeated batches are appended again.
    pub fn forget_producers(&self) {
        self.shared.write(|cluster| cluster.topics_mut().flat_map(Topic::logs_mut).for_each(Log::forget_producers));
    }

    /// Stops the broker, and returns when its port is free and its connections are closed.
    pub async fn shutdown(mut self) {
        self.running.take();
        // The server does not fail. If its runtime has ended, the server has ended, too.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("address", &self.address).finish_non_exhaustive()
    }
}
