use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::inbox::{Inbox, Report, Task};
use crate::status::RelayStatus;
use outbox_kafka::{Cluster, Topic};
use outbox_net::ErrorChain;
use outbox_wal::{ConnectOptions, Source};

/// The tasks that do periodic work next to the flow of changes. Each has its own interval, and reports events that
/// concern the session.
pub struct Monitor {
    topics: watch::Sender<Vec<Arc<Topic>>>,
    _tasks: [Task; 2],
}

/// The interval at which the slot's positions are read, for metrics.
const SLOT: Duration = Duration::from_secs(10);

impl Monitor {
    /// Starts the tasks. Topics are checked with this interval.
    pub fn start(
        cluster: Arc<Cluster>,
        interval: Duration,
        (options, source): (ConnectOptions, Source),
        status: RelayStatus,
        inbox: &Inbox,
    ) -> Self {
        let (topics, known) = watch::channel(Vec::new());
        let topic_checks = check_topics(cluster, known, interval, inbox.clone());
        let _tasks = [inbox.spawn(topic_checks), inbox.spawn(look_at_slot(options, source, status))];
        Self { topics, _tasks }
    }

    /// Sets the topics that are checked.
    pub fn set_topics(&self, topics: Vec<Arc<Topic>>) {
        self.topics.send_replace(topics);
    }
}

/// Checks whether each topic is still the same, with the same partitions, by one request. A batch that fails would show
/// another topic, but a raised number of partitions fails none.
async fn check_topics(
    cluster: Arc<Cluster>,
    topics: watch::Receiver<Vec<Arc<Topic>>>,
    interval: Duration,
    inbox: Inbox,
) {
    loop {
        sleep(interval).await;
        let topics = topics.borrow().clone();
        if let Some(report) = changed(&cluster, &topics).await {
            inbox.send(report);
            // The session ends.
            return pending().await;
        }
    }
}

/// Returns a report if one of the topics was created again, deleted or has another number of partitions.
async fn changed(cluster: &Cluster, topics: &[Arc<Topic>]) -> Option<Report> {
    let names: Vec<&str> = topics.iter().map(|topic| topic.name()).collect();
    let described = cluster.refreshed_all(&names).await.inspect_err(|error| {
        tracing::debug!(target: "outbox.relay", error = %ErrorChain::new(error), "topics cannot be described");
    });

    let mut grown = None;
    for (topic, now) in topics.iter().zip(described.ok()?) {
        match now {
            Ok(Some(now)) if now.id() == topic.id() => {
                if now.partitions() != topic.partitions() {
                    grown = Some(Report::TopicGrown(topic.name().into()));
                }
            }
            Ok(_) => return Some(Report::TopicChanged(topic.name().into())),
            Err(error) => {
                let error = ErrorChain::new(&error);
                tracing::debug!(target: "outbox.relay", topic = topic.name(), %error, "topic cannot be described");
            }
        }
    }
    grown
}

/// Reads the slot's positions, for metrics.
async fn look_at_slot(options: ConnectOptions, source: Source, status: RelayStatus) {
    loop {
        match outbox_wal::slot_status(&options, &source).await {
            Ok(slot) => status.record_slot(slot),
            Err(error) => {
                tracing::debug!(target: "outbox.relay", error = %ErrorChain::new(&error), "slot cannot be read");
            }
        }
        sleep(SLOT).await;
    }
}
