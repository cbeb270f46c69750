use std::time::Duration;

use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use xtask::stack::{ConnectRest, Stack, StackError};

use crate::bench::Bench;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long a topic's ends have to stand still until Debezium's producer has surely sent all it had.
const SETTLED: Duration = Duration::from_secs(2);

/// The real Debezium on a bench's slot. It is removed with the value.
pub(crate) struct Connector {
    connect: ConnectRest,
    name: String,
    config: Value,
}

impl Connector {
    pub(crate) fn of(bench: &Bench) -> Self {
        let config = bench.config.clone().with("heartbeat.interval.ms", "0").to_json();
        Self {
            connect: Stack::connect().unwrap().connect_rest(),
            name: bench.database_name().to_owned(),
            config: serde_json::from_str(&config).unwrap(),
        }
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&ConnectRest, &str, &Value) -> Result<T, StackError> + Send + 'static,
    ) -> T {
        let (connect, name, config) = (self.connect.clone(), self.name.clone(), self.config.clone());
        spawn_blocking(move || ask(&connect, &name, &config).unwrap()).await.unwrap()
    }

    /// Waits until it runs and holds the slot.
    pub(crate) async fn reads(&self, bench: &Bench) {
        self.ask(|connect, name, _| connect.wait_running(name, PATIENCE)).await;
        bench.slot_becomes("active").await;
    }

    /// The procedure of the docs: stop, no task, slot inactive, ends that stand still.
    pub(crate) async fn gives_back(&self, bench: &Bench) {
        self.ask(|connect, name, _| connect.stop(name)).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.ask(|connect, name, _| connect.status(name)).await;
            let tasks = status["tasks"].as_array().map_or(0, Vec::len);
            if status["connector"]["state"] == "STOPPED" && tasks == 0 {
                break;
            }
            assert!(Instant::now() < deadline, "it does not stop: {status:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.settles(bench).await;
    }

    /// Waits until the slot is free and nothing more of the connector's comes to the topic.
    pub(crate) async fn settles(&self, bench: &Bench) {
        bench.slot_becomes("NOT active").await;
        let (mut ends, mut since) = (bench.ends().await, Instant::now());
        while since.elapsed() < SETTLED {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = bench.ends().await;
            if now != ends {
                (ends, since) = (now, Instant::now());
            }
        }
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        let (connect, name) = (self.connect.clone(), self.name.clone());
        // Its client blocks, which it must not do here.
        let removed = std::thread::spawn(move || connect.delete(&name)).join();
        if !matches!(removed, Ok(Ok(()))) {
            eprintln!("the connector {} stays behind: {removed:?}", self.name);
        }
    }
}
