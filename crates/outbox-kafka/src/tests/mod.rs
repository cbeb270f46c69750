//! Tests against the real Kafka of the development servers.

mod idempotence;
mod order;
mod rejections;
mod tails;
mod topics;

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use xtask::stack::Stack;

use super::answer_fields::all;
use super::answer_walk::Field;
use super::answer_walk::Kind::{Fixed, Structs, Text};
use super::api::Api;
use super::cluster::topic_name;
use super::*;

impl Api for DeleteTopicsRequest {
    const KEY: i16 = 20;
    const NAME: &'static str = "DeleteTopics";
    const VERSIONS: RangeInclusive<i16> = 6..=6;
    const ANSWER: &'static [Field] =
        &[all(Fixed(4)), all(Structs(&[all(Text), all(Fixed(16)), all(Fixed(2)), all(Text)]))];
    type Response = DeleteTopicsResponse;
}

const NO_HEADERS: &[(&str, Option<&[u8]>)] = &[];

/// A topic of one test, with operations on it.
#[derive(Clone)]
struct Scene {
    cluster: Arc<Cluster>,
    topic: Arc<Topic>,
}

fn settings() -> Settings {
    let stack = Stack::connect().expect("servers for tests, as `cargo xtask test` starts them");
    Settings { request_timeout: Duration::from_secs(20), ..Settings::new([stack.kafka_bootstrap()]) }
}

fn cluster() -> Cluster {
    Cluster::new(settings())
}

fn unique_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("relay-kafka-{}-{}-{nanos}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

async fn delete(cluster: &Cluster, name: &str) {
    let topic = DeleteTopicState::default().with_name(Some(topic_name(name)));
    let request = DeleteTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    cluster.controller().await.unwrap().request(&request).await.unwrap();
}

impl Scene {
    /// Runs a test on a topic that is deleted afterwards, however it ends.
    async fn play<F>(partitions: i32, configs: &[(&str, &str)], test: impl FnOnce(Self) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let cluster = Arc::new(cluster());
        let name = unique_name();
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let new = NewTopic { name: name.clone(), partitions: Some(partitions), replication: Some(1), configs };
        let topic = cluster.create_topic(&new).await.unwrap();
        assert_eq!(topic.partitions(), partitions);
        let result = tokio::spawn(test(Self { cluster: Arc::clone(&cluster), topic })).await;
        delete(&cluster, &name).await;
        result.unwrap();
    }

    /// Returns the same topic by its own connections, as another process has them.
    fn elsewhere(&self) -> Self {
        Self { cluster: Arc::new(cluster()), topic: Arc::clone(&self.topic) }
    }

    async fn produce(&self, batch: Bytes) -> Produced {
        self.cluster.produce(ToProduce { topic: Arc::clone(&self.topic), partition: 0, batch }).await
    }

    /// Returns the newest records of partition 0.
    async fn tail(&self, from: TailStart, limit: u64) -> (Tail, Vec<BatchHeader>, Vec<Read>) {
        let (mut batches, mut records) = (Vec::new(), Vec::new());
        let tail = self
            .cluster
            .read_tail(&self.topic, 0, from, limit, |entry| {
                match entry {
                    Entry::Batch(header) => batches.push(*header),
                    Entry::Record(_, view) => records.push(Read::of(&view)),
                }
                ControlFlow::Continue(())
            })
            .await
            .unwrap();
        (tail, batches, records)
    }

    async fn all(&self) -> Vec<Read> {
        self.tail(TailStart::Offset(0), u64::MAX).await.2
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Read {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Read {
    fn of(view: &RecordView<'_>) -> Self {
        let owned = |bytes: &[u8]| bytes.to_vec();
        let headers = view.headers().map(|(name, value)| (String::from_utf8(owned(name)).unwrap(), value.map(owned)));
        Self {
            offset: view.offset,
            timestamp: view.timestamp,
            key: view.key.map(owned),
            value: view.value.map(owned),
            headers: headers.collect(),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.value.clone().unwrap()).unwrap()
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Returns a batch of one record for each value.
fn batch<T: AsRef<[u8]>>(producer: Producer, values: &[T]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, 1000);
    for value in values {
        builder.append(now(), &RecordBody::new(None, Some(value.as_ref()), NO_HEADERS));
    }
    builder.finish(producer).unwrap().unwrap()
}

#[track_caller]
fn appended(produced: &Produced) -> i64 {
    match produced {
        Produced::Appended { base_offset, .. } => *base_offset,
        other => panic!("not appended: {other:?}"),
    }
}
