//! A service that stores events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use outbox_core::layout::Row;
use outbox_core::uuid::Uuid;
use outbox_core::{ConnectorConfig, EventId, OutboxEvent, Pipeline, RowLife, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::{Maintenance, MaintenanceOutcome, MaintenanceReport, Migrations, PgOutbox};
use outbox_test_support::connect;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::fixture::DebeziumEnv;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Creates events of different ages, which lie in the order of enqueue, of few aggregates and two topics.
pub(crate) fn events(ages: impl IntoIterator<Item = Duration>) -> Vec<OutboxEvent> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let event = |age: Duration| {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = EventId::new().as_uuid().as_u128() - (age.as_millis() << 80);
        OutboxEvent::builder(["order", "invoice"][number % 2], format!("key-{}", number % 5), "Line")
            .id(EventId::try_from(Uuid::from_u128(id)).unwrap())
            .json(json!({ "number": number, "of": "größe" }).to_string())
            .header("tenant", "a")
            .build()
            .unwrap()
    };
    ages.into_iter().map(event).collect()
}

/// A service with the outbox of a life, a connector and the relay that read it, and what it stored.
pub(crate) struct Service {
    fixture: DebeziumEnv,
    pub(crate) pipeline: Pipeline,
    outbox: PgOutbox,
    pub(crate) client: Client,
    pub(crate) stored: Vec<OutboxEvent>,
    pub(crate) runtime: Runtime,
}

impl Service {
    pub(crate) fn start(life: RowLife) -> Self {
        Self::start_with(TableLayout::recommended().with_row_life(life), |config| config)
    }

    pub(crate) fn start_with(layout: TableLayout, change: impl FnOnce(ConnectorConfig) -> ConnectorConfig) -> Self {
        let mut fixture = DebeziumEnv::without_table(layout);
        fixture.reader("life", change);
        let pipeline = fixture.pipeline().clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut client = runtime.block_on(connect(fixture.database_url()));
        runtime.block_on(async {
            Migrations::outbox(&pipeline).apply(&mut client).await.unwrap();
            Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
        });
        fixture.start();
        Self { fixture, outbox: PgOutbox::new(pipeline.clone()), pipeline, client, stored: vec![], runtime }
    }

    pub(crate) fn client(&self) -> Client {
        self.runtime.block_on(connect(self.fixture.database_url()))
    }

    /// Stores each event by itself, in one transaction.
    pub(crate) fn store(&mut self, events: &[OutboxEvent]) {
        self.runtime.block_on(async {
            let tx = self.client.transaction().await.unwrap();
            for event in events {
                self.outbox.enqueue(&tx, event).await.unwrap();
            }
            tx.commit().await.unwrap();
        });
        self.stored.extend_from_slice(events);
    }

    /// Stores several batches in one transaction.
    pub(crate) fn store_in_batches(&mut self, batches: &[Vec<OutboxEvent>]) {
        self.runtime.block_on(async {
            let tx = self.client.transaction().await.unwrap();
            for batch in batches {
                self.outbox.enqueue_all(&tx, batch).await.unwrap();
            }
            tx.commit().await.unwrap();
        });
        self.stored.extend(batches.iter().flatten().cloned());
    }

    pub(crate) fn roll_back(&mut self, events: &[OutboxEvent]) {
        self.runtime.block_on(async {
            let tx = self.client.transaction().await.unwrap();
            self.outbox.enqueue_all(&tx, events).await.unwrap();
            tx.rollback().await.unwrap();
        });
    }

    pub(crate) fn rows(&self) -> i64 {
        let count = self.client.query_one("SELECT count(*) FROM outbox.outbox_message", &[]);
        self.runtime.block_on(count).unwrap().get(0)
    }

    pub(crate) fn maintenance(&self, retention: Duration) -> Maintenance {
        Maintenance::new(self.pipeline.clone(), retention).partition(HOUR).ahead(3 * HOUR).behind(10 * HOUR)
    }

    pub(crate) fn maintain(&self, maintenance: &Maintenance) -> MaintenanceReport {
        match self.runtime.block_on(maintenance.run(&self.client)).unwrap() {
            MaintenanceOutcome::Done(report) => report,
            other => panic!("{other:?}"),
        }
    }

    /// Compares what was stored with the records of both engines.
    pub(crate) fn compare(&self) {
        let rows: Vec<_> = self.stored.iter().map(|event| self.pipeline.row(event).unwrap()).collect();
        let differences = self.fixture.differences_of(&rows);
        assert!(differences.is_empty(), "{} differences: {differences:#?}", differences.len());
    }
}

impl Service {
    /// Compares the rows of the table, as PostgreSQL prints them, with the records of both engines, and returns them.
    pub(crate) fn compare_rows(&mut self) -> Vec<Row> {
        let rows = self.fixture.rows();
        let differences = self.fixture.differences_of(&rows);
        assert!(differences.is_empty(), "{} differences: {differences:#?}", differences.len());
        rows
    }
}

/// Transactions of one event each, one after the other.
pub(crate) struct Load {
    written: Arc<AtomicUsize>,
    ends: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Vec<OutboxEvent>>,
}

impl Load {
    pub(crate) fn start(service: &Service) -> Self {
        let (written, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (mut client, outbox) = (service.client(), service.outbox.clone());
        let (count, end) = (Arc::clone(&written), Arc::clone(&ends));
        let task = service.runtime.spawn(async move {
            let mut stored = vec![];
            while !end.load(Ordering::Relaxed) {
                let event = events([Duration::ZERO]).remove(0);
                let tx = client.transaction().await.unwrap();
                outbox.enqueue(&tx, &event).await.unwrap();
                tx.commit().await.unwrap();
                stored.push(event);
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            stored
        });
        Self { written, ends, task }
    }

    /// Waits until that many more are committed.
    pub(crate) fn writes(&self, more: usize) {
        let (until, deadline) = (self.written.load(Ordering::Relaxed) + more, Instant::now() + PATIENCE);
        while self.written.load(Ordering::Relaxed) < until {
            assert!(Instant::now() < deadline && !self.task.is_finished(), "the service does not write");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn end(self, service: &Service) -> Vec<OutboxEvent> {
        self.ends.store(true, Ordering::Relaxed);
        service.runtime.block_on(self.task).unwrap()
    }
}
