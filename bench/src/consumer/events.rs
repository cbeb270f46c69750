use deadpool_postgres::Pool;
use futures_util::future::try_join_all;
use outbox_core::record::Record;
use outbox_core::{DomainEvent, Identifier, OutboxEvent, Pipeline};
use outbox_kafka_consumer::migrations;
use outbox_test_support::{TestEnv, to_rskafka};
use rskafka::client::partition::{Compression, PartitionClient};
use serde::Deserialize;

use crate::topic::{Topic, within};
use crate::{Outcome, rows};

/// A topic full of events, and a database for their effects.
pub(super) struct FullTopic {
    pub(super) env: TestEnv,
    pub(super) topic: Topic,
    pub(super) events: u64,
}

const BATCH: usize = 1_000;
const LARGE: &str = "large_inbox";
const SMALL: &str = "small_inbox";

impl FullTopic {
    pub(super) async fn create(partitions: i32, events: u64) -> Outcome<Self> {
        let env = TestEnv::builder().database().topic(partitions).build().await;
        let topic = Topic::open(&env, partitions).await?;
        let full = Self { env, topic, events };
        let mut client = full.env.client().await;
        migrations(&Identifier::new("outbox")?).apply(&mut client).await?;
        let partitions = full.topic.partition_clients().await?;
        let count = partitions.len() as u64;
        try_join_all((0..).zip(&partitions).map(|(number, partition)| full.fill(partition, number, count))).await?;
        Ok(full)
    }

    /// Fills the topic. An aggregate is in one partition only.
    async fn fill(&self, partition: &PartitionClient, number: u64, of: u64) -> Outcome<()> {
        let numbers: Vec<u64> = (0..self.events).filter(|n| n % rows::AGGREGATES % of == number).collect();
        for batch in numbers.chunks(BATCH) {
            let records =
                batch.iter().map(|n| Ok(to_rskafka(record(self.env.pipeline(), *n)?))).collect::<Outcome<Vec<_>>>()?;
            within("fill a topic", partition.produce(records, Compression::NoCompression)).await?;
        }
        Ok(())
    }

    /// Resets the effects' table: empty, and nothing known of any event.
    pub(super) async fn reset(&self) -> Outcome<()> {
        let client = self.env.client().await;
        let sql = format!(
            "DROP TABLE IF EXISTS arrival, ledger, stock, seen, place;
             CREATE TABLE ledger (aggregate text PRIMARY KEY, events bigint NOT NULL DEFAULT 0,
                                  last bigint NOT NULL DEFAULT -1, disorder bigint NOT NULL DEFAULT 0);
             INSERT INTO ledger (aggregate) SELECT 'agg-' || n FROM generate_series(0, {} - 1) n;
             CREATE TABLE stock (product bigint PRIMARY KEY, events bigint NOT NULL DEFAULT 0);
             INSERT INTO stock (product) SELECT generate_series(0, {SHARED_ROWS} - 1);
             CREATE TABLE arrival (number bigint GENERATED ALWAYS AS IDENTITY, aggregate text NOT NULL, n bigint NOT NULL);
             CREATE TABLE seen (id uuid PRIMARY KEY);
             CREATE TABLE place (partition integer PRIMARY KEY, next_offset bigint NOT NULL);
             TRUNCATE outbox.consumer_inbox; CHECKPOINT",
            rows::AGGREGATES
        );
        Ok(client.batch_execute(&sql).await?)
    }

    /// Makes a second inbox with handled events of a group, as of partitions that are not read.
    pub(super) async fn fill_inbox(&self, group: &str, rows: u64) -> Outcome<()> {
        let client = self.env.client().await;
        let sql = format!(
            "CREATE TABLE outbox.{LARGE} (LIKE outbox.consumer_inbox INCLUDING ALL);
             INSERT INTO outbox.{LARGE}
             SELECT '{group}', gen_random_uuid(), 'handled', 0, n, now() - make_interval(secs => n / 1000)
             FROM generate_series(1, {rows}) AS n"
        );
        client.batch_execute(&sql).await?;
        Ok(client.batch_execute(&format!("VACUUM ANALYZE outbox.{LARGE}")).await?)
    }

    /// Puts the inbox of [`fill_inbox`](Self::fill_inbox) in place of the empty one.
    pub(super) async fn enlarge_inbox(&self) -> Outcome<()> {
        let sql = format!(
            "ALTER TABLE outbox.consumer_inbox RENAME TO {SMALL};
             ALTER TABLE outbox.{LARGE} RENAME TO consumer_inbox"
        );
        let client = self.env.client().await;
        client.batch_execute(&sql).await?;
        Ok(client.batch_execute("CHECKPOINT").await?)
    }

