use std::fmt;

use outbox_core::{ConnectorConfig, Pipeline, TableLayout};
use outbox_pg::{Migrations, create_slot};
use serde::{Serialize, Serializer};
use tokio::task::block_in_place;
use tokio_postgres::{Client, NoTls};
use xtask::stack::{Stack, TestDatabase};

use crate::topic::Topic;
use crate::{Outcome, rows};

/// The database, slot and topic of one run, as the recommended configuration has them.
#[derive(Debug)]
pub(crate) struct Site {
    database: TestDatabase,
    table: String,
    config: ConnectorConfig,
    pub(crate) topic: Topic,
}

/// How rows are put into transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    OneTransaction,
    /// Transactions of so many rows.
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

impl Site {
    /// Creates all of it, without rows.
    pub(crate) async fn create(stack: &Stack, partitions: i32) -> Outcome<Self> {
        let database = block_in_place(|| stack.test_database())?;
        let name = database.name();
        let layout = TableLayout::recommended();
        let config = ConnectorConfig::recommended(&layout)
            .with("database.hostname", stack.postgres_host())
            .with("database.port", stack.postgres_port().to_string())
            .with("database.user", "postgres")
            .with("database.password", "postgres")
            .with("database.dbname", name)
            .with("slot.name", name)
            .with("topic.prefix", name)
            .with("transforms.outbox.route.topic.replacement", format!("{name}.${{routedByValue}}"));
        let table = layout.qualified_name();
        let pipeline = Pipeline::new(config.clone(), layout)?;
        let topic = format!("{name}.{}", rows::AGGREGATE_TYPE);
        let topic = Topic::create(&stack.kafka_bootstrap(), topic, partitions).await?;
        let site = Self { database, table, config, topic };
        let mut client = site.client().await?;
        Migrations::outbox(&pipeline).apply(&mut client).await?;
        client.batch_execute(&rows::functions(&site.table)).await?;
        create_slot(&client, &pipeline).await?;
        Ok(site)
    }

    /// The name of the database, the slot and the connector.
    pub(crate) fn name(&self) -> &str {
        self.database.name()
    }

    /// The superuser's connection to the database.
    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    pub(crate) fn config(&self) -> &ConnectorConfig {
        &self.config
    }

    /// A new connection as the superuser.
    pub(crate) async fn client(&self) -> Outcome<Client> {
        let (client, connection) = tokio_postgres::connect(self.database.url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Writes the rows of 0 to `count`, and has the server write its pages, so that this is not measured later.
    pub(crate) async fn fill(&self, shape: Shape, count: u64) -> Outcome<()> {
        let client = self.client().await?;
        client.batch_execute("SET synchronous_commit = off").await?;
        match shape {
            Shape::OneTransaction => {
                let numbers = format!("generate_series(0::bigint, {count}::bigint - 1) AS numbers(n)");
                client.batch_execute(&rows::insert(&self.table, &numbers)).await?;
            }
            Shape::Transactions(rows) => {
                client.batch_execute(&format!("CALL bench_fill(0, {count}, {rows})")).await?;
            }
        }
        client.batch_execute("CHECKPOINT").await?;
        Ok(())
    }

    /// The mean size of a row in the table.
    pub(crate) async fn bytes_per_row(&self) -> Outcome<Option<f64>> {
        let sql = format!(
            "SELECT avg(pg_column_size(row))::float8 FROM (SELECT row FROM {} AS row LIMIT 10000) AS sample",
            self.table
        );
        Ok(self.client().await?.query_one(&sql, &[]).await?.try_get(0)?)
    }

    /// Removes all of it; the engine that read it must have ended.
    pub(crate) async fn remove(self) -> Outcome<()> {
        self.topic.remove(self.database.name()).await?;
        block_in_place(|| drop(self.database));
        Ok(())
    }
}
