use std::ops::Deref;
use std::time::Duration;

use outbox_core::record::Record;
use outbox_core::{DomainEvent, Identifier, OutboxEvent, Pipeline};
use outbox_kafka_consumer::deadpool_postgres::tokio_postgres::Client as PgClient;
use outbox_kafka_consumer::{Builder, Consumer, Error, EventState, FailedEvent, Group, RetryPolicy, migrations};
use outbox_test_support::{TestEnv, TestEnvBuilder, connect, connect_kafka, eventually, to_rskafka};
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The time that a partition stays with a consumer that is gone, in tests of that.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
/// The lease of all other tests. Statements, handlers and renewals have parts of a lease, and on a busy machine, those of
/// a short one are too short for them.
pub(crate) const LONG_LEASE: Duration = Duration::from_secs(20);

/// A [`TestEnv`] with the tables of the consumer.
pub(crate) struct ConsumerEnv(TestEnv);

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

/// Returns a policy of quick attempts, five of them.
pub(crate) fn patient() -> RetryPolicy {
    RetryPolicy::exponential(Duration::from_millis(50), Duration::from_millis(200), 5)
}

/// A consumer that runs until the test stops it.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Error>>,
}

/// Creates the tables of the consumer and of the test.
pub(crate) async fn set_up(url: &str) -> PgClient {
    let mut client = connect(url).await;
    migrations(&Identifier::new("outbox").unwrap()).apply(&mut client).await.unwrap();
    let effect = "CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY, order_id bigint, step bigint, note text)";
    client.batch_execute(effect).await.unwrap();
    client
}

