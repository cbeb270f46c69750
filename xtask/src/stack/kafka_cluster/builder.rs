use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::Stack;
use super::super::error::StackError;
use super::super::paths::{self, OwnDirectory};
use super::super::ports::ReservedPort;
use super::super::process::Launch;
use super::super::service::Service;
use super::KafkaCluster;
use super::node::{CONTROLLER, INTERNAL, Node, Role, Shared};
use super::security::{ListenerSecurity, User};

/// The settings of a cluster.
pub struct KafkaClusterBuilder {
    launch: Launch,
    brokers: u8,
    listeners: Vec<(String, ListenerSecurity)>,
    properties: Vec<(String, String)>,
    /// The PEM of the brokers' key and certificate, and that of the authorities for clients.
    certificate: Option<(String, String)>,
    users: Vec<User>,
    jvm_options: Vec<String>,
}

/// The id of a controller that is no broker.
const CONTROLLER_ID: i32 = 1000;

impl Stack {
    /// Returns a builder of a Kafka cluster for one test, which runs the programs of this stack.
    ///
    /// Without further calls it has three brokers with a listener `PLAINTEXT` each. Topics have three replicas, of
    /// which two must be in sync.
    pub fn kafka_cluster(&self) -> Result<KafkaClusterBuilder, StackError> {
        Ok(KafkaClusterBuilder {
            launch: self.state.service(Service::Kafka)?.launch.clone(),
            brokers: 3,
            listeners: vec![(INTERNAL.to_owned(), ListenerSecurity::Plaintext)],
            properties: Vec::new(),
            certificate: None,
            users: Vec::new(),
            // With only the C1 compiler, a broker starts with two thirds of the CPU time.
            jvm_options: vec!["-Xmx320m".to_owned(), "-XX:TieredStopAtLevel=1".to_owned()],
        })
    }
}

impl KafkaClusterBuilder {
    /// Sets the number of brokers; the default is 3.
    #[must_use]
    pub fn brokers(mut self, brokers: u8) -> Self {
        self.brokers = brokers.max(1);
        self
    }

    /// Adds a listener, with its own port on each broker. Names are in capital letters.
    #[must_use]
    pub fn listener(mut self, name: impl Into<String>, security: ListenerSecurity) -> Self {
        self.listeners.push((name.into(), security));
        self
    }

    /// Sets a line of every node's `server.properties`; the last one of a name counts.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Sets the TLS files of the listeners, in PEM: a private key with its certificate for `localhost`, and the
    /// certificates of the authorities for clients' certificates.
    #[must_use]
    pub fn certificate(mut self, key_and_certificate: impl Into<String>, authorities: impl Into<String>) -> Self {
        self.certificate = Some((key_and_certificate.into(), authorities.into()));
        self
    }

