use std::time::Duration;

use outbox_core::{DomainEvent, OutboxEvent};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{Consumer, DeadLetterMode, Error, HandlerResult, Received, RetryPolicy};
use outbox_test_support::{TestEnv, eventually};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fixture::{Ran, run_at};

#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Placed {
    pub(crate) order: i32,
}

impl DomainEvent for Placed {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "OrderPlaced";

    fn aggregate_id(&self) -> String {
        self.order.to_string()
    }
}

/// Fails as long as there is no table.
async fn count(tx: &Transaction<'_>, event: Received<Placed>) -> HandlerResult {
    tx.execute("INSERT INTO effect VALUES ($1)", &[&event.event().order]).await?;
    Ok(())
}

/// The sender stops the consumer.
type Running = (oneshot::Sender<()>, JoinHandle<Result<(), Error>>);

/// A group `stock` with its tables and a topic, whose consumer may run.
pub(crate) struct Stock {
    pub(crate) env: TestEnv,
    running: Option<Running>,
}

impl Stock {
    pub(crate) async fn new() -> Self {
        let env = TestEnv::builder().slot().topic(1).build().await;
        let applied = run_at(&env, &["migrate", "apply", "--consumer"]).await;
        assert!(applied.text(0).starts_with("applied versions"), "{applied:?}");
        Self { env, running: None }
    }

    pub(crate) fn start(&mut self) {
        let consumer = Consumer::builder(self.env.brokers().split(','))
            .pipeline(self.env.pipeline().clone())
            .group("stock")
            .pool(self.env.pool())
            .lease_ttl(Duration::from_secs(30))
            .retry(RetryPolicy::never())
            .on_failure(DeadLetterMode::ContinueKey)
            .on(count)
            .build()
            .unwrap();
        let (stop, stopped) = oneshot::channel();
        self.running = Some((stop, tokio::spawn(consumer.run(async { _ = stopped.await }))));
    }

    pub(crate) async fn stop(&mut self) {
        self.end().await.unwrap();
    }

    /// Stops the consumer, and returns what it reports in the end.
    pub(crate) async fn end(&mut self) -> Result<(), Error> {
        let (stop, running) = self.running.take().unwrap();
        _ = stop.send(());
        running.await.unwrap()
    }

    pub(crate) async fn place(&self, order: i32) {
        let event = OutboxEvent::from_event(&Placed { order }).build().unwrap();
        let pipeline = self.env.pipeline();
        self.env.produce(0, pipeline.encode(&pipeline.row(&event).unwrap()).unwrap()).await;
    }

    /// Waits until the group holds this many dead letters, and returns them.
    pub(crate) async fn dead(&self, count: usize) -> Vec<Value> {
        eventually(format!("{count} dead letters"), async || {
            let listed = self.run(&["dead-letters", "list", "stock", "--output", "json"]).await;
            // Before its first start, the group does not exist.
            if listed.code == 5 {
                return Err(listed.stderr);
            }
            let events = listed.json(0)["events"].as_array().unwrap().clone();
            if events.len() == count { Ok(events) } else { Err(listed.stdout) }
        })
        .await
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        run_at(&self.env, arguments).await
    }

    pub(crate) async fn repair(&self) {
        self.env.client().await.batch_execute("CREATE TABLE effect (order_id integer)").await.unwrap();
    }

    pub(crate) async fn effects(&self, count: i64) {
        eventually(format!("{count} effects"), async || self.env.count("effect").await == count).await;
    }
}

