use std::time::Duration;

use outbox_core::{DomainEvent, Identifier, OutboxEvent, Pipeline, Record};
use outbox_kafka_consumer::deadpool_postgres::tokio_postgres::{Client as PgClient, NoTls, connect};
use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool, Runtime};
use outbox_kafka_consumer::{Builder, Consumer, Error, Group, Held, HeldState, RetryPolicy, migrations};
use rskafka::BackoffConfig;
use rskafka::chrono::DateTime;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use xtask::stack::{Stack, TestDatabase};

use crate::process::pipeline;

/// How long a partition stays with a consumer that is gone.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// A database and a topic of one test's own.
pub(crate) struct Bench {
    database: TestDatabase,
    pub(crate) pipeline: Pipeline,
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) kafka: Client,
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct OrderCreated {
    /// The aggregate.
    pub(crate) order_id: i64,
    #[serde(default)]
    pub(crate) step: i64,
}

impl DomainEvent for OrderCreated {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderCreated";
    const SCHEMA_VERSION: u32 = 3;

    fn aggregate_id(&self) -> String {
        self.order_id.to_string()
    }
}

/// Quick attempts, five of them.
pub(crate) fn patient() -> RetryPolicy {
    RetryPolicy::exponential(Duration::from_millis(50), Duration::from_millis(200), 5)
}

/// A consumer that runs until the test stops it.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Error>>,
}

/// Makes the consumer's tables and the test's.
pub(crate) async fn set_up(url: &str) -> PgClient {
    let (mut client, connection) = connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    migrations(&Identifier::new("outbox").unwrap()).apply(&mut client).await.unwrap();
    let effect = "CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY, order_id bigint, step bigint, note text)";
    client.batch_execute(effect).await.unwrap();
    client
}

/// Produces events as the EventRouter would, in batches.
pub(crate) async fn produce_to(brokers: &str, pipeline: &Pipeline, partition: i32, events: &[OutboxEvent]) {
    let backoff_config = BackoffConfig { max_backoff: Duration::from_secs(1), ..BackoffConfig::default() };
    let kafka = ClientBuilder::new(vec![brokers.to_owned()]).backoff_config(backoff_config).build().await.unwrap();
    for batch in events.chunks(500) {
        let records: Vec<Record> =
            batch.iter().map(|event| pipeline.encode(&pipeline.row(event).unwrap()).unwrap()).collect();
        let topic = records[0].topic.clone();
        let opened = kafka.partition_client(&topic, partition, UnknownTopicHandling::Retry).await.unwrap();
        opened.produce(records.into_iter().map(wire).collect(), Compression::NoCompression).await.unwrap();
    }
}

fn wire(record: Record) -> rskafka::record::Record {
    rskafka::record::Record {
        key: record.key.map(Into::into),
        value: record.value.map(Into::into),
        headers: record.headers.into_iter().map(|(name, value)| (name, value.unwrap().into())).collect(),
        timestamp: DateTime::from_timestamp_millis(record.timestamp.unwrap_or(0)).unwrap(),
    }
}

