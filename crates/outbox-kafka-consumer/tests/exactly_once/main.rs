//! Debezium writes with exactly-once support, its worker is killed, and the consumer applies each event exactly once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use outbox_core::{DomainEvent, Identifier, OutboxEvent};
use outbox_kafka::{Cluster, OffsetAt, Settings, Topic};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{Builder, Consumer, HandlerResult, Reader, Received, migrations};
use outbox_test_support::{TestEnv, eventually, stack};
use tokio::sync::watch;
use tokio::task::block_in_place;
use xtask::stack::OwnConnect;

const AGGREGATES: i64 = 40;
const PARTITIONS: i32 = 2;
/// Events of each aggregate around each kill, and after the last one.
const STEPS: i64 = 40;
const START: Duration = Duration::from_secs(300);

#[derive(serde::Serialize, serde::Deserialize)]
struct Step {
    order_id: i64,
    step: i64,
}

impl DomainEvent for Step {
    const AGGREGATE_TYPE: &'static str = "order";
    const EVENT_TYPE: &'static str = "Step";
    const SCHEMA_VERSION: u32 = 1;

    fn aggregate_id(&self) -> String {
        self.order_id.to_string()
    }
}

async fn by_auto(tx: &Transaction<'_>, event: Received<Step>) -> HandlerResult {
    store(tx, "auto", event.event()).await
}

async fn by_native(tx: &Transaction<'_>, event: Received<Step>) -> HandlerResult {
    store(tx, "native", event.event()).await
}

