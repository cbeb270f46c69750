use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;

use super::{Place, Shared};
use crate::Error;
use crate::source::RecordSource as _;
use outbox_net::{Backoff, ErrorChain};

/// How often new topics and partitions are looked for.
const INTERVAL: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After how many answers without it a topic counts as deleted. A broker that has just started may not know it yet.
const DELETED_AFTER: u32 = 2;

impl Shared {
    /// Looks for the partitions of the handlers' topics, and publishes them.
    pub(super) async fn discover(&self, found: watch::Sender<BTreeSet<Place>>) -> Result<(), Error> {
        let mut discovery = Discovery::new(self.registry.topics().into_iter().map(str::to_owned).collect());
        let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE);
        loop {
            let pause = match self.cluster.partitions(&discovery.topics).await {
                Ok(answer) => {
                    backoff.reset();
                    self.set_rejected(discovery.learn(answer));
                    found.send_if_modified(|places| {
                        let is_new = *places != discovery.places;
                        places.clone_from(&discovery.places);
                        is_new
                    });
                    INTERVAL
                }
                Err(e) => {
                    let pause = backoff.delay();
                    tracing::warn!(target: "outbox.consumer", error = %ErrorChain::new(&e), retry_in = ?pause, "cannot list topics");
                    self.set_rejected(Some(e));
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// The partitions that exist, as far as the answers have shown so far.
struct Discovery {
    topics: BTreeSet<String>,
    places: BTreeSet<Place>,
    /// How many answers in a row did not have a topic.
    missing: BTreeMap<String, u32>,
    /// The error of each topic that cannot be described, as it was logged.
    failing: BTreeMap<String, String>,
}

impl Discovery {
    fn new(topics: BTreeSet<String>) -> Self {
        Self { topics, places: BTreeSet::new(), missing: BTreeMap::new(), failing: BTreeMap::new() }
    }

    /// Learns from an answer; returns the error of a topic that it cannot describe. The partitions of such a topic stay.
    fn learn(&mut self, mut answer: BTreeMap<String, Result<BTreeSet<i32>, Error>>) -> Option<Error> {
        let mut failed = None;
        for topic in &self.topics {
            match answer.remove(topic) {
                Some(Ok(partitions)) => {
                    self.missing.remove(topic);
                    self.failing.remove(topic);
                    self.places.retain(|(name, _)| name != topic);
                    self.places.extend(partitions.into_iter().map(|partition| (topic.clone(), partition)));
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
                    if *missing >= DELETED_AFTER {
                        self.places.retain(|(name, _)| name != topic);
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
        discovery.places.iter().map(|(_, partition)| *partition).collect()
    }

    #[test]
    fn a_topic_is_deleted_after_two_answers_without_it_and_an_error_changes_nothing() {
        let mut discovery = Discovery::new(["orders".to_owned()].into());
        assert!(discovery.learn(answer(2)).is_none());
        assert_eq!(places(&discovery), [0, 1]);

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
    }
}
