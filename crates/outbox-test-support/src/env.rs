use std::thread;
use std::time::{Duration, SystemTime};

use deadpool_postgres::Pool;
use outbox_core::event::AggregateType;
use outbox_core::record::Record;
use outbox_core::{ConnectorConfig, OutboxEvent, Pipeline, TableLayout};
use outbox_pg::PgOutbox;
use rskafka::client::partition::{Compression, OffsetAt, UnknownTopicHandling};
use tokio_postgres::Client;
use xtask::stack::{Service, Stack, log_tail_with};

use crate::database::Database;
use crate::eventually::{PATIENCE, in_time};
use crate::topics::{self, StoredRecord};
use crate::{Connector, connect, connect_kafka, eventually, pool, to_rskafka};

/// The longest wait for the removal of a database.
const REMOVAL: Duration = Duration::from_secs(120);
/// The time that a broker may take for the creation or deletion of a topic, in milliseconds.
const TOPIC_MILLISECONDS: i32 = 120_000;
/// The aggregate type of [`TestEnv::topic`].
const AGGREGATE_TYPE: &str = "order";

/// A database, an outbox, a replication slot and topics that no other test uses.
///
/// The name of the database is also the name of the slot and the first part of the names of all topics, and should be
/// part of the names of whatever else the test creates on the servers. Dropping the environment removes the database,
/// its slots, the roles whose names begin with the name, and the topics whose names contain it.
#[derive(Debug)]
pub struct TestEnv {
    name: String,
    pipeline: Pipeline,
    topic: String,
    database: Option<Database>,
    kafka: Option<Kafka>,
    /// Whether the topics are deleted at the end.
    deletes_topics: bool,
}

#[derive(Debug)]
pub(crate) struct Kafka {
    pub(crate) client: rskafka::client::Client,
    pub(crate) brokers: String,
}

impl TestEnv {
    pub(crate) fn new(name: String, pipeline: Pipeline, deletes_topics: bool) -> Self {
        Self { name, pipeline, topic: String::new(), database: None, kafka: None, deletes_topics }
    }

    pub(crate) fn set_database(&mut self, database: Database) {
        self.database = Some(database);
    }

    pub(crate) fn set_kafka(&mut self, kafka: Kafka) {
        self.kafka = Some(kafka);
    }

    /// Sets the pipeline. The topic stays empty if the configuration routes by another column than the aggregate type.
    pub(crate) fn set_pipeline(&mut self, pipeline: Pipeline) {
        self.topic = pipeline.topic(&AGGREGATE_TYPE.parse().unwrap()).unwrap_or_default();
        self.pipeline = pipeline;
    }

    /// Replaces names and connection in a configuration by those of the environment.
    pub(crate) fn placed(&self, config: ConnectorConfig) -> ConnectorConfig {
        let config = config
            .with("slot.name", &*self.name)
            .with("topic.prefix", &*self.name)
            .with("transforms.outbox.route.topic.replacement", format!("{}.${{routedByValue}}", self.name));
        match &self.database {
            Some(database) => config.with_database_url(database.url()).unwrap(),
            None => config,
        }
    }

    /// Returns the name, which is unique and legal in the names of databases, slots, roles and topics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the pipeline of the layout and the connector's configuration.
    #[must_use]
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Returns the recommended pipeline for another layout, with the same slot and topics.
    #[must_use]
    pub fn pipeline_of(&self, layout: TableLayout) -> Pipeline {
        Pipeline::new(self.placed(ConnectorConfig::recommended(&layout)), layout).unwrap()
    }

    /// Returns the connector's configuration, with the connection to the database in it.
    #[must_use]
    pub fn config(&self) -> &ConnectorConfig {
        self.pipeline.config()
    }
}

/// The database.
impl TestEnv {
    /// Returns the superuser's URL of the database.
    ///
    /// # Panics
    /// Panics in an environment without a database, as all methods for the database do.
    #[must_use]
    pub fn url(&self) -> &str {
        self.database.as_ref().expect("`TestEnvBuilder::database` adds a database").url()
    }

    /// Returns the connector of the configuration, which is not started yet.
    #[must_use]
    pub fn connector(&self) -> Connector {
        Connector::new(&self.name, self.config().clone())
    }

    /// Opens a connection as the superuser.
    pub async fn client(&self) -> Client {
        connect(self.url()).await
    }

    /// Returns a pool of at most 16 connections.
    #[must_use]
    pub fn pool(&self) -> Pool {
        self.pool_of(16)
    }

    /// Returns a pool of at most `size` connections.
    #[must_use]
    pub fn pool_of(&self, size: usize) -> Pool {
        pool(self.url(), size)
    }

