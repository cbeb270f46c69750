use std::time::Duration;

use outbox_core::{ConnectorConfig, Pipeline, TableLayout};
use outbox_pg::Migrations;
use outbox_pg::deadpool_postgres::{Manager, Pool};
use outbox_pg::tokio_postgres::{Client, Config, NoTls, connect};
use xtask::stack::{Stack, TestDatabase};

/// A database of this test's own, and connections to it.
pub(crate) struct Database {
    database: TestDatabase,
}

impl Database {
    pub(crate) fn create() -> Self {
        Self { database: Stack::connect().unwrap().test_database().unwrap() }
    }

    /// A database with the outbox of a layout in it.
    pub(crate) async fn with_outbox(layout: TableLayout) -> (Self, Pipeline) {
        let database = Self::create();
        let pipeline = database.pipeline(layout);
        Migrations::outbox(&pipeline).apply(&mut database.client().await).await.unwrap();
        (database, pipeline)
    }

    /// The recommended pipeline, with a slot that is this database's own.
    pub(crate) fn pipeline(&self, layout: TableLayout) -> Pipeline {
        let config = ConnectorConfig::recommended(&layout).with("slot.name", self.database.name());
        Pipeline::new(config, layout).unwrap()
    }

    pub(crate) fn name(&self) -> &str {
        self.database.name()
    }

    pub(crate) async fn client(&self) -> Client {
        let (client, connection) = connect(self.database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    pub(crate) fn config(&self) -> Config {
        self.database.url().parse().unwrap()
    }

    pub(crate) fn pool(&self) -> Pool {
        Pool::builder(Manager::new(self.config(), NoTls))
            .runtime(outbox_pg::deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(Duration::from_secs(10)))
            .build()
            .unwrap()
    }
}

/// How many rows the outbox holds.
pub(crate) async fn rows(client: &Client) -> i64 {
    client.query_one("SELECT count(*) FROM outbox.outbox_message", &[]).await.unwrap().get(0)
}
