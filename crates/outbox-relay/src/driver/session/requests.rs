use std::collections::{BTreeSet, HashMap};
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use super::batch_sender::Retry;
use super::inbox::Report;
use super::log_reader::LogReader;
use super::pace::backoff;
use super::topics::TopicPartition;
use crate::driver::gaps::Gaps;
use crate::progress::{PartitionId, Producer, Reach, ReadFrom};
use crate::settings::TopicCreation;
use crate::status::{RelayStatus, Work};
use outbox_kafka::{Cluster, NewTopic, Topic};
use outbox_net::{Backoff, ErrorChain};
use outbox_wal::{ConnectOptions, Source};

/// The requests of a session that are under way, except those that produce. Each is repeated until it has an answer.
pub struct Requests {
    cluster: Arc<Cluster>,
    status: RelayStatus,
    options: ConnectOptions,
    source: Source,
    creation: Option<TopicCreation>,
    logs: LogReader,
    /// The delays of topics that could not be found or created yet.
    topic_backoffs: HashMap<Box<str>, Backoff>,
    open: FuturesUnordered<BoxFuture<'static, Option<Report>>>,
}

/// The interval at which the privilege to read a topic is checked while it is missing.
const READ_CHECK: Duration = Duration::from_secs(10);

impl Requests {
    pub fn new(
        cluster: Arc<Cluster>,
        status: RelayStatus,
        options: ConnectOptions,
        source: Source,
        creation: Option<TopicCreation>,
        logs: LogReader,
    ) -> Self {
        let (topic_backoffs, open) = (HashMap::new(), FuturesUnordered::new());
        Self { cluster, status, options, source, creation, logs, topic_backoffs, open }
    }

    /// Waits for the next report. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Report {
        while let Some(report) = self.open.next().await {
            if let Some(report) = report {
                return report;
            }
        }
        pending().await
    }

    /// Waits for any broker, so that wrong settings, or an unsupported broker, end the relay at once and not at the
    /// first row. Reports the gaps of the broker.
    pub fn reach_cluster(&mut self, gaps: Arc<Gaps>) {
        self.push(reach(Arc::clone(&self.cluster), self.status.clone(), gaps));
    }

    /// Finds a topic, or creates it.
    pub fn find_topic(&mut self, name: Box<str>) {
        self.push(topic(Arc::clone(&self.cluster), name, self.creation.clone(), Duration::ZERO));
    }

    /// Finds a topic after an attempt that failed.
    pub fn find_topic_again(&mut self, name: Box<str>) {
        let pause = self.topic_backoffs.entry(name.clone()).or_insert_with(backoff).delay();
        self.push(topic(Arc::clone(&self.cluster), name, self.creation.clone(), pause));
    }

    /// Checks the right to read a topic that was found. The next start needs it.
    pub fn topic_found(&mut self, topic: Arc<Topic>) {
        self.topic_backoffs.remove(topic.name());
        self.push(check_read(Arc::clone(&self.cluster), topic, self.status.clone()));
    }

    /// Reads a partition's log.
    pub fn read_log(&mut self, id: PartitionId, place: TopicPartition, from: ReadFrom, reach: Reach) {
        let read = self.logs.read(id, place, from, reach);
        self.push(read.map(Some));
    }

    /// Gets a producer id.
    pub fn new_producer(&mut self) {
        self.push(new_producer(Arc::clone(&self.cluster), self.status.clone()).map(Some));
    }

    /// Asks PostgreSQL whether this relay still holds the slot.
    pub fn prove_held(&mut self) {
        self.push(prove_held(self.options.clone(), self.source.clone()).map(Some));
    }

    /// Pauses before failed batches are sent again, and checks whether their topics are still the same.
    pub fn retry(&mut self, retry: Retry) {
        self.push(pause_before(retry, Arc::clone(&self.cluster)).map(Some));
    }

    fn push(&self, request: impl Future<Output = Option<Report>> + Send + 'static) {
        self.open.push(request.boxed());
    }
}

/// Returns whether an error ends the relay: no broker has ever accepted the settings, or all lack a request.
fn is_final(cluster: &Cluster, error: &outbox_kafka::Error) -> bool {
    error.is_unsupported() || (error.is_configuration() && !cluster.has_answered())
}