async fn store(tx: &Transaction<'_>, reader: &str, event: &Step) -> HandlerResult {
    let sql = "INSERT INTO effect (reader, order_id, step) VALUES ($1, $2, $3)";
    tx.execute(sql, &[&reader, &event.order_id, &event.step]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_that_debezium_writes_takes_effect_once_although_its_worker_is_killed() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();

    let kafka = block_in_place(|| stack().kafka_cluster().unwrap().brokers(1).start().unwrap());
    let connect = block_in_place(|| stack().own_connect(&kafka).unwrap());
    let env = environment(kafka.bootstrap()).await;
    let log = Log::open(&env).await;
    block_in_place(|| {
        let config = serde_json::from_str(&env.config().to_json()).unwrap();
        connect.rest().put_config(env.name(), &config).unwrap();
        connect.rest().wait_running(env.name(), START).unwrap();
    });

    let (stop, stopped) = watch::channel(());
    let run = |builder: Builder| {
        let mut stopped = stopped.clone();
        tokio::spawn(builder.build().unwrap().run(async move { _ = stopped.changed().await }))
    };
    let auto = run(consumer(&env, "auto").reader(Reader::Auto).on(by_auto));
    let native = run(consumer(&env, "native").reader(Reader::Native).on(by_native));

    // A kill aborts nothing if it comes between two transactions, or after the decision to commit.
    let mut steps = 0..STEPS;
    while !kill_in_transaction(&env, &connect, &log, steps.clone()).await {
        steps = steps.end..steps.end + STEPS;
    }
    steps = steps.end..steps.end + STEPS;
    env.enqueue_each(&events(steps.clone())).await;

    let events = AGGREGATES * steps.end;
    eventually(format!("{events} effects of each reader"), async || {
        let found = env.count("effect").await;
        if found >= 2 * events { Ok(()) } else { Err(found) }
    })
    .await;
    log.is_read_by_two_groups(&env).await;

    assert!(log.ends(OffsetAt::Latest).await.iter().sum::<i64>() > events, "transactions leave markers");
    assert_effects(&env, steps.end).await;
    assert_measures(&snapshotter, env.topic(), events);

    stop.send(()).unwrap();
    for consumer in [auto, native] {
        consumer.await.unwrap().unwrap();
    }
    block_in_place(|| connect.rest().delete(env.name()).unwrap());
}

async fn environment(brokers: String) -> TestEnv {
    let env = TestEnv::builder().slot().brokers(brokers).topic(PARTITIONS).configure(|config| {
        config
            .with("exactly.once.support", "required")
            // Transactions of many polls, so that the kill meets one that has records in the log.
            .with("transaction.boundary", "interval")
            .with("transaction.boundary.interval.ms", "2000")
            .with("max.batch.size", "20")
            .with("max.queue.size", "40")
    });
    let env = env.build().await;
    let mut client = env.client().await;
    migrations(&Identifier::new("outbox").unwrap()).apply(&mut client).await.unwrap();
    let effect =
        "CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY, reader text, order_id bigint, step bigint)";

    client.batch_execute(effect).await.unwrap();
    env
}

fn consumer(env: &TestEnv, group: &str) -> Builder {
    Consumer::builder(env.brokers().split(',')).pipeline(env.pipeline().clone()).group(group).pool(env.pool())
}

fn events(steps: Range<i64>) -> Vec<OutboxEvent> {
    let all = steps.flat_map(|step| (0..AGGREGATES).map(move |order_id| Step { order_id, step }));
    all.map(|step| OutboxEvent::from_event(&step).build().unwrap()).collect()
}

/// Kills the worker while events are enqueued and starts it again. Returns whether a transaction was aborted.
async fn kill_in_transaction(env: &TestEnv, connect: &OwnConnect, log: &Log, steps: Range<i64>) -> bool {
    let events = events(steps);
    let kill = async {
        eventually("an open transaction", async || log.open_transaction().await).await;
        block_in_place(|| connect.kill());
        log.open_transaction().await
    };
    let ((), open) = tokio::join!(env.enqueue_each(&events), kill);

    block_in_place(|| {
        connect.start().unwrap();
        connect.rest().wait_running(env.name(), START).unwrap();
    });
    let Some((partition, offset)) = open else {
        return false;
    };

    let index = usize::try_from(partition).unwrap();
    eventually("the transaction's end", async || log.ends(OffsetAt::LastStable).await[index] > offset).await;
    log.cluster.aborted_transaction(&log.topic, partition, offset).await.unwrap().is_some()
}

/// The partitions of the topic, as a broker describes them.
struct Log {
    cluster: Cluster,
    topic: Arc<Topic>,
}

impl Log {
    async fn open(env: &TestEnv) -> Self {
        let cluster = Cluster::new(Settings::new(env.brokers().split(',')));
        let topic = cluster.topic(env.topic()).await.unwrap().unwrap();
        Self { cluster, topic }
    }

    async fn ends(&self, at: OffsetAt) -> Vec<i64> {
        let mut ends = Vec::new();
        for partition in 0..PARTITIONS {
            ends.push(self.cluster.list_offsets(&self.topic, partition, at).await.unwrap());
        }
        ends
    }

    /// Returns partition and first offset of a transaction that is open.
    async fn open_transaction(&self) -> Option<(i32, i64)> {
        let stable = self.ends(OffsetAt::LastStable).await;
        let latest = self.ends(OffsetAt::Latest).await;
        (0..PARTITIONS)
            .zip(stable.into_iter().zip(latest))
            .find_map(|(partition, (stable, latest))| (stable < latest).then_some((partition, stable)))
    }

    /// Waits until both groups are at the end of each partition.
    async fn is_read_by_two_groups(&self, env: &TestEnv) {
        let client = env.client().await;
        let sql = "SELECT next_offset FROM outbox.consumer_position WHERE topic = $1 ORDER BY partition, next_offset";
        eventually("the positions are at the end", async || {
            let rows = client.query(sql, &[&env.topic()]).await.unwrap();
            let positions: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            let ends: Vec<i64> = self.ends(OffsetAt::Latest).await.into_iter().flat_map(|end| [end, end]).collect();
            if positions == ends { Ok(()) } else { Err((positions, ends)) }
        })
        .await;
    }
}

async fn assert_effects(env: &TestEnv, steps: i64) {
    let sql = "SELECT reader, order_id, array_agg(step ORDER BY n) FROM effect GROUP BY reader, order_id";
    let rows = env.client().await.query(sql, &[]).await.unwrap();
    assert_eq!(i64::try_from(rows.len()).unwrap(), 2 * AGGREGATES);
    for row in rows {
        let (reader, order_id): (String, i64) = (row.get(0), row.get(1));
        assert_eq!(row.get::<_, Vec<i64>>(2), (0..steps).collect::<Vec<_>>(), "{reader}, order {order_id}");
    }
}

/// Checks that no event was delivered twice: the inbox hides a duplicate, but counts it.
fn assert_measures(snapshotter: &Snapshotter, topic: &str, events: i64) {
    let snapshot = snapshotter.snapshot().into_vec();
    let total = |name: &str| -> u64 {
        let of_topic = |key: &metrics_util::CompositeKey| {
            key.key().name() == name && key.key().labels().any(|label| label.value() == topic)
        };
        let counters = snapshot.iter().filter(|(key, ..)| of_topic(key)).filter_map(|(.., value)| match value {
            DebugValue::Counter(count) => Some(count),
            _ => None,
        });
        counters.sum()
    };

    assert_eq!(total("outbox_consumer_handled_total"), u64::try_from(2 * events).unwrap());
    assert_eq!(total("outbox_consumer_duplicates_total"), 0);
    assert!(total("outbox_consumer_native_reader_total") >= 1, "the native reader continued");
}