    /// Returns the outbox of the pipeline.
    #[must_use]
    pub fn outbox(&self) -> PgOutbox {
        PgOutbox::new(self.pipeline.clone())
    }

    /// Commits events in one transaction.
    pub async fn enqueue(&self, events: &[OutboxEvent]) {
        let (mut client, outbox) = (self.client().await, self.outbox());
        let tx = client.transaction().await.unwrap();
        outbox.enqueue_all(&tx, events).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Commits each event in its own transaction.
    pub async fn enqueue_each(&self, events: &[OutboxEvent]) {
        let (mut client, outbox) = (self.client().await, self.outbox());
        for event in events {
            let tx = client.transaction().await.unwrap();
            outbox.enqueue(&tx, event).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    /// Returns the number of rows in the outbox.
    pub async fn rows(&self) -> i64 {
        self.count(&self.pipeline.layout().qualified_name()).await
    }

    /// Returns the number of rows in a table.
    pub async fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.client().await.query_one(&sql, &[]).await.unwrap().get(0)
    }

    /// Returns whether an SQL condition holds for the slot's row in `pg_replication_slots`.
    ///
    /// # Errors
    /// Fails with the row if the condition does not hold.
    pub async fn slot_is(&self, condition: &str) -> Result<(), String> {
        self.slot_is_on(&self.client().await, condition).await
    }

    async fn slot_is_on(&self, client: &Client, condition: &str) -> Result<(), String> {
        let sql = format!("SELECT s::text, {condition} FROM pg_replication_slots s WHERE slot_name = $1");
        let row = client.query_one(&sql, &[&self.pipeline.slot().as_str()]).await.unwrap();
        if row.get(1) { Ok(()) } else { Err(row.get(0)) }
    }

    /// Waits until an SQL condition holds for the slot's row in `pg_replication_slots`.
    pub async fn slot_becomes(&self, condition: &str) {
        let mut client = self.client().await;
        eventually(format!("the slot is {condition}"), async || {
            if client.is_closed() {
                client = self.client().await;
            }
            self.slot_is_on(&client, condition).await
        })
        .await;
    }

    /// Waits until all transactions that write now have ended, in all databases of the server.
    ///
    /// PostgreSQL waits for them when it creates a slot. A program that creates one may be less patient than a test.
    pub async fn earlier_transactions_ended(&self) {
        let client = self.client().await;
        let now: SystemTime = client.query_one("SELECT now()", &[]).await.unwrap().get(0);
        let open = "SELECT datname || ': ' || query FROM pg_stat_activity \
                    WHERE backend_xid IS NOT NULL AND xact_start <= $1 AND pid <> pg_backend_pid() LIMIT 1";
        eventually("earlier transactions have ended", async || match client.query_opt(open, &[&now]).await.unwrap() {
            None => Ok(()),
            Some(found) => Err(found.get::<_, String>(0)),
        })
        .await;
    }

    /// Waits until the slot has confirmed everything that is in the WAL now.
    pub async fn confirmed(&self) {
        let goal = "SELECT pg_current_wal_insert_lsn()::text";
        let goal: String = self.client().await.query_one(goal, &[]).await.unwrap().get(0);
        self.slot_becomes(&format!("confirmed_flush_lsn >= '{goal}'::pg_lsn")).await;
    }
}

/// Kafka.
impl TestEnv {
    fn connected(&self) -> &Kafka {
        self.kafka.as_ref().expect("`TestEnvBuilder::kafka` adds Kafka")
    }

    /// Returns the addresses of the brokers, separated by commas.
    ///
    /// # Panics
    /// Panics in an environment without Kafka, as all methods for topics do.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.connected().brokers
    }

    /// Returns a client for Kafka.
    #[must_use]
    pub fn kafka(&self) -> &rskafka::client::Client {
        &self.connected().client
    }

    /// Opens a new connection to Kafka. The client's old one does not survive the restart of a broker.
    pub async fn reconnect_kafka(&mut self) {
        let brokers = self.brokers().to_owned();
        self.kafka = Some(Kafka { client: connect_kafka(&brokers).await, brokers });
    }

    /// Returns the topic of the aggregate type `order`, which need not exist.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Returns the topic of an aggregate type, which need not exist.
    #[must_use]
    pub fn topic_of(&self, aggregate_type: &str) -> String {
        self.pipeline.topic(&aggregate_type.parse::<AggregateType>().unwrap()).unwrap()
    }

    /// Creates a topic and waits until each partition has a leader.
    pub async fn create_topic(&self, topic: &str, partitions: i32) {
        self.kafka().controller_client().unwrap().create_topic(topic, partitions, 1, TOPIC_MILLISECONDS).await.unwrap();
        self.await_topic(topic).await;
    }

    /// Waits until a topic exists and each partition answers.
    pub async fn await_topic(&self, topic: &str) {
        eventually(format!("the topic {topic} exists"), async || {
            let partitions = topics::partitions(self.kafka(), topic).await;
            for partition in &partitions {
                partition.get_offset(OffsetAt::Latest).await.map_err(|error| error.to_string())?;
            }
            if partitions.is_empty() { Err("the broker does not know it".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    /// Deletes a topic and waits until the broker does not know it.
    pub async fn delete_topic(&self, topic: &str) {
        self.kafka().controller_client().unwrap().delete_topic(topic, TOPIC_MILLISECONDS).await.unwrap();
        eventually(format!("the topic {topic} is deleted"), async || {
            !self.kafka().list_topics().await.unwrap().iter().any(|found| found.name == topic)
        })
        .await;
    }

    /// Writes a record to a partition of its topic and returns its offset.
    pub async fn produce(&self, partition: i32, record: Record) -> i64 {
        let topic = record.topic.clone();
        let opened = self.kafka().partition_client(topic, partition, UnknownTopicHandling::Retry).await.unwrap();
        opened.produce(vec![to_rskafka(record)], Compression::NoCompression).await.unwrap()[0]
    }

    /// Reads all records of a topic, by partition and offset. A topic that does not exist has none.
    pub async fn read(&self, topic: &str) -> Vec<StoredRecord> {
        let mut records = Vec::new();
        for partition in topics::partitions(self.kafka(), topic).await {
            records.extend(topics::read(&partition).await);
        }
        records
    }

    /// Waits until a topic has at least `count` records and returns all of them, by partition and offset.
    pub async fn records(&self, topic: &str, count: usize) -> Vec<StoredRecord> {
        let found = in_time(async || {
            let ends = self.ends(topic).await;
            if ends.iter().sum::<i64>() < i64::try_from(count).unwrap() {
                return Err(format!("the partitions end at {ends:?}"));
            }
            let records = self.read(topic).await;
            let number = records.len();
            if number >= count {
                Ok(records)
            } else {
                Err(format!("{number} records, and the partitions end at {ends:?}"))
            }
        })
        .await;

        match found {
            Ok(records) => records,
            Err(seen) => {
                // A server that is frozen would never answer.
                let source = tokio::time::timeout(PATIENCE, self.source()).await;
                panic!("not within {} s: {count} records are in {topic}{seen}\n{source:?}", PATIENCE.as_secs());
            }
        }
    }

    /// Describes the slots and the sessions of the database, from which records come.
    async fn source(&self) -> Result<Vec<String>, tokio_postgres::Error> {
        let Some(database) = &self.database else { return Ok(Vec::new()) };
        let (client, connection) = tokio_postgres::connect(database.url(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let sql = "SELECT 'WAL end ' || pg_current_wal_insert_lsn()
             UNION ALL SELECT 'slot ' || s::text FROM pg_replication_slots s WHERE database = current_database()
             UNION ALL SELECT format('session %s %s %s %s %s: %s', pid, application_name, state, wait_event, xact_start, query)
                 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// Returns the end offset of each partition of a topic, in the order of the partitions.
    pub async fn ends(&self, topic: &str) -> Vec<i64> {
        let mut ends = Vec::new();
        for partition in topics::partitions(self.kafka(), topic).await {
            ends.push(partition.get_offset(OffsetAt::Latest).await.unwrap());
        }
        ends
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if thread::panicking() {
            show_logs(&self.name);
        }
        let (name, database) = (self.name.clone(), self.database.take());
        let brokers = self.kafka.take().filter(|_| self.deletes_topics).map(|kafka| kafka.brokers);
        if database.is_none() && brokers.is_none() {
            return;
        }

        // The runtime of the test may be shutting down, and its thread must not start a second one.
        let removed = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Some(database) = database {
                    // A server that is frozen would never answer.
                    let removed = tokio::time::timeout(REMOVAL, database.remove()).await;
                    if !matches!(removed, Ok(Ok(()))) {
                        eprintln!("the database {name} is not removed: {removed:?}");
                    }
                }
                if let Some(brokers) = brokers
                    && let Err(error) = topics::delete_all(&brokers, &name).await
                {
                    eprintln!("the topics of {name} are not deleted: {error:?}");
                }
            });
        });
        drop(removed.join());
    }
}

/// Prints the lines of the shared servers' logs that concern an environment.
fn show_logs(name: &str) {
    /// The most lines of each log.
    const LINES: usize = 40;
    let Ok(stack) = Stack::connect() else { return };
    for service in Service::ALWAYS {
        let lines = stack.log(service).map(|log| log_tail_with(&log, name, LINES)).unwrap_or_default();
        if !lines.is_empty() {
            eprintln!("{service}'s log says of {name}:\n{lines}");
        }
    }
}