    /// Adds a user who can log in with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push(User { name: name.into(), password: password.into() });
        self
    }

    /// Makes brokers ask for an ACL for each request (`StandardAuthorizer`). Who uses the listener `PLAINTEXT` may do
    /// all.
    #[must_use]
    pub fn authorizer(self) -> Self {
        self.property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
            .property("super.users", "User:ANONYMOUS")
    }

    /// Makes brokers end connections that do not log in again in time (`connections.max.reauth.ms`).
    #[must_use]
    pub fn max_reauth(self, limit: Duration) -> Self {
        self.property("connections.max.reauth.ms", limit.as_millis().to_string())
    }

    /// Replaces the options of each node's JVM. The default is a quick start: a heap of 320 MB, and the quick compiler
    /// only.
    #[must_use]
    pub fn jvm_options<'a>(mut self, options: impl IntoIterator<Item = &'a str>) -> Self {
        self.jvm_options = options.into_iter().map(str::to_owned).collect();
        self
    }

    /// Starts all nodes at once, and waits until each broker answers.
    pub fn start(self) -> Result<KafkaCluster, StackError> {
        let home = OwnDirectory::create("kafka")?;
        let is_single = self.brokers == 1;
        let controller = ReservedPort::any()?;
        let properties = self.all_properties(home.path())?;
        let shared = Shared {
            launch: &self.launch,
            home: home.path(),
            controller: (if is_single { 1 } else { CONTROLLER_ID }, controller.number()),
            listeners: &self.listeners,
            properties: &properties,
            scram: &self.users,
            jvm_options: &self.jvm_options,
        };

        let mut controller = Some(controller);
        let mut brokers = BTreeMap::new();

        for id in 1..=i32::from(self.brokers) {
            let mut ports = self.ports()?;
            let role = match controller.take_if(|_| is_single) {
                Some(port) => {
                    ports.insert(CONTROLLER.to_owned(), port);
                    Role::Both
                }
                None => Role::Broker,
            };
            brokers.insert(id, Node::prepare(&shared, id, role, ports)?);
        }

        let controller = match controller {
            Some(port) => {
                let ports = BTreeMap::from([(CONTROLLER.to_owned(), port)]);
                Some(Node::prepare(&shared, CONTROLLER_ID, Role::Controller, ports)?)
            }
            None => None,
        };

        let cluster = KafkaCluster { brokers, _controller: controller, _home: home };
        for node in cluster._controller.iter().chain(cluster.brokers.values()) {
            node.process().spawn()?;
        }
        cluster.brokers.values().try_for_each(Node::await_ready)?;
        Ok(cluster)
    }

    fn ports(&self) -> Result<BTreeMap<String, ReservedPort>, StackError> {
        self.listeners.iter().map(|(name, _)| Ok((name.clone(), ReservedPort::any()?))).collect()
    }

    fn all_properties(&self, home: &Path) -> Result<Vec<(String, String)>, StackError> {
        let replicas = self.brokers.min(3).to_string();
        let in_sync = if self.brokers > 2 { "2" } else { "1" };
        let mut lines: Vec<(String, String)> = [
            ("default.replication.factor", replicas.as_str()),
            ("min.insync.replicas", in_sync),
            ("unclean.leader.election.enable", "false"),
            ("offsets.topic.num.partitions", "3"),
            ("offsets.topic.replication.factor", &replicas),
            ("transaction.state.log.num.partitions", "3"),
            ("transaction.state.log.replication.factor", &replicas),
            ("transaction.state.log.min.isr", in_sync),
            ("share.coordinator.state.topic.num.partitions", "3"),
            ("share.coordinator.state.topic.replication.factor", &replicas),
            ("share.coordinator.state.topic.min.isr", in_sync),
            ("group.initial.rebalance.delay.ms", "0"),
            // Leaders of a broker that is gone or frozen move after this time.
            ("broker.session.timeout.ms", "4000"),
            ("broker.heartbeat.interval.ms", "500"),
            // Leaders move only when a test moves them.
            ("auto.leader.rebalance.enable", "false"),
            // The default takes 128 MiB of each broker's heap.
            ("log.cleaner.dedupe.buffer.size", "8388608"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();

        if let Some((key_and_certificate, authorities)) = &self.certificate {
            for (store, pem) in [("keystore", key_and_certificate), ("truststore", authorities)] {
                let path = home.join(format!("{store}.pem"));
                paths::write(&path, pem)?;
                lines.push((format!("ssl.{store}.type"), "PEM".to_owned()));
                lines.push((format!("ssl.{store}.location"), path.display().to_string()));
            }
        }
        for (name, security) in &self.listeners {
            lines.extend(security.properties(name, &self.users));
        }
        lines.extend(self.properties.iter().cloned());
        Ok(lines)
    }
}

impl std::fmt::Debug for KafkaClusterBuilder {
    /// Formats the builder without properties and users, which hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { brokers, listeners, .. } = self;
        f.debug_struct("KafkaClusterBuilder")
            .field("brokers", brokers)
            .field("listeners", listeners)
            .finish_non_exhaustive()
    }
}
