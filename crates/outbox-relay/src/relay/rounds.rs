use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::job::Done;
use crate::status::BEAT;
use outbox_kafka::{Cluster, Topic};
use outbox_net::ErrorChain;
use outbox_wal::{ConnectOptions, Source};

/// What is looked at now and then, whatever the WAL brings.
pub(super) struct Rounds {
    tick: Interval,
    pub(super) topics: Round,
    pub(super) slot: Round,
}

/// How often the slot is looked at, for metrics.
const SLOT: Duration = Duration::from_secs(10);

impl Rounds {
    pub(super) fn new(topics: Duration) -> Self {
        let mut tick = interval(BEAT.min(topics.max(Duration::from_millis(10))));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tick, topics: Round::new(topics, Instant::now() + topics), slot: Round::new(SLOT, Instant::now()) }
    }

    /// Comes often enough that the loop is seen to live.
    pub(super) async fn tick(&mut self) {
        self.tick.tick().await;
    }
}

/// One at a time, and not more often than said.
pub(super) struct Round {
    every: Duration,
    /// None while one is under way.
    next: Option<Instant>,
}

impl Round {
    fn new(every: Duration, first: Instant) -> Self {
        Self { every, next: Some(first) }
    }

    /// Whether one is to be begun now.
    pub(super) fn begin(&mut self) -> bool {
        let is_due = self.next.is_some_and(|next| next <= Instant::now());
        if is_due {
            self.next = None;
        }
        is_due
    }

    pub(super) fn end(&mut self) {
        self.next = Some(Instant::now() + self.every);
    }
}

/// Asks whether each topic is still the same, with the same partitions, by one request. A batch that fails would show
/// another topic, but a raised number of partitions fails none.
pub(super) async fn topics(cluster: Arc<Cluster>, topics: Vec<Arc<Topic>>) -> Done {
    let mut grown = None;
    let names: Vec<&str> = topics.iter().map(|topic| topic.name()).collect();
    let described = match cluster.refreshed_all(&names).await {
        Ok(described) => described,
        Err(error) => {
            tracing::debug!(target: "outbox.relay", error = %ErrorChain::new(&error), "topics cannot be described");
            return Done::TopicsLooked { grown };
        }
    };
    for (topic, now) in topics.iter().zip(described) {
        match now {
            Ok(Some(now)) if now.id() == topic.id() => {
                if now.partitions() != topic.partitions() {
                    grown = Some(topic.name().into());
                }
            }
            Ok(_) => return Done::TopicChanged(topic.name().into()),
            Err(error) => {
                let error = ErrorChain::new(&error);
                tracing::debug!(target: "outbox.relay", topic = topic.name(), %error, "topic cannot be described");
            }
        }
    }
    Done::TopicsLooked { grown }
}

/// Where the slot is, for metrics.
pub(super) async fn slot(options: ConnectOptions, source: Source) -> Done {
    let look = outbox_wal::look(&options, &source).await;
    Done::SlotLooked(
        look.inspect_err(
            |error| tracing::debug!(target: "outbox.relay", error = %ErrorChain::new(error), "the slot cannot be seen"),
        )
        .ok(),
    )
}
