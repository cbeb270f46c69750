use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use outbox_pg::PgOutbox;
use outbox_pg::tokio_postgres::{Client, NoTls, connect};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::fixture::{RelayEnv, numbered};

/// Writes numbered events without a pause, in transactions of one to four, until it is instructed to end. Where
/// PostgreSQL is unreachable it continues when that is back; a number whose transaction may have failed is not used
/// again.
pub(crate) struct Load {
    end: watch::Sender<()>,
    written: Arc<AtomicI64>,
    writer: JoinHandle<()>,
}

/// Between two transactions: the tests' servers share a small machine.
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(120);

impl Load {
    pub(crate) fn start(fixture: &RelayEnv, aggregates: i64) -> Self {
        let (end, ended) = watch::channel(());
        let written = Arc::new(AtomicI64::new(0));
        let writer = Writer {
            url: fixture.url().to_owned(),
            outbox: fixture.outbox.clone(),
            aggregates,
            next: 0,
            written: Arc::clone(&written),
        };
        let writer = tokio::spawn(writer.run(ended));
        Self { end, written, writer }
    }

    /// Returns how many events are written for certain.
    pub(crate) fn written(&self) -> i64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Waits until that many more events are written.
    pub(crate) async fn writes(&self, more: i64) {
        let (goal, deadline) = (self.written() + more, Instant::now() + PATIENCE);
        while self.written() < goal {
            assert!(Instant::now() < deadline, "{} events of {goal} are written", self.written());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn end(self) {
        drop(self.end);
        self.writer.await.unwrap();
    }
}

struct Writer {
    url: String,
    outbox: PgOutbox,
    aggregates: i64,
    next: i64,
    written: Arc<AtomicI64>,
}

impl Writer {
    async fn run(mut self, mut ended: watch::Receiver<()>) {
        let mut client = None;
        while ended.has_changed().is_ok() {
            if client.is_none() {
                client = self.connect().await;
            }
            if let Some(connected) = &mut client
                && self.write(connected).await.is_none()
            {
                client = None;
            }
            _ = timeout(PAUSE, ended.changed()).await;
        }
    }

    async fn connect(&self) -> Option<Client> {
        let (client, connection) = timeout(Duration::from_secs(2), connect(&self.url, NoTls)).await.ok()?.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    async fn write(&mut self, client: &mut Client) -> Option<()> {
        let size = 1 + self.next % 4;
        let events: Vec<_> = (self.next..self.next + size).map(|number| numbered(self.aggregates, number)).collect();
        self.next += size;
        let tx = client.transaction().await.ok()?;
        self.outbox.enqueue_all(&tx, &events).await.ok()?;
        tx.commit().await.ok()?;
        self.written.fetch_add(size, Ordering::Relaxed);
        Some(())
    }
}
