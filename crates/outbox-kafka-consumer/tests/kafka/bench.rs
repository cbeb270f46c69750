use std::time::Duration;

use outbox_core::{ConnectorConfig, DomainEvent, Identifier, OutboxEvent, Pipeline, Record, TableLayout};
use outbox_kafka_consumer::deadpool_postgres::tokio_postgres::{Client as PgClient, NoTls, connect};
use outbox_kafka_consumer::deadpool_postgres::{Manager, Pool, Runtime};
use outbox_kafka_consumer::{Builder, Consumer, Error, migrations};
use rskafka::chrono::DateTime;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use xtask::stack::{Stack, TestDatabase};

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
    pub(crate) order_id: i64,
}

impl DomainEvent for OrderCreated {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderCreated";

    fn aggregate_id(&self) -> String {
        self.order_id.to_string()
    }
}

/// A consumer that runs until the test stops it.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    pub(crate) ended: JoinHandle<Result<(), Error>>,
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

    /// For a consumer that stops by itself.
    pub(crate) async fn outcome(self) -> Result<(), Error> {
        tokio::time::timeout(Duration::from_secs(30), self.ended).await.unwrap().unwrap()
    }
}

impl Bench {
    /// Everything but the topic.
    pub(crate) async fn without_topic() -> Self {
        let stack = Stack::connect().unwrap();
        let database = stack.test_database().unwrap();
        let layout = TableLayout::recommended();
        let config = ConnectorConfig::recommended(&layout)
            .with("transforms.outbox.route.topic.replacement", format!("{}.${{routedByValue}}", database.name()));
        let brokers = stack.kafka_bootstrap();
        let bench = Self {
            topic: format!("{}.order", database.name()),
            pipeline: Pipeline::new(config, layout).unwrap(),
            kafka: ClientBuilder::new(vec![brokers.clone()]).build().await.unwrap(),
            brokers,
            database,
        };
        let (mut client, connection) = connect(bench.database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        migrations(&Identifier::new("outbox").unwrap()).apply(&mut client).await.unwrap();
        let effect = "CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY, order_id bigint, note text)";
        client.batch_execute(effect).await.unwrap();
        bench
    }

    pub(crate) async fn with_partitions(partitions: i32) -> Self {
        let bench = Self::without_topic().await;
        bench.create_topic(partitions).await;
        bench
    }

    pub(crate) async fn create_topic(&self, partitions: i32) {
        self.kafka.controller_client().unwrap().create_topic(&self.topic, partitions, 1, 10_000).await.unwrap();
        loop {
            let topics = self.kafka.list_topics().await.unwrap();
            if topics.iter().any(|topic| topic.name == self.topic && !topic.partitions.is_empty()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn pool(&self) -> Pool {
        let manager = Manager::new(self.database.url().parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(4).runtime(Runtime::Tokio1);
        pool.wait_timeout(Some(Duration::from_secs(10))).build().unwrap()
    }

    pub(crate) async fn client(&self) -> PgClient {
        let (client, connection) = connect(self.database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(crate) fn consumer(&self) -> Builder {
        Consumer::builder([&*self.brokers]).pipeline(self.pipeline.clone()).group("test").store(self.pool())
    }

    /// Produces an event as the EventRouter would.
    pub(crate) async fn produce(&self, partition: i32, event: &OutboxEvent) -> i64 {
        let record = self.pipeline.encode(&self.pipeline.row(event).unwrap()).unwrap();
        self.produce_record(partition, record).await
    }

    pub(crate) async fn produce_order(&self, partition: i32, order_id: i64) -> i64 {
        self.produce(partition, &OutboxEvent::of(&OrderCreated { order_id }).build().unwrap()).await
    }

    pub(crate) async fn produce_record(&self, partition: i32, record: Record) -> i64 {
        let opened = self.kafka.partition_client(&record.topic, partition, UnknownTopicHandling::Retry).await;
        let record = rskafka::record::Record {
            key: record.key.map(Into::into),
            value: record.value.map(Into::into),
            headers: record.headers.into_iter().map(|(name, value)| (name, value.unwrap().into())).collect(),
            timestamp: DateTime::from_timestamp_millis(record.timestamp.unwrap_or(0)).unwrap(),
        };
        opened.unwrap().produce(vec![record], Compression::NoCompression).await.unwrap()[0]
    }

    /// The orders that took effect, in the order in which they did, as soon as there are so many.
    pub(crate) async fn effects(&self, count: usize) -> Vec<i64> {
        let client = self.client().await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let rows = client.query("SELECT order_id FROM effect ORDER BY n", &[]).await.unwrap();
            let effects: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            if effects.len() >= count {
                return effects;
            }
            assert!(tokio::time::Instant::now() < deadline, "only {effects:?} took effect");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn next_offset(&self, partition: i32) -> Option<i64> {
        let sql = "SELECT next_offset FROM outbox.consumer_position WHERE topic = $1 AND partition = $2";
        let row = self.client().await.query_opt(sql, &[&self.topic, &partition]).await.unwrap();
        row.map(|row| row.get(0))
    }

    /// Waits for a position.
    pub(crate) async fn position(&self, partition: i32, next_offset: i64) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.next_offset(partition).await;
            if found == Some(next_offset) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "the position is {found:?}, not {next_offset}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn remove_topic(self) {
        self.kafka.controller_client().unwrap().delete_topic(&self.topic, 10_000).await.unwrap();
    }
}