async fn reach(cluster: Arc<Cluster>, status: RelayStatus, gaps: Arc<Gaps>) -> Option<Report> {
    let mut backoff = backoff();
    loop {
        match cluster.probe().await {
            Ok(()) => {
                status.recovered(&Work::Cluster);
                if let Err(e) = cluster.check_producer() {
                    return Some(Report::Failed(e));
                }
                gaps.report_all(&cluster);
                return None;
            }
            Err(e) if is_final(&cluster, &e) => return Some(Report::Failed(e)),
            Err(e) => status.failing(Work::Cluster, &e),
        }
        tokio::time::sleep(backoff.delay()).await;
    }
}

/// Looks a topic up after a pause, and creates it if it is missing.
async fn topic(
    cluster: Arc<Cluster>,
    name: Box<str>,
    creation: Option<TopicCreation>,
    pause: Duration,
) -> Option<Report> {
    tokio::time::sleep(pause).await;
    let found = match cluster.topic(&name).await {
        Ok(Some(topic)) => Ok(topic),
        Ok(None) => {
            if pause.is_zero() {
                tracing::info!(target: "outbox.relay", topic = &*name, "creating missing topic");
            }
            // This is tried even if brokers cannot create topics, because an operator may create this one.
            cluster.create_topic(&new_topic(&name, creation.as_ref())).await
        }
        Err(e) if is_final(&cluster, &e) => return Some(Report::Failed(e)),
        Err(e) => Err(e),
    };
    Some(Report::Topic(name, found))
}

/// Returns how a missing topic is created.
pub fn new_topic(name: &str, creation: Option<&TopicCreation>) -> NewTopic {
    let mut topic = NewTopic { name: name.to_owned(), ..NewTopic::default() };
    if let Some(creation) = creation.map(|creation| creation.for_topic(name)) {
        topic.partitions = Some(creation.partitions());
        topic.replication = Some(creation.replication_factor());
        topic.configs = creation.configs().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    }
    topic
}

async fn check_read(cluster: Arc<Cluster>, topic: Arc<Topic>, status: RelayStatus) -> Option<Report> {
    let work = Work::ReadAccess(topic.name().into());
    while let Err(e) = cluster.check_read(&topic).await {
        if !e.code().is_some_and(outbox_kafka::ErrorCode::is_authorization) {
            break;
        }
        status.failing(work.clone(), &e);
        tokio::time::sleep(READ_CHECK).await;
    }
    status.recovered(&work);
    None
}

async fn new_producer(cluster: Arc<Cluster>, status: RelayStatus) -> Report {
    let mut backoff = backoff();
    loop {
        match cluster.init_producer_id().await {
            Ok(producer) => {
                status.recovered(&Work::ProducerId);
                return Report::Producer(Producer { id: producer.id, epoch: producer.epoch });
            }
            Err(e) if is_final(&cluster, &e) => return Report::Failed(e),
            Err(e) => status.failing(Work::ProducerId, &e),
        }
        tokio::time::sleep(backoff.delay()).await;
    }
}

async fn prove_held(options: ConnectOptions, source: Source) -> Report {
    let mut backoff = backoff();
    loop {
        match outbox_wal::is_held(&options, &source).await {
            Ok(is_held) => return Report::SlotHeld(is_held),
            // If no connection is free, the stream may still be alive. Its end is noticed separately.
            Err(error) => {
                let error = ErrorChain::new(&error);
                tracing::warn!(target: "outbox.relay", %error, "holder of the slot unknown: asking again");
            }
        }
        tokio::time::sleep(backoff.delay()).await;
    }
}

/// Waits before batches are sent again, and looks their topics up meanwhile: a topic that was created again or has more
/// partitions ends the session.
async fn pause_before(retry: Retry, cluster: Arc<Cluster>) -> Report {
    let Retry { batches, topics, pause } = retry;
    tokio::time::sleep(pause).await;

    let names: BTreeSet<&str> = topics.iter().map(|topic| topic.name()).collect();
    let names: Vec<&str> = names.into_iter().collect();

    if let Ok(described) = cluster.refreshed_all(&names).await {
        for (name, now) in names.iter().zip(described) {
            let mut before = topics.iter().filter(|topic| topic.name() == *name);
            if let Ok(now) = now
                && before.any(|before| {
                    now.as_ref().is_none_or(|now| now.id() != before.id() || now.partitions() != before.partitions())
                })
            {
                return Report::TopicChanged((*name).into());
            }
        }
    }
    Report::RetryDue(batches)
}
