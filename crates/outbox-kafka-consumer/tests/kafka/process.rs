//! A consumer in its own process, which may be killed, stopped and may end itself.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use outbox_core::{ConnectorConfig, Pipeline, TableLayout};
use outbox_kafka_consumer::{Builder, Consumer, HandlerResult, Reader, Received};
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::driver::{DRIVERS, Driver, Tx, all, consumer, each, store, store_all};
use crate::env::{LEASE, OrderCreated, patient};

const VARIABLE: &str = "OUTBOX_TEST_CONSUMER";

/// The behaviour of the process at order 13.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum AtOrder13 {
    Nothing,
    /// Ends itself, after the effect and before the commit.
    Abort,
    /// Pauses there, once.
    Stop,
}

/// The way in which a process reads and handles events. Processes of all kinds work in one group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    driver: Driver,
    reader: Reader,
    handler: Handler,
}

#[derive(Clone, Copy, Debug)]
enum Handler {
    Single,
    Batch,
}

/// A consumer's process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Kind {
    /// Returns every kind.
    pub(crate) fn all() -> Vec<Self> {
        let mut kinds = Vec::new();
        for handler in [Handler::Single, Handler::Batch] {
            for reader in [Reader::Rskafka, Reader::Native, Reader::Auto] {
                kinds.extend(DRIVERS.iter().map(|driver| Self { driver: *driver, reader, handler }));
            }
        }
        kinds
    }
}

impl Process {
    pub(crate) fn spawn(brokers: &str, database: &str, prefix: &str, at_13: AtOrder13) -> Self {
        let kind = Kind { driver: Driver::TokioPostgres, reader: Reader::Auto, handler: Handler::Single };
        Self::spawn_of(kind, brokers, database, prefix, at_13)
    }

    pub(crate) fn spawn_of(kind: Kind, brokers: &str, database: &str, prefix: &str, at_13: AtOrder13) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["process::runs_only_where_another_test_asks_for_it", "--exact", "--nocapture"])
            .env(VARIABLE, format!("{brokers}|{database}|{prefix}|{at_13:?}|{kind:?}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();

        let log = Arc::new(Mutex::new(String::new()));
        let (lines, shared) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = shared.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    pub(crate) fn resume(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::CONT).unwrap();
    }

    /// Returns whether it was stopped by a signal.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn pipeline(prefix: &str) -> Pipeline {
    let layout = TableLayout::recommended();
    let replacement = format!("{prefix}.${{routedByValue}}");
    let config = ConnectorConfig::recommended(&layout).with("transforms.outbox.route.topic.replacement", replacement);
    Pipeline::new(config, layout).unwrap()
}

/// Waits until the process is stopped. The signal may reach this thread at once, or another one first: it is over when
/// time has gone by unseen.
fn stand_still() {
    let (step, gap) = (Duration::from_millis(5), Duration::from_secs(1));
    let mut before = Instant::now();
    kill_process(getpid(), Signal::STOP).unwrap();
    while before.elapsed() <= gap {
        before = Instant::now();
        std::thread::sleep(step);
    }
}

async fn at_13(what: AtOrder13, tx: &mut dyn Tx, event: Received<OrderCreated>) -> HandlerResult {
    let is_13 = event.event().order_id == 13;
    store(tx, event).await?;
    match what {
        AtOrder13::Abort if is_13 => std::process::abort(),
        AtOrder13::Stop if is_13 => {
            let id = tx.text("SELECT pg_current_xact_id()::text").await?;
            println!("transaction {id}");
            stand_still();
        }
        _ => {}
    }
    Ok(())
}

/// The servers of the test that started the process.
struct Parts<'a> {
    brokers: &'a str,
    pipeline: Pipeline,
    reader: Reader,
}

impl Parts<'_> {
    fn consumer(&self) -> Builder {
        let consumer = Consumer::builder(self.brokers.split(',')).pipeline(self.pipeline.clone()).group("test");
        consumer.reader(self.reader).lease_ttl(LEASE).retry(patient())
    }

    #[cfg(feature = "sqlx")]
    fn sqlx_consumer(&self) -> Builder<outbox_kafka_consumer::Sqlx> {
        let consumer = Consumer::sqlx_builder(self.brokers.split(',')).pipeline(self.pipeline.clone()).group("test");
        consumer.reader(self.reader).lease_ttl(LEASE).retry(patient())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_only_where_another_test_asks_for_it() {
    let Ok(settings) = std::env::var(VARIABLE) else { return };
    let parts: Vec<&str> = settings.split('|').collect();
    tracing_subscriber::fmt().with_ansi(false).init();

    let what = match parts[3] {
        "Abort" => AtOrder13::Abort,
        "Stop" => AtOrder13::Stop,
        _ => AtOrder13::Nothing,
    };
    let kind = Kind::all().into_iter().find(|kind| format!("{kind:?}") == parts[4]).unwrap();
    let pool = kind.driver.pool(parts[1], 16);

    // One end is enough of a test that ends it on purpose.
    let poison_after = if what == AtOrder13::Abort { 1 } else { 3 };
    let (batch, poison_after) = (32.try_into().unwrap(), poison_after.try_into().unwrap());
    let env = Parts { brokers: parts[0], pipeline: pipeline(parts[2]), reader: kind.reader };
    let consumer = match kind.handler {
        Handler::Single => {
            let handler = each(move |tx, event| Box::pin(at_13(what, tx, event)));
            consumer!(pool, env, on(handler), max_batch_size(batch), poison_after(poison_after))
        }
        Handler::Batch => {
            let handler = all(|tx, events| Box::pin(store_all(tx, events)));
            consumer!(pool, env, on_batch(handler), max_batch_size(batch), poison_after(poison_after))
        }
    };

    // It outlives no test: the process that started it ends it, or its end is seen here.
    let orphaned = async {
        let parent = std::os::unix::process::parent_id();
        while std::os::unix::process::parent_id() == parent {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    consumer.run(orphaned).await.unwrap();
}