/// Awaits a state.
pub(crate) async fn eventually<T, E: std::fmt::Debug>(what: String, mut probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(40);
    loop {
        match probe().await {
            Ok(found) => return found,
            Err(found) => assert!(tokio::time::Instant::now() < deadline, "not {what}: {found:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Running {
    pub(crate) fn start(consumer: Consumer) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(consumer.run(async { _ = stopped.await }));
        Self { stop, ended }
    }

    pub(crate) async fn stop(self) -> Result<(), Error> {
        _ = self.stop.send(());
        self.ended.await.unwrap()
    }
}

impl Bench {
    /// Everything but the topic.
    pub(crate) async fn without_topic() -> Self {
        Self::at(Stack::connect().unwrap().kafka_bootstrap()).await
    }

    /// At another Kafka than that of the stack.
    pub(crate) async fn at(brokers: String) -> Self {
        let database = Stack::connect().unwrap().test_database().unwrap();
        let bench = Self {
            topic: format!("{}.order", database.name()),
            pipeline: pipeline(database.name()),
            kafka: ClientBuilder::new(vec![brokers.clone()]).build().await.unwrap(),
            brokers,
            database,
        };
        set_up(bench.database.url()).await;
        bench
    }

    pub(crate) async fn with_partitions(partitions: i32) -> Self {
        let bench = Self::without_topic().await;
        bench.create_topic(partitions).await;
        bench
    }

    pub(crate) async fn create_topic(&self, partitions: i32) {
        self.kafka.controller_client().unwrap().create_topic(&self.topic, partitions, 1, 10_000).await.unwrap();
        self.await_topic().await;
    }

    pub(crate) async fn await_topic(&self) {
        loop {
            let topics = self.kafka.list_topics().await.unwrap();
            if topics.iter().any(|topic| topic.name == self.topic && !topic.partitions.is_empty()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn pool(&self) -> Pool {
        self.pool_of(16)
    }

    pub(crate) fn pool_of(&self, connections: usize) -> Pool {
        let manager = Manager::new(self.database.url().parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(connections).runtime(Runtime::Tokio1);
        pool.wait_timeout(Some(Duration::from_secs(10))).build().unwrap()
    }

    pub(crate) async fn client(&self) -> PgClient {
        let (client, connection) = connect(self.database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(crate) fn consumer(&self) -> Builder {
        Consumer::builder([&*self.brokers])
            .pipeline(self.pipeline.clone())
            .group("test")
            .store(self.pool())
            .lease(LEASE)
            .retry(patient())
    }

    /// Produces an event as the EventRouter would.
    pub(crate) async fn produce(&self, partition: i32, event: &OutboxEvent) -> i64 {
        let record = self.pipeline.encode(&self.pipeline.row(event).unwrap()).unwrap();
        self.produce_record(partition, record).await
    }

    pub(crate) async fn produce_order(&self, partition: i32, order_id: i64) -> i64 {
        self.produce_step(partition, order_id, 0).await
    }

    pub(crate) async fn produce_step(&self, partition: i32, order_id: i64, step: i64) -> i64 {
        self.produce(partition, &OutboxEvent::of(&OrderCreated { order_id, step }).build().unwrap()).await
    }

    pub(crate) async fn produce_record(&self, partition: i32, record: Record) -> i64 {
        let opened = self.kafka.partition_client(&record.topic, partition, UnknownTopicHandling::Retry).await;
        opened.unwrap().produce(vec![wire(record)], Compression::NoCompression).await.unwrap()[0]
    }

    /// The orders that took effect, sorted, as soon as there are so many effects.
    pub(crate) async fn effects(&self, count: usize) -> Vec<i64> {
        let mut orders: Vec<i64> = self.steps(count).await.into_iter().map(|(order, _)| order).collect();
        orders.sort_unstable();
        orders
    }

    /// The orders and steps that took effect, in the order in which they did, as soon as there are so many.
    pub(crate) async fn steps(&self, count: usize) -> Vec<(i64, i64)> {
        let client = self.client().await;
        eventually(format!("{count} effects"), async || {
            let rows = client.query("SELECT order_id, step FROM effect ORDER BY n", &[]).await.unwrap();
            let effects: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            if effects.len() >= count { Ok(effects) } else { Err(effects) }
        })
        .await
    }

    /// The held events of a state, as soon as there are so many.
    pub(crate) async fn held(&self, state: HeldState, count: usize) -> Vec<Held> {
        let group = self.group();
        eventually(format!("{count} held events"), async || {
            let held = group.list(state, None, 1000).await.unwrap();
            if held.len() == count { Ok(held) } else { Err(held) }
        })
        .await
    }

    pub(crate) fn database(&self) -> &TestDatabase {
        &self.database
    }

    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// What the topics' names begin with.
    pub(crate) fn prefix(&self) -> &str {
        self.database.name()
    }

    pub(crate) fn group(&self) -> Group {
        Group::new(self.pool(), &Identifier::new("outbox").unwrap(), "test")
    }

    /// Waits until the store says why a partition stands still.
    pub(crate) async fn stopped(&self, partition: i32) -> String {
        let client = self.client().await;
        let sql = "SELECT stopped_because FROM outbox.consumer_position
                   WHERE topic = $1 AND partition = $2 AND stopped_because IS NOT NULL";
        eventually("a reason to stand still".to_owned(), async || {
            let row = client.query_opt(sql, &[&self.topic, &partition]).await.unwrap();
            row.map(|row| row.get(0)).ok_or(())
        })
        .await
    }

    pub(crate) async fn next_offset(&self, partition: i32) -> Option<i64> {
        let sql = "SELECT next_offset FROM outbox.consumer_position WHERE topic = $1 AND partition = $2";
        let row = self.client().await.query_opt(sql, &[&self.topic, &partition]).await.unwrap();
        row.map(|row| row.get(0))
    }

    /// Waits for a position.
    pub(crate) async fn position(&self, partition: i32, next_offset: i64) {
        eventually(format!("the position {next_offset}"), async || {
            let found = self.next_offset(partition).await;
            if found == Some(next_offset) { Ok(()) } else { Err(found) }
        })
        .await;
    }

    pub(crate) async fn delete_topic(&self) {
        self.kafka.controller_client().unwrap().delete_topic(&self.topic, 10_000).await.unwrap();
        while self.kafka.list_topics().await.unwrap().iter().any(|topic| topic.name == self.topic) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn remove_topic(self) {
        self.kafka.controller_client().unwrap().delete_topic(&self.topic, 10_000).await.unwrap();
    }
}
