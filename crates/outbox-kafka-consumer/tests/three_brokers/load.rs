use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use outbox_core::{OutboxEvent, Pipeline};
use outbox_kafka_consumer::outbox_kafka::{
    BatchBuilder, Cluster, Compression, Produced, RecordBody, Settings, ToProduce, Topic,
};
use outbox_test_support::{TestEnv, eventually};
use tokio::task::JoinHandle;

use crate::scene::PARTITIONS;

/// Aggregates of each partition.
const AGGREGATES: i32 = 10;
/// Between two batches of a partition: the servers share a small machine.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two attempts to write a batch.
const BACKOFF: Duration = Duration::from_millis(50);

/// Writes records of events into all partitions of a topic until it ends. An event's payload is its number among the
/// events of its aggregate, from 0. Idempotent producers write each record once.
pub(crate) struct Load {
    topic: String,
    ends: Arc<AtomicBool>,
    written: Arc<AtomicI64>,
    writers: Vec<JoinHandle<i64>>,
}

/// The events that a load wrote: each aggregate of a partition has this many events.
pub(crate) struct Written {
    pub(crate) topic: String,
    pub(crate) rounds: Vec<i64>,
}

struct Writer {
    cluster: Arc<Cluster>,
    pipeline: Pipeline,
    topic: Arc<Topic>,
    aggregate_type: String,
    partition: i32,
}

impl Written {
    /// Returns the aggregates of a partition.
    pub(crate) fn aggregates(partition: usize) -> impl Iterator<Item = String> {
        (0..AGGREGATES).map(move |place| format!("agg-{partition}-{place}"))
    }

    pub(crate) fn events(&self) -> i64 {
        self.rounds.iter().sum::<i64>() * i64::from(AGGREGATES)
    }
}

impl Load {
    pub(crate) async fn start(env: &TestEnv, brokers: &str, aggregate_type: &str) -> Self {
        let cluster = Arc::new(Cluster::new(Settings::new(brokers.split(','))));
        let name = env.topic_of(aggregate_type);
        let topic = cluster.refreshed(&name).await.unwrap().unwrap();
        let (ends, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
        let writers = (0..PARTITIONS).map(|partition| {
            let writer = Writer {
                cluster: Arc::clone(&cluster),
                pipeline: env.pipeline().clone(),
                topic: Arc::clone(&topic),
                aggregate_type: aggregate_type.to_owned(),
                partition,
            };
            tokio::spawn(writer.write(Arc::clone(&ends), Arc::clone(&written)))
        });
        Self { topic: name, writers: writers.collect(), ends, written }
    }

    /// Waits until this many more events are in the topic.
    pub(crate) async fn writes(&self, more: i64) {
        let goal = self.written.load(Ordering::Relaxed) + more;
        eventually(format!("{goal} events are written"), async || self.written.load(Ordering::Relaxed) >= goal).await;
    }

    pub(crate) async fn end(self) -> Written {
        self.ends.store(true, Ordering::Relaxed);
        let mut rounds = Vec::new();
        for writer in self.writers {
            rounds.push(writer.await.unwrap());
        }
        Written { topic: self.topic, rounds }
    }
}

impl Writer {
    /// Returns how many events each aggregate has.
    async fn write(self, ends: Arc<AtomicBool>, written: Arc<AtomicI64>) -> i64 {
        let mut producer = self.cluster.init_producer_id().await.unwrap();
        let mut builder = BatchBuilder::new(Compression::None, 4096);
        let mut round = 0;

        while !ends.load(Ordering::Relaxed) {
            let mut records = 0;
            for aggregate in Written::aggregates(usize::try_from(self.partition).unwrap()) {
                let event = OutboxEvent::builder(&*self.aggregate_type, aggregate, "Numbered");
                let event = event.json(round.to_string()).build().unwrap();
                let record = self.pipeline.encode(&self.pipeline.row(&event).unwrap()).unwrap();
                let body = RecordBody::new(record.key.as_deref(), record.value.as_deref(), &record.headers);
                builder.append(record.timestamp.unwrap_or_default(), &body);
                records += 1;
            }

            let batch = builder.finish(producer).unwrap().unwrap();
            self.append(ToProduce { topic: Arc::clone(&self.topic), partition: self.partition, batch }).await;
            producer = producer.after(records);
            written.fetch_add(i64::from(records), Ordering::Relaxed);
            round += 1;
            tokio::time::sleep(PAUSE).await;
        }
        round
    }

    /// Sends a batch, the same each time, until the log has it.
    async fn append(&self, batch: ToProduce) {
        loop {
            match self.cluster.produce(batch.clone()).await {
                Produced::Appended { .. } | Produced::Duplicate => return,
                Produced::Retriable(_) | Produced::Unknown(_) => tokio::time::sleep(BACKOFF).await,
                other => panic!("the load is not accepted: {other:?}"),
            }
        }
    }
}
