use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use outbox_kafka::{Gap, Security, Settings, Topic};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Error;

/// The brokers of a cluster, as all readers see them: how to connect, and the topics that the consumer reads.
#[derive(Clone)]
pub struct Brokers(Arc<Inner>);

struct Inner {
    settings: Settings,
    cluster: outbox_kafka::Cluster,
    latest: Mutex<Latest>,
    /// The gaps of the brokers that were reported.
    reported: std::sync::Mutex<BTreeSet<Gap>>,
}

type Described = BTreeMap<String, Result<Option<Arc<Topic>>, outbox_kafka::Error>>;

/// The latest descriptions of the consumer's topics. One request describes all of them, for all partitions that are
/// opened at the same time.
#[derive(Default)]
struct Latest {
    /// The time at which the request was sent.
    asked: Option<Instant>,
    described: Described,
}

impl Brokers {
    /// The time that a broker may take to answer.
    pub const PATIENCE: Duration = Duration::from_secs(10);
    /// The time for which a request is retried after a transient error. Handlers run meanwhile.
    pub const RETRY_FOR: Duration = Duration::from_secs(5);
    pub const CLIENT_ID: &str = "outbox-kafka-consumer";

    pub fn new(addresses: Vec<String>, security: Security) -> Self {
        let settings = Settings {
            client_id: Self::CLIENT_ID.to_owned(),
            connect_timeout: Self::PATIENCE,
            request_timeout: Self::PATIENCE,
            retry_timeout: Self::RETRY_FOR,
            security,
            ..Settings::new(addresses)
        };
        let cluster = outbox_kafka::Cluster::new(settings.clone());
        Self(Arc::new(Inner { settings, cluster, latest: Mutex::default(), reported: std::sync::Mutex::default() }))
    }

    /// Returns the settings of all connections of the consumer.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Returns the connections for all requests except fetches, which wait for records and would delay other requests.
    pub fn cluster(&self) -> &outbox_kafka::Cluster {
        &self.0.cluster
    }

    /// Returns the partitions of the topics that exist, or why a topic cannot be described.
    pub async fn partitions(
        &self,
        topics: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Result<BTreeSet<i32>, Error>>, Error> {
        let mut latest = self.0.latest.lock().await;
        latest.refresh(&self.0.cluster, topics).await?;
        self.report_gaps(&latest.described);
        let partitions = latest.described.iter().filter_map(|(name, described)| match described {
            Ok(None) => None,
            Ok(Some(topic)) => Some((name.clone(), Ok((0..topic.partitions()).collect()))),
            Err(e) => Some((name.clone(), Err(Error::kafka("describe a topic").caused_by(e.clone())))),
        });
        Ok(partitions.collect())
    }

    /// Logs each gap of the brokers that concerns a consumer once.
    fn report_gaps(&self, described: &Described) {
        let versions = self.0.cluster.capabilities().map(|capabilities| capabilities.gaps()).unwrap_or_default();
        let has_nil_id = described.values().flatten().flatten().any(|topic| topic.id().is_nil());
        let shown = has_nil_id.then_some(Gap::TopicIds);

        for gap in versions.into_iter().chain(shown) {
            let Some(consequence) = consequence(gap) else { continue };
            let is_new = self.0.reported.lock().unwrap_or_else(PoisonError::into_inner).insert(gap);
            if is_new {
                tracing::warn!(target: "outbox.consumer", missing = gap.name(), consequence, "broker lacks a feature");
            }
        }
    }

    /// Returns the gaps that were reported.
    #[cfg(test)]
    pub fn reported(&self) -> Vec<Gap> {
        self.0.reported.lock().unwrap().iter().copied().collect()
    }

    /// Returns a topic as described by an answer to a request that is not older than this call.
    pub async fn topic(&self, name: &str) -> Result<Arc<Topic>, Error> {
        let since = Instant::now();
        let mut latest = self.0.latest.lock().await;
        if latest.asked.is_none_or(|asked| asked < since) || !latest.described.contains_key(name) {
            let mut names: BTreeSet<String> = latest.described.keys().cloned().collect();
            names.insert(name.to_owned());
            latest.refresh(&self.0.cluster, &names).await?;
        }

        let failed = || Error::kafka(format!("find topic {name}"));
        match latest.described.get(name) {
            Some(Ok(Some(topic))) => Ok(Arc::clone(topic)),
            Some(Err(e)) => Err(failed().caused_by(e.clone())),
            Some(Ok(None)) | None => Err(failed().caused_by("the topic does not exist")),
        }
    }
}

/// Returns the consequence for a consumer if brokers lack a feature; `None` if a consumer does not need it.
fn consequence(gap: Gap) -> Option<&'static str> {
    match gap {
        Gap::Fetch | Gap::ListOffsets => Some("no record can be read: use Kafka 0.11 or later"),
        Gap::TopicIds => Some(
            "a topic that is deleted and created again is not noticed: stop the consumers first, and move their positions",
        ),
        Gap::Zstd => {
            Some("batches that are compressed with zstd cannot be read: let producers use another compression")
        }
        _ => None,
    }
}

impl Latest {
    async fn refresh(&mut self, cluster: &outbox_kafka::Cluster, names: &BTreeSet<String>) -> Result<(), Error> {
        let asked = Instant::now();
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let described = cluster.refreshed_all(&wanted).await;
        let described = described.map_err(|e| Error::kafka("describe its topics").caused_by(e))?;
        self.described = names.iter().cloned().zip(described).collect();
        self.asked = Some(asked);
        Ok(())
    }
}

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Brokers").field(&self.0.settings.bootstrap).finish()
    }
}
