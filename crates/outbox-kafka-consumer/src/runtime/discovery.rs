use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Shared, TopicPartition};
use crate::Error;
use crate::source::RecordSource as _;
use outbox_net::{Backoff, ErrorChain};

/// The interval at which new topics and partitions are looked for.
const INTERVAL: Duration = Duration::from_secs(2);
/// The interval at which a topic is looked for that never existed: its first event creates it and waits for this.
const EARLY_INTERVAL: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The number of answers without a topic after which it counts as deleted. A broker that has just started may not know
/// it yet.
const DELETED_AFTER: u32 = 2;
/// The number of equal answers after which a number of partitions counts. A broker may lag behind the others.
const SETTLED_AFTER: u32 = 5;

impl Shared {
    /// Looks for the partitions of the handlers' topics, and publishes them.
    pub async fn discover(&self, found: watch::Sender<Found>) -> Result<(), Error> {
        let mut discovery = Discovery::new(self.registry.topics().into_iter().map(str::to_owned).collect());
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE);
        let mut checked = BTreeSet::new();

        loop {
            match self.cluster.partitions(&discovery.topics).await {
                Ok(answer) => {
                    backoff.reset();
                    self.set_rejected(discovery.learn(answer));
                    found.send_if_modified(|found| {
                        let is_new = *found != discovery.found;
                        found.clone_from(&discovery.found);
                        is_new
                    });
                    self.check_new(&discovery, &mut checked).await;
                    self.until_topic_appears(&discovery, Instant::now() + INTERVAL).await;
                }
                Err(e) => {
                    let pause = backoff.delay();
                    tracing::warn!(target: "outbox.consumer", error = %ErrorChain::new(&e), retry_in = ?pause, "cannot list topics");
                    self.set_rejected(Some(e));
                    sleep(pause).await;
                }
            }
        }
    }

    /// Checks the topics that were not found before.
    async fn check_new(&self, discovery: &Discovery, checked: &mut BTreeSet<String>) {
        for topic in discovery.topics.difference(&discovery.awaited) {
            if checked.insert(topic.clone()) {
                self.check_retention(topic).await;
            }
        }
    }

    /// Waits until a topic exists that never existed, at most until `deadline`. The next regular check reports errors.
    async fn until_topic_appears(&self, discovery: &Discovery, deadline: Instant) {
        let awaited = &discovery.awaited;
        while !awaited.is_empty() && Instant::now() + EARLY_INTERVAL < deadline {
            sleep(EARLY_INTERVAL).await;
            let Ok(answer) = self.cluster.partitions(&discovery.topics).await else { break };
            if awaited.iter().any(|topic| answer.get(topic).is_some_and(Result::is_ok)) {
                return;
            }
        }
        tokio::time::sleep_until(deadline).await;
    }
}

/// The topics and partitions that exist, as far as the answers have shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub places: BTreeSet<TopicPartition>,
    /// The number of partitions of each topic by the last answer about it; 0 if it does not exist.
    pub partitions: BTreeMap<String, i32>,
    /// The same, of the topics for which several answers in a row agree.
    pub settled: BTreeMap<String, i32>,
}

impl Found {
    fn count(&mut self, topic: &str, count: i32, agreeing: &mut u32) {
        let before = self.partitions.insert(topic.to_owned(), count);
        *agreeing = if before == Some(count) { agreeing.saturating_add(1) } else { 1 };
        if *agreeing >= SETTLED_AFTER {
            self.settled.insert(topic.to_owned(), count);
        } else {
            self.settled.remove(topic);
        }
    }
}

/// The partitions that exist, as far as the answers have shown so far.
struct Discovery {
    topics: BTreeSet<String>,
    /// The topics that no answer has contained so far.
    awaited: BTreeSet<String>,
    found: Found,
    /// The number of answers in a row with the same number of partitions.
    agreeing: BTreeMap<String, u32>,
    /// The number of answers in a row without a topic.
    missing: BTreeMap<String, u32>,
    /// The error of each topic that cannot be described, as it was logged.
    failing: BTreeMap<String, String>,
}

impl Discovery {
    fn new(topics: BTreeSet<String>) -> Self {
        Self {
            awaited: topics.clone(),
            topics,
            found: Found::default(),
            agreeing: BTreeMap::new(),
            missing: BTreeMap::new(),
            failing: BTreeMap::new(),
        }
    }

    /// Applies an answer; returns the error of a topic that it does not describe. The partitions of such a topic stay.
    fn learn(&mut self, mut answer: BTreeMap<String, Result<BTreeSet<i32>, Error>>) -> Option<Error> {
        let mut failed = None;
        for topic in &self.topics {
            match answer.remove(topic) {
                Some(Ok(partitions)) => {
                    self.awaited.remove(topic);
                    self.missing.remove(topic);
                    self.failing.remove(topic);
                    let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
                    self.found.count(topic, count, self.agreeing.entry(topic.clone()).or_default());
                    let places = &mut self.found.places;
                    places.retain(|(name, _)| name != topic);
                    places.extend(partitions.into_iter().map(|partition| (topic.clone(), partition)));
                }
                Some(Err(e)) => {
                    let text = ErrorChain::new(&e).to_string();
                    if self.failing.get(topic) != Some(&text) {
                        tracing::warn!(target: "outbox.consumer", topic, error = text, "topic cannot be described, retrying");
                        self.failing.insert(topic.clone(), text);
                    }
                    failed = failed.or(Some(e));
                }
                None => {
                    self.failing.remove(topic);
                    let missing = self.missing.entry(topic.clone()).or_default();
                    if *missing == 0 {
                        tracing::info!(target: "outbox.consumer", topic, "topic does not exist, waiting for it");
                    }
                    *missing = missing.saturating_add(1);
                    self.found.count(topic, 0, self.agreeing.entry(topic.clone()).or_default());
                    if *missing >= DELETED_AFTER {
                        self.found.places.retain(|(name, _)| name != topic);
                    }
                }
            }
        }
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(partitions: i32) -> BTreeMap<String, Result<BTreeSet<i32>, Error>> {
        [("orders".to_owned(), Ok((0..partitions).collect()))].into()
    }

    fn places(discovery: &Discovery) -> Vec<i32> {
        discovery.found.places.iter().map(|(_, partition)| *partition).collect()
    }

    #[test]
    fn a_topic_is_deleted_after_two_answers_without_it_and_an_error_changes_nothing() {
        let mut discovery = Discovery::new(["orders".to_owned()].into());
        assert!(discovery.learn(answer(2)).is_none());
        assert_eq!(places(&discovery), [0, 1]);
        assert!(discovery.awaited.is_empty());

        let failed = [("orders".to_owned(), Err(Error::kafka("describe a topic")))].into();
        assert!(discovery.learn(failed).is_some());
        discovery.learn(BTreeMap::new());
        assert_eq!(places(&discovery), [0, 1]);
        discovery.learn(answer(1));
        assert_eq!(places(&discovery), [0]);

        discovery.learn(BTreeMap::new());
        assert_eq!(places(&discovery), [0]);
        discovery.learn(BTreeMap::new());
        assert!(places(&discovery).is_empty());
        discovery.learn(answer(3));
        assert_eq!(places(&discovery), [0, 1, 2]);
        assert!(discovery.found.settled.is_empty());
        for _ in 1..SETTLED_AFTER {
            discovery.learn(answer(3));
        }
        assert_eq!(discovery.found.settled.get("orders"), Some(&3));
        discovery.learn(answer(2));
        assert!(discovery.found.settled.is_empty());
    }
}