#[tokio::test]
async fn dead_letters_are_listed_filtered_shown_and_retried() {
    let mut stock = Stock::new().await;
    stock.start();
    stock.place(1).await;
    stock.place(2).await;
    let dead = stock.dead(2).await;
    assert!(dead[0]["error"].as_str().unwrap().contains("\"effect\" does not exist"), "{dead:?}");
    assert_eq!((&dead[0]["topic"], &dead[0]["offset"]), (&stock.env.topic().into(), &0.into()));

    let listed = stock.run(&["dead-letters", "list", "stock", "--topic", "other"]).await;
    assert_eq!(listed.text(0), "no events are held\n");
    let listed = stock.run(&["dead-letters", "list", "stock", "--error", "does not exist", "--limit", "1"]).await;
    assert_eq!(listed.text(0).lines().count(), 2, "{listed:?}");
    let (first, second) = (dead[0]["id"].to_string(), dead[1]["id"].to_string());
    let shown = stock.run(&["dead-letters", "show", "stock", &first]).await;
    assert!(shown.text(0).contains("dead") && !shown.stdout.contains("{\"order\":1}"), "{shown:?}");
    let shown = stock.run(&["dead-letters", "show", "stock", &first, "--payload"]).await;
    assert!(shown.text(0).contains("{\"order\":1}"), "{shown:?}");
    assert_eq!(stock.run(&["dead-letters", "show", "stock", "999999999"]).await.code, 5);
    let unknown = stock.run(&["dead-letters", "retry", "stock", &first, "999999999"]).await;
    assert!(unknown.code == 5 && unknown.stderr.contains("nothing was asked for"), "{unknown:?}");
    stock.dead(2).await;
    for command in [&["list", "stok"][..], &["retry", "stok", "--all"], &["discard", "stok", "--all", "--yes"]] {
        assert_eq!(stock.run(&[&["dead-letters"], command].concat()).await.code, 5, "{command:?}");
    }

    stock.repair().await;
    let refused = stock.run(&["dead-letters", "discard", "stock", &second]).await;
    assert!(refused.code == 3 && refused.stderr.contains("--yes"), "{refused:?}");
    stock.run(&["dead-letters", "discard", "stock", &second, "--yes"]).await.text(0);
    stock.dead(1).await;
    let retried = stock.run(&["dead-letters", "retry", "stock", "--all", "--topic", stock.env.topic()]).await;
    assert!(retried.text(0).contains("1 events"), "{retried:?}");
    stock.effects(1).await;
    stock.dead(0).await;
    stock.stop().await;
}

#[tokio::test]
async fn a_group_is_shown_with_its_lag_and_its_position_is_moved() {
    let mut stock = Stock::new().await;
    stock.repair().await;
    assert_eq!(stock.run(&["consumer", "status", "stock"]).await.code, 5);
    stock.start();
    stock.place(1).await;
    stock.place(2).await;
    stock.effects(2).await;
    let status = eventually("all is read", async || {
        let status = stock.run(&["consumer", "status", "stock", "--output", "json"]).await.json(0);
        if status["partitions"][0]["lag"] == 0 { Ok(status) } else { Err(status) }
    })
    .await;
    assert_eq!((&status["partitions"][0]["read"], &status["partitions"][0]["position"]), (&true.into(), &2.into()));

    let pause = stock.run(&["consumer", "pause", "stock", "--topic", stock.env.topic(), "--reason", "trial"]).await;
    assert_eq!(pause.text(0), "group stock paused\n");
    let paused = stock.run(&["consumer", "status", "stock", "--output", "json"]).await.json(1);
    assert_eq!(paused["partitions"][0]["paused"], true);
    assert_eq!(stock.run(&["consumer", "resume", "stock"]).await.code, 5, "the topic is paused, not the group");
    stock.run(&["consumer", "resume", "stock", "--topic", stock.env.topic()]).await.text(0);

    stock.stop().await;
    stock.place(3).await;
    let topic = stock.env.topic();
    let moved = stock.run(&["consumer", "move", "stock", topic, "0", "--to", "3"]).await;
    assert!(moved.text(0).contains("at offset 3"), "{moved:?}");
    let status = stock.run(&["consumer", "status", "stock"]).await;
    assert!(status.text(1).contains("no"), "nobody reads it: {status:?}");
    assert_eq!(stock.run(&["consumer", "move", "stock", topic, "9", "--to", "3"]).await.code, 3);
    assert_eq!(stock.run(&["consumer", "move", "stok", topic, "0", "--to", "3"]).await.code, 5);
    // The runbook's SQL does the same.
    stock.run(&["consumer", "move", "stock", topic, "0", "--to", "2"]).await.text(0);
    let runbook = include_str!("../../../../docs/operations.md");
    let sql = runbook.split("-c \"UPDATE outbox.consumer_position").nth(1).unwrap().split('"').next().unwrap();
    let sql = sql.replace("$GROUP", "stock").replace("$TOPIC", topic).replace("42", "3");
    let moved = stock.env.client().await.execute(&format!("UPDATE outbox.consumer_position{sql}"), &[]).await;
    assert_eq!(moved.unwrap(), 1, "{sql}");
    stock.start();
    stock.place(4).await;
    stock.effects(3).await;
    stock.stop().await;
}
