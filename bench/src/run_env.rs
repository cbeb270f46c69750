use std::fmt;
use std::ops::Range;

use outbox_core::{ConnectorConfig, RowLife, TableLayout};
use outbox_test_support::TestEnv;
use serde::{Serialize, Serializer};
use tokio::task::block_in_place;
use tokio_postgres::Client;
use xtask::stack::{KafkaCluster, NewTopic};

use crate::topic::Topic;
use crate::{Outcome, rows};

/// The database, slot and topic of one run, as the recommended configuration has them. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct RunEnv {
    env: TestEnv,
    table: String,
    has_table: bool,
    pub(crate) topic: Topic,
}

/// The way in which rows are put into transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    OneTransaction,
    /// Transactions of that many rows.
    Transactions(u64),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneTransaction => f.write_str("one transaction"),
            Self::Transactions(1) => f.write_str("one-row transactions"),
            Self::Transactions(rows) => write!(f, "transactions of {rows} rows"),
        }
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl RunEnv {
    /// Creates all of it, without rows.
    pub(crate) async fn create(partitions: i32) -> Outcome<Self> {
        Self::of(TestEnv::builder().slot().topic(partitions).build().await, partitions).await
    }

    /// Creates all of it, with a topic that has the cluster's number of replicas.
    pub(crate) async fn create_on(cluster: &KafkaCluster, partitions: i32) -> Outcome<Self> {
        let env = TestEnv::builder().slot().brokers(cluster.bootstrap()).build().await;
        block_in_place(|| cluster.create_topic(&NewTopic::new(env.topic()).partitions(partitions)))?;
        block_in_place(|| cluster.await_in_sync())?;
        Self::of(env, partitions).await
    }

    /// Creates all of it, with transactions that also update a row of another table.
    pub(crate) async fn create_with_business(partitions: i32, life: RowLife) -> Outcome<Self> {
        let layout = TableLayout::recommended().with_row_life(life);
        let env = TestEnv::builder().layout(layout).slot().topic(partitions).build().await;
        let table = env.pipeline().layout().qualified_name();
        let store = if life.has_table() { rows::insert_number(&table) } else { rows::emit_number(&table) };
        let client = env.client().await;
        client.batch_execute(rows::BUSINESS_TABLE).await?;
        client.batch_execute(&rows::functions(&format!("{store}; {}", rows::BUSINESS))).await?;
        let topic = Topic::open(&env, partitions).await?;
        Ok(Self { env, table, has_table: life.has_table(), topic })
    }

    async fn of(env: TestEnv, partitions: i32) -> Outcome<Self> {
        let (table, topic) = (env.pipeline().layout().qualified_name(), Topic::open(&env, partitions).await?);
        env.client().await.batch_execute(&rows::functions(&rows::insert_number(&table))).await?;
        Ok(Self { env, table, has_table: true, topic })
    }

    /// Returns the name of the database, the slot and the connector.
    pub(crate) fn name(&self) -> &str {
        self.env.name()
    }

    /// Returns the superuser's connection to the database.
    pub(crate) fn url(&self) -> &str {
        self.env.url()
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Returns the addresses of the brokers.
    pub(crate) fn brokers(&self) -> &str {
        self.env.brokers()
    }

    pub(crate) fn config(&self) -> &ConnectorConfig {
        self.env.config()
    }

    /// Opens a connection as the superuser.
    pub(crate) async fn client(&self) -> Client {
        self.env.client().await
    }

    /// Writes the rows of a range, and has the server write its pages, so that this is not measured later.
    pub(crate) async fn fill(&self, shape: Shape, rows: Range<u64>) -> Outcome<()> {
        let Range { start, end } = rows;
        let client = self.client().await;
        client.batch_execute("SET synchronous_commit = off").await?;
        match shape {
            Shape::OneTransaction => {
                let numbers = format!("generate_series({start}::bigint, {end}::bigint - 1) AS numbers(n)");
                client.batch_execute(&rows::insert(&self.table, &numbers)).await?;
            }
            Shape::Transactions(rows) => {
                client.batch_execute(&format!("CALL bench_fill({start}, {end}, {rows})")).await?;
            }
        }

        client.batch_execute("CHECKPOINT").await?;
        Ok(())
    }

    /// Returns the mean size of a row in the table.
    pub(crate) async fn bytes_per_row(&self) -> Outcome<Option<f64>> {
        if !self.has_table {
            return Ok(None);
        }
        let sql = format!(
            "SELECT avg(pg_column_size(row))::float8 FROM (SELECT row FROM {} AS row LIMIT 10000) AS sample",
            self.table
        );
        Ok(self.client().await.query_one(&sql, &[]).await?.try_get(0)?)
    }
}
