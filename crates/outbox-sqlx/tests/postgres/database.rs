use outbox_core::{ConnectorConfig, OutboxEvent, Pipeline, TableLayout};
use outbox_pg::Migrations;
use outbox_pg::tokio_postgres::{Client, NoTls, connect};
use outbox_sqlx::sqlx::{self, PgPool, postgres::PgPoolOptions};
use xtask::stack::{Stack, TestDatabase};

/// A database of this test's own with the outbox of a layout in it, and sqlx's connections to it.
pub(crate) struct Database {
    pub(crate) pool: PgPool,
    pub(crate) pipeline: Pipeline,
    database: TestDatabase,
}

impl Database {
    pub(crate) async fn with_outbox(layout: TableLayout) -> Self {
        let database = Stack::connect().unwrap().test_database().unwrap();
        let config = ConnectorConfig::recommended(&layout).with("slot.name", database.name());
        let pipeline = Pipeline::new(config, layout).unwrap();
        let pool = PgPoolOptions::new().max_connections(4).connect(database.url()).await.unwrap();
        let database = Self { pool, pipeline, database };
        Migrations::outbox(&database.pipeline).apply(&mut database.client().await).await.unwrap();
        database
    }

    /// A connection of the other driver.
    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = connect(self.database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(crate) fn name(&self) -> &str {
        self.database.name()
    }

    /// How many rows the outbox holds.
    pub(crate) async fn rows(&self) -> i64 {
        let sql = format!("SELECT count(*) FROM {}", self.pipeline.layout().qualified_name());
        sqlx::query_scalar(&sql).fetch_one(&self.pool).await.unwrap()
    }
}

pub(crate) fn event(n: i64) -> OutboxEvent {
    OutboxEvent::builder("order", n.to_string(), "OrderCreated").json(format!("{{\"n\":{n}}}")).build().unwrap()
}