    /// Puts the empty inbox back, and removes from the large one what was added since.
    pub(super) async fn empty_inbox(&self) -> Outcome<()> {
        let sql = format!(
            "ALTER TABLE outbox.consumer_inbox RENAME TO {LARGE};
             ALTER TABLE outbox.{SMALL} RENAME TO consumer_inbox;
             DELETE FROM outbox.{LARGE} WHERE position_id <> 0"
        );
        let client = self.env.client().await;
        client.batch_execute(&sql).await?;
        Ok(client.batch_execute(&format!("VACUUM outbox.{LARGE}")).await?)
    }

    /// Lets a group begin again at the first event.
    pub(super) async fn forget(&self, group: &str) -> Outcome<()> {
        let sql = format!("DELETE FROM outbox.consumer_position WHERE consumer_group = '{group}'");
        Ok(self.env.client().await.batch_execute(&sql).await?)
    }

    /// Returns how many arrivals came before an earlier one of their aggregate.
    pub(super) async fn arrivals_out_of_order(&self) -> Outcome<i64> {
        let sql = "SELECT count(*) FROM (SELECT n, lag(n) OVER (PARTITION BY aggregate ORDER BY number) AS before
                                         FROM arrival) AS arrival WHERE n <= before";
        Ok(self.env.client().await.query_one(sql, &[]).await?.try_get(0)?)
    }

    /// Returns how many effects there are, and how many were out of order.
    pub(super) async fn effects(&self, pool: &Pool) -> Outcome<(u64, u64)> {
        let sql = "SELECT (sum(events) + (SELECT sum(events) FROM stock) + (SELECT count(*) FROM arrival))::bigint,
                          sum(disorder)::bigint FROM ledger";
        let row = pool.get().await?.query_one(sql, &[]).await?;
        Ok((u64::try_from(row.try_get::<_, i64>(0)?)?, u64::try_from(row.try_get::<_, i64>(1)?)?))
    }
}

/// One event's effect, which reports whether an earlier one of its aggregate came later.
pub(super) const EFFECT: &str =
    "UPDATE ledger SET events = events + 1, disorder = disorder + (last >= $2)::int, last = $2 WHERE aggregate = $1";

/// One event's effect that leaves no dead row, whatever snapshots are held.
pub(super) const ARRIVAL: &str = "INSERT INTO arrival (aggregate, n) VALUES ($1, $2)";

/// The effects of many events, in their order, by one statement.
pub(super) const EFFECTS: &str = "
    UPDATE ledger SET events = events + count, last = highest, disorder = disorder + late + (last >= lowest)::int
    FROM (SELECT aggregate, count(*) AS count, min(n) AS lowest, max(n) AS highest,
                 count(*) FILTER (WHERE n <= before) AS late
          FROM (SELECT aggregate, n, lag(n) OVER (PARTITION BY aggregate ORDER BY number) AS before
                FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS event (aggregate, n, number)) AS event
          GROUP BY aggregate) AS new
    WHERE ledger.aggregate = new.aggregate";

/// One event's effect on a row that events of all aggregates change.
pub(super) const SHARED_EFFECT: &str =
    "UPDATE stock SET events = events + 1 WHERE product = (hashint8($2) & 2147483647) % 1000 AND $1 <> ''";

const SHARED_ROWS: u64 = 1_000;

/// The event whose effects are measured.
#[derive(Debug, Deserialize)]
pub(super) struct OrderPlaced {
    pub(super) n: i64,
}

impl DomainEvent for OrderPlaced {
    const AGGREGATE_TYPE: &'static str = rows::AGGREGATE_TYPE;
    const EVENT_TYPE: &'static str = "OrderPlaced";

    fn aggregate_id(&self) -> String {
        rows::key(u64::try_from(self.n).unwrap_or_default())
    }
}

/// Returns the record of a number, as the EventRouter writes it.
pub(super) fn record(pipeline: &Pipeline, n: u64) -> Outcome<Record> {
    let payload = format!(
        r#"{{"n":{n},"customer":"c4ca4238a0b923820dcc509a6f75849b","items":[{{"sku":"c81e728d9d4c","quantity":2,"price":"19.90"}}],"note":"leave it at the door with the green frame"}}"#
    );
    let event = OutboxEvent::builder(rows::AGGREGATE_TYPE, rows::key(n), "OrderPlaced").json(payload).build()?;
    Ok(pipeline.encode(&pipeline.row(&event)?)?)
}
