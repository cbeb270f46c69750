use std::time::Duration;

use outbox_core::uuid::Uuid;
use outbox_core::{ConnectorConfig, Loss, Pipeline, TableLayout};
use outbox_pg::{Migrations, SlotOptions};

use crate::database::Database;
use crate::env::{Kafka, TestEnv};
use crate::{connect_kafka, stack};

/// The time that the creation of a slot waits for the transactions of other tests, of all databases of the server.
const OPEN_TRANSACTIONS: Duration = Duration::from_secs(300);

type Change = Box<dyn FnOnce(ConnectorConfig) -> ConnectorConfig + Send>;

/// The parts of a [`TestEnv`]. Without a setter the environment has a name and a pipeline only.
#[must_use = "nothing is set up until `build` is awaited"]
pub struct TestEnvBuilder {
    name: String,
    layout: TableLayout,
    config: Option<ConnectorConfig>,
    changes: Vec<Change>,
    tolerated: Vec<Loss>,
    postgres: Option<String>,
    port: Option<u16>,
    brokers: Option<String>,
    topic: Option<i32>,
    has_database: bool,
    has_kafka: bool,
    has_outbox: bool,
    has_slot: bool,
}

impl TestEnv {
    /// Returns a builder for the parts that a test needs.
    pub fn builder() -> TestEnvBuilder {
        TestEnvBuilder::new()
    }
}

impl TestEnvBuilder {
    fn new() -> Self {
        Self {
            name: format!("test_{}", Uuid::now_v7().simple()),
            layout: TableLayout::recommended(),
            config: None,
            changes: Vec::new(),
            tolerated: Vec::new(),
            postgres: None,
            port: None,
            brokers: None,
            topic: None,
            has_database: false,
            has_kafka: false,
            has_outbox: false,
            has_slot: false,
        }
    }

    /// Adds an empty database.
    pub fn database(mut self) -> Self {
        self.has_database = true;
        self
    }

    /// Adds a database with the table and the publication of the pipeline.
    pub fn outbox(mut self) -> Self {
        self.has_outbox = true;
        self.database()
    }

    /// Adds a database with table, publication and replication slot.
    pub fn slot(mut self) -> Self {
        self.has_slot = true;
        self.outbox()
    }

    /// Sets the table's layout. The default is the recommended one.
    pub fn layout(mut self, layout: TableLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Sets the connector's configuration. The default is the recommended one.
    ///
    /// Names of slot and topics and the connection are replaced by those of the environment.
    pub fn config(mut self, config: ConnectorConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Changes the connector's configuration, after the names and the connection of the environment are in it.
    pub fn configure(mut self, change: impl FnOnce(ConnectorConfig) -> ConnectorConfig + Send + 'static) -> Self {
        self.changes.push(Box::new(change));
        self
    }

    /// Tolerates losses that the pipeline would reject.
    pub fn accepting(mut self, tolerated: &[Loss]) -> Self {
        self.tolerated = tolerated.to_vec();
        self
    }

    /// Sets the number of partitions of the topics that the connector or the relay creates. The default is the
    /// broker's.
    pub fn partitions(self, partitions: i32) -> Self {
        self.configure(move |config| {
            config
                .with("topic.creation.default.partitions", partitions.to_string())
                .with("topic.creation.default.replication.factor", "1")
        })
    }

    /// Creates the database on another PostgreSQL than the shared one, given by a superuser's URL.
    pub fn postgres(mut self, url: impl Into<String>) -> Self {
        self.postgres = Some(url.into());
        self.database()
    }

    /// Sets another port by which the database is reached, such as a forwarder's.
    pub fn through(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Adds the shared Kafka.
    pub fn kafka(mut self) -> Self {
        self.has_kafka = true;
        self
    }

    /// Adds another Kafka than the shared one, given by the addresses of brokers, separated by commas.
    ///
    /// The test owns that Kafka, so no topics are deleted from it.
    pub fn brokers(mut self, address: impl Into<String>) -> Self {
        self.brokers = Some(address.into());
        self.kafka()
    }

    /// Adds Kafka and creates the topic of the aggregate type `order`.
    pub fn topic(mut self, partitions: i32) -> Self {
        self.topic = Some(partitions);
        self.kafka()
    }

    /// Sets up all parts.
    ///
    /// # Panics
    /// Panics if a server is missing, or if configuration and layout contradict each other.
    pub async fn build(self) -> TestEnv {
        let mut env = TestEnv::new(self.name, Pipeline::recommended(), self.brokers.is_none());
        if self.has_database {
            let server = self.postgres.unwrap_or_else(|| stack().postgres_url());
            let mut database = Database::create(server, env.name().to_owned()).await;
            if let Some(port) = self.port {
                database.through(port);
            }
            env.set_database(database);
        }

        let config = env.placed(self.config.unwrap_or_else(|| ConnectorConfig::recommended(&self.layout)));
        let config = self.changes.into_iter().fold(config, |config, change| change(config));
        // Tests may choose any placement, and must still be able to enqueue events.
        let tolerated = [&*self.tolerated, &[Loss::UncarriedParts]].concat();
        env.set_pipeline(Pipeline::accepting(&tolerated, config, self.layout).unwrap());

        if self.has_outbox {
            let mut client = env.client().await;
            Migrations::outbox(env.pipeline()).apply(&mut client).await.unwrap();
            if self.has_slot {
                let options = SlotOptions::default().patience(OPEN_TRANSACTIONS);
                options.create(&client, env.pipeline()).await.unwrap();
            }
        }
        if self.has_kafka {
            let brokers = self.brokers.unwrap_or_else(|| stack().kafka_bootstrap());
            env.set_kafka(Kafka { client: connect_kafka(&brokers).await, brokers });
        }
        if let Some(partitions) = self.topic {
            env.create_topic(env.topic(), partitions).await;
        }

        env
    }
}

impl std::fmt::Debug for TestEnvBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestEnvBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
