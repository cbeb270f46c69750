use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use outbox_core::OutboxEvent;
use outbox_pg::PgOutbox;
use outbox_pg::tokio_postgres::Client;
use outbox_test_support::{TestEnv, connect, eventually};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Aggregates of each type.
const AGGREGATES: i64 = 60;
/// Events of one transaction, each of another aggregate.
const EVENTS: i64 = 6;
/// Between two transactions: the servers share a small machine.
const PAUSE: Duration = Duration::from_millis(10);

/// Writes numbered events of all aggregate types until it ends. The payload of an event is its number among the events
/// of its aggregate, from 0.
pub(crate) struct Load {
    types: watch::Sender<Vec<String>>,
    written: Arc<AtomicI64>,
    writer: JoinHandle<()>,
}

impl Load {
    pub(crate) fn start(env: &TestEnv) -> Self {
        let (types, changes) = watch::channel(vec!["order".to_owned()]);
        let written = Arc::new(AtomicI64::new(0));
        let writer = write(env.url().to_owned(), env.outbox(), changes, Arc::clone(&written));
        Self { types, written, writer: tokio::spawn(writer) }
    }

    /// Writes events of one more aggregate type, and so to one more topic, from now on.
    pub(crate) fn add_type(&self, name: &str) {
        self.types.send_modify(|types| types.push(name.to_owned()));
    }

    /// Waits until this many more events are committed.
    pub(crate) async fn writes(&self, more: i64) {
        let goal = self.written.load(Ordering::Relaxed) + more;
        eventually(format!("{goal} events are written"), async || self.written.load(Ordering::Relaxed) >= goal).await;
    }

    pub(crate) async fn end(self) {
        drop(self.types);
        self.writer.await.unwrap();
    }
}

async fn write(url: String, outbox: PgOutbox, types: watch::Receiver<Vec<String>>, written: Arc<AtomicI64>) {
    let mut client: Client = connect(&url).await;
    let mut firsts: Vec<i64> = Vec::new();
    let mut turn = 0;

    while types.has_changed().is_ok() {
        let names = types.borrow().clone();
        firsts.resize(names.len(), turn);
        let mut events = Vec::new();
        for (name, first) in names.iter().zip(&firsts) {
            for place in (turn - first) * EVENTS..(turn - first + 1) * EVENTS {
                let event = OutboxEvent::builder(name.clone(), format!("agg-{}", place % AGGREGATES), "Numbered");
                events.push(event.json((place / AGGREGATES).to_string()).build().unwrap());
            }
        }

        let tx = client.transaction().await.unwrap();
        outbox.enqueue_all(&tx, &events).await.unwrap();
        tx.commit().await.unwrap();
        written.fetch_add(i64::try_from(events.len()).unwrap(), Ordering::Relaxed);
        turn += 1;
        tokio::time::sleep(PAUSE).await;
    }
}