/// Produces events as the EventRouter would, in batches.
pub(crate) async fn produce_to(brokers: &str, pipeline: &Pipeline, partition: i32, events: &[OutboxEvent]) {
    let kafka = connect_kafka(brokers).await;
    for batch in events.chunks(500) {
        let records: Vec<Record> =
            batch.iter().map(|event| pipeline.encode(&pipeline.row(event).unwrap()).unwrap()).collect();
        let topic = records[0].topic.clone();
        let opened = kafka.partition_client(&topic, partition, UnknownTopicHandling::Retry).await.unwrap();
        opened.produce(records.into_iter().map(to_rskafka).collect(), Compression::NoCompression).await.unwrap();
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

impl Deref for ConsumerEnv {
    type Target = TestEnv;

    fn deref(&self) -> &TestEnv {
        &self.0
    }
}

impl ConsumerEnv {
    /// Returns an environment without the topic of the orders.
    pub(crate) async fn without_topic() -> Self {
        Self::of(TestEnv::builder().database().kafka()).await
    }

    /// Returns an environment on another Kafka than that of the stack.
    pub(crate) async fn at(brokers: String) -> Self {
        Self::of(TestEnv::builder().database().brokers(brokers)).await
    }

    pub(crate) async fn with_partitions(partitions: i32) -> Self {
        Self::of(TestEnv::builder().database().topic(partitions)).await
    }

    async fn of(builder: TestEnvBuilder) -> Self {
        // A test that fails shows the consumer's log.
        _ = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_test_writer().try_init();
        let env = builder.build().await;
        set_up(env.url()).await;
        Self(env)
    }

    pub(crate) async fn create_topic(&self, partitions: i32) {
        self.0.create_topic(self.topic(), partitions).await;
    }

    pub(crate) async fn await_topic(&self) {
        self.0.await_topic(self.topic()).await;
    }

    pub(crate) async fn delete_topic(&self) {
        self.0.delete_topic(self.topic()).await;
    }

    pub(crate) fn consumer(&self) -> Builder {
        Consumer::builder(self.brokers().split(','))
            .pipeline(self.pipeline().clone())
            .group("test")
            .pool(self.pool())
            .lease_ttl(LONG_LEASE)
            .retry(patient())
    }

    /// Returns a builder as [`consumer`](Self::consumer) does, for handlers on sqlx. It has no store yet.
    #[cfg(feature = "sqlx")]
    pub(crate) fn sqlx_consumer(&self) -> Builder<outbox_kafka_consumer::Sqlx> {
        Consumer::sqlx_builder(self.brokers().split(','))
            .pipeline(self.pipeline().clone())
            .group("test")
            .lease_ttl(LONG_LEASE)
            .retry(patient())
    }

    /// Produces an event as the EventRouter would.
    pub(crate) async fn produce(&self, partition: i32, event: &OutboxEvent) -> i64 {
        let record = self.pipeline().encode(&self.pipeline().row(event).unwrap()).unwrap();
        self.produce_record(partition, record).await
    }

    pub(crate) async fn produce_order(&self, partition: i32, order_id: i64) -> i64 {
        self.produce_step(partition, order_id, 0).await
    }

    /// Produces an order with another key than its number.
    pub(crate) async fn produce_order_of_key(&self, partition: i32, key: &str, order_id: i64) -> i64 {
        let json = format!("{{\"order_id\":{order_id}}}");
        let event = OutboxEvent::builder("order", key, OrderCreated::EVENT_TYPE).schema_version(3).json(json);
        self.produce(partition, &event.build().unwrap()).await
    }

    pub(crate) async fn produce_step(&self, partition: i32, order_id: i64, step: i64) -> i64 {
        self.produce(partition, &OutboxEvent::from_event(&OrderCreated { order_id, step }).build().unwrap()).await
    }

    pub(crate) async fn produce_record(&self, partition: i32, record: Record) -> i64 {
        self.0.produce(partition, record).await
    }

    /// Returns the orders that took effect, sorted, as soon as there are that many effects.
    pub(crate) async fn effects(&self, count: usize) -> Vec<i64> {
        let mut orders: Vec<i64> = self.steps(count).await.into_iter().map(|(order, _)| order).collect();
        orders.sort_unstable();
        orders
    }

    /// Returns the orders and steps that took effect, in the order in which they did, as soon as there are that many.
    pub(crate) async fn steps(&self, count: usize) -> Vec<(i64, i64)> {
        let client = self.client().await;
        eventually(format!("{count} effects"), async || {
            let rows = client.query("SELECT order_id, step FROM effect ORDER BY n", &[]).await.unwrap();
            let effects: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            if effects.len() >= count { Ok(effects) } else { Err(effects) }
        })
        .await
    }

    /// Returns the held events of a state, as soon as there are that many.
    pub(crate) async fn held(&self, state: EventState, count: usize) -> Vec<FailedEvent> {
        let group = self.group();
        eventually(format!("{count} held events"), async || {
            let held = group.list(state, None, 1000).await.unwrap();
            if held.len() == count { Ok(held) } else { Err(held) }
        })
        .await
    }

    /// Returns the states of the inbox, in the order of the offsets.
    pub(crate) async fn inbox(&self) -> Vec<String> {
        let sql = "SELECT state FROM outbox.consumer_inbox ORDER BY position_id, record_offset";
        self.client().await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    pub(crate) fn group(&self) -> Group {
        Group::new(self.pool(), &Identifier::new("outbox").unwrap(), "test")
    }

    /// Waits until the store says why a partition is stopped.
    pub(crate) async fn stopped(&self, partition: i32) -> String {
        let client = self.client().await;
        let sql = "SELECT stopped_because FROM outbox.consumer_position
                   WHERE topic = $1 AND partition = $2 AND stopped_because IS NOT NULL";
        eventually("a reason to stand still".to_owned(), async || {
            let row = client.query_opt(sql, &[&self.topic(), &partition]).await.unwrap();
            match row {
                Some(row) => Ok(row.get(0)),
                None => Err(positions(&client).await),
            }
        })
        .await
    }

    pub(crate) async fn next_offset(&self, partition: i32) -> Option<i64> {
        let sql = "SELECT next_offset FROM outbox.consumer_position WHERE topic = $1 AND partition = $2";
        let row = self.client().await.query_opt(sql, &[&self.topic(), &partition]).await.unwrap();
        row.map(|row| row.get(0))
    }

    /// Waits for a position.
    pub(crate) async fn position(&self, partition: i32, next_offset: i64) {
        let client = self.client().await;
        let sql = "SELECT next_offset = $3 FROM outbox.consumer_position WHERE topic = $1 AND partition = $2";
        eventually(format!("the position {next_offset} of partition {partition}"), async || {
            let row = client.query_opt(sql, &[&self.topic(), &partition, &next_offset]).await.unwrap();
            if row.is_some_and(|row| row.get(0)) { Ok(()) } else { Err(positions(&client).await) }
        })
        .await;
    }
}

/// Describes the positions and leases of all partitions.
async fn positions(client: &PgClient) -> Vec<String> {
    let sql = "SELECT p::text || coalesce(l::text, '') FROM outbox.consumer_position p
               LEFT JOIN outbox.consumer_lease l ON l.topic = p.topic AND l.partition = p.partition";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
