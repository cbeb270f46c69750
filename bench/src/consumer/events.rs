use deadpool_postgres::{Manager, Pool};
use futures_util::future::try_join_all;
use outbox_core::{Identifier, OutboxEvent, Pipeline, Record};
use outbox_kafka_consumer::migrations;
use rskafka::chrono::DateTime;
use rskafka::client::partition::{Compression, PartitionClient};
use tokio::task::block_in_place;
use tokio_postgres::NoTls;
use xtask::stack::{Stack, TestDatabase};

use crate::topic::{Topic, within};
use crate::{Outcome, rows};

/// A topic full of events, and a database for their effects.
pub(super) struct Stand {
    database: TestDatabase,
    pub(super) topic: Topic,
    pub(super) pipeline: Pipeline,
    pub(super) brokers: String,
    pub(super) events: u64,
}

const BATCH: usize = 1_000;

impl Stand {
    pub(super) async fn create(stack: &Stack, partitions: i32, events: u64) -> Outcome<Self> {
        let database = block_in_place(|| stack.test_database())?;
        let config = Pipeline::recommended()
            .config()
            .clone()
            .with("transforms.outbox.route.topic.replacement", format!("{}.${{routedByValue}}", database.name()));
        let pipeline = Pipeline::new(config, Pipeline::recommended().layout().clone())?;
        let brokers = stack.kafka_bootstrap();
        let name = format!("{}.{}", database.name(), rows::AGGREGATE_TYPE);
        let topic = Topic::create(&brokers, name, partitions).await?;
        let stand = Self { database, topic, pipeline, brokers, events };
        let mut client = stand.pool(1)?.get().await?;
        migrations(&Identifier::new("outbox")?).apply(&mut client).await?;
        let partitions = stand.topic.open().await?;
        let count = partitions.len() as u64;
        try_join_all((0..).zip(&partitions).map(|(number, partition)| stand.fill(partition, number, count))).await?;
        Ok(stand)
    }

    /// An aggregate is in one partition only.
    async fn fill(&self, partition: &PartitionClient, number: u64, of: u64) -> Outcome<()> {
        let numbers: Vec<u64> = (0..self.events).filter(|n| n % rows::AGGREGATES % of == number).collect();
        for batch in numbers.chunks(BATCH) {
            let records = batch.iter().map(|n| Ok(wire(record(&self.pipeline, *n)?))).collect::<Outcome<Vec<_>>>()?;
            within("fill a topic", partition.produce(records, Compression::NoCompression)).await?;
        }
        Ok(())
    }

    pub(super) fn database_url(&self) -> &str {
        self.database.url()
    }

    /// What the topic's name begins with.
    pub(super) fn prefix(&self) -> &str {
        self.database.name()
    }

    pub(super) fn pool(&self, size: usize) -> Outcome<Pool> {
        let manager = Manager::new(self.database.url().parse()?, NoTls);
        Ok(Pool::builder(manager).max_size(size).build()?)
    }

    /// The effects' table, empty, and nothing known of any event.
    pub(super) async fn reset(&self) -> Outcome<()> {
        let client = self.pool(1)?.get().await?;
        let sql = format!(
            "DROP TABLE IF EXISTS ledger, seen, place;
             CREATE TABLE ledger (aggregate text PRIMARY KEY, events bigint NOT NULL DEFAULT 0,
                                  last bigint NOT NULL DEFAULT -1, disorder bigint NOT NULL DEFAULT 0);
             INSERT INTO ledger (aggregate) SELECT 'agg-' || n FROM generate_series(0, {} - 1) n;
             CREATE TABLE seen (id uuid PRIMARY KEY);
             CREATE TABLE place (partition integer PRIMARY KEY, next_offset bigint NOT NULL);
             TRUNCATE outbox.consumer_inbox; CHECKPOINT",
            rows::AGGREGATES
        );
        Ok(client.batch_execute(&sql).await?)
    }

    /// How many effects there are, and how many were out of order.
    pub(super) async fn effects(&self, pool: &Pool) -> Outcome<(u64, u64)> {
        let sql = "SELECT sum(events)::bigint, sum(disorder)::bigint FROM ledger";
        let row = pool.get().await?.query_one(sql, &[]).await?;
        Ok((u64::try_from(row.try_get::<_, i64>(0)?)?, u64::try_from(row.try_get::<_, i64>(1)?)?))
    }

    pub(super) async fn remove(self) -> Outcome<()> {
        self.topic.remove(self.database.name()).await?;
        block_in_place(|| drop(self.database));
        Ok(())
    }
}

/// One event's effect, which tells whether an earlier one of its aggregate came later.
pub(super) const EFFECT: &str =
    "UPDATE ledger SET events = events + 1, disorder = disorder + (last >= $2)::int, last = $2 WHERE aggregate = $1";

/// The record of a number, as the EventRouter writes it.
pub(super) fn record(pipeline: &Pipeline, n: u64) -> Outcome<Record> {
    let payload = format!(
        r#"{{"n":{n},"customer":"c4ca4238a0b923820dcc509a6f75849b","items":[{{"sku":"c81e728d9d4c","quantity":2,"price":"19.90"}}],"note":"leave it at the door with the green frame"}}"#
    );
    let event = OutboxEvent::builder(rows::AGGREGATE_TYPE, rows::key(n), "OrderPlaced").json(payload).build()?;
    Ok(pipeline.encode(&pipeline.row(&event)?)?)
}

/// As rskafka takes and gives it.
pub(super) fn wire(record: Record) -> rskafka::record::Record {
    let headers = record.headers.into_iter().filter_map(|(name, value)| Some((name, Vec::from(value?))));
    rskafka::record::Record {
        key: record.key.map(Vec::from),
        value: record.value.map(Vec::from),
        headers: headers.collect(),
        timestamp: DateTime::from_timestamp_millis(record.timestamp.unwrap_or_default()).unwrap_or_default(),
    }
}
