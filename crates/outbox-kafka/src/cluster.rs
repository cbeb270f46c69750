use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::api::Api;
use super::backoff::Backoff;
use super::connection::Connection;
use super::error::{Error, Kind};
use super::{ErrorCode, Settings, Topic};

/// A Kafka cluster: its brokers and topics as they were last described, and a connection to each broker in use.
///
/// Everything can be dropped while it waits; a later call connects again where a connection was lost.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    known: Mutex<Known>,
    /// One at a time asks about topics: those that wait for it mostly find their answer then.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    brokers: HashMap<i32, Arc<str>>,
    controller: Option<i32>,
    topics: HashMap<Box<str>, Arc<Topic>>,
    connections: HashMap<Arc<str>, Slot>,
}

/// Held while a connection is made, so that there is one to each address.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

impl Cluster {
    /// Nothing is connected to before it is used.
    pub fn new(settings: Settings) -> Self {
        Self { settings, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A topic as it was last described, else as it is; `None` where there is none.
    pub async fn topic(&self, name: &str) -> Result<Option<Arc<Topic>>, Error> {
        if let Some(topic) = self.remembered(name) {
            return Ok(Some(topic));
        }
        let _asking = self.asking.lock().await;
        if let Some(topic) = self.remembered(name) {
            return Ok(Some(topic));
        }
        self.described(name).await
    }

    /// A topic as it is now.
    pub async fn refreshed(&self, name: &str) -> Result<Option<Arc<Topic>>, Error> {
        let _asking = self.asking.lock().await;
        self.described(name).await
    }

    /// Asks for several topics as they are now, with one request. The answers are in the order of the names.
    ///
    /// # Errors
    /// No broker answers. Errors of single topics are among the answers.
    pub async fn refreshed_all(&self, names: &[&str]) -> Result<Vec<Result<Option<Arc<Topic>>, Error>>, Error> {
        let topics = names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
        let _asking = self.asking.lock().await;
        let answer = self.metadata(Some(topics.collect())).await?;
        Ok(names.iter().map(|name| self.described_in(&answer, name).map_err(|e| e.of_topic(name))).collect())
    }

    /// Connects to the leader of a partition, unless it is connected, and returns the leader's address as `host:port`.
    ///
    /// # Errors
    /// The topic was deleted or re-created, the partition has no leader, or the leader rejects the connection.
    pub async fn leader_address(&self, topic: &Topic, partition: i32) -> Result<String, Error> {
        let leader = self.leader(topic, partition).await.map_err(|e| e.of_partition(topic.name(), partition))?;
        Ok(leader.0.broker().to_owned())
    }

    /// Says that a description is out of date. A newer one stays.
    pub(super) fn forget(&self, topic: &Topic) {
        let mut known = self.lock();
        if known.topics.get(topic.name()).is_some_and(|current| **current == *topic) {
            known.topics.remove(topic.name());
        }
    }

    async fn described(&self, name: &str) -> Result<Option<Arc<Topic>>, Error> {
        let mut backoff = Backoff::within(self.settings.request_timeout);
        loop {
            match self.describe(name).await.map_err(|e| e.of_topic(name)) {
                Err(e) if e.is_transient() && backoff.pause().await => {}
                result => return result,
            }
        }
    }

    async fn describe(&self, name: &str) -> Result<Option<Arc<Topic>>, Error> {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let answer = self.metadata(Some(vec![topic])).await?;
        self.described_in(&answer, name)
    }

    fn described_in(&self, answer: &MetadataResponse, name: &str) -> Result<Option<Arc<Topic>>, Error> {
        let described = answer
            .topics
            .iter()
            .find(|topic| topic.name.as_ref().is_some_and(|found| found.as_str() == name))
            .ok_or_else(|| Error::new(Kind::Malformed).by(MetadataRequest::NAME))?;
        match ErrorCode::of(described.error_code) {
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
                self.lock().topics.remove(name);
                Ok(None)
            }
            Some(code) => Err(Error::code_of(code, None).by(MetadataRequest::NAME)),
            None => {
                let topic = Arc::new(Topic::new(name, described));
                self.lock().topics.insert(name.into(), Arc::clone(&topic));
                Ok(Some(topic))
            }
        }
    }

    /// Asks any broker, and remembers which brokers there are.
    async fn metadata(&self, topics: Option<Vec<MetadataRequestTopic>>) -> Result<MetadataResponse, Error> {
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let answer = self.any(&request).await?;
        let mut known = self.lock();
        known.brokers =
            answer.brokers.iter().map(|broker| (broker.node_id.0, address(&broker.host, broker.port))).collect();
        known.controller = Some(answer.controller_id.0).filter(|id| *id >= 0);
        let Known { brokers, connections, .. } = &mut *known;
        connections.retain(|address, _| {
            brokers.values().any(|broker| broker == address) || self.settings.bootstrap.iter().any(|b| **b == **address)
        });
        Ok(answer)
    }

    /// A request that any broker can answer, from the first one that does.
    pub(super) async fn any<A: Api>(&self, request: &A) -> Result<A::Response, Error> {
        let mut candidates: Vec<Arc<str>> = self.lock().brokers.values().cloned().collect();
        candidates.extend(self.settings.bootstrap.iter().map(|address| Arc::from(address.as_str())));
        let mut last = None;
        for address in &candidates {
            let result = match self.connection(address).await {
                Ok(connection) => connection.request(request).await,
                Err(e) => Err(e),
            };
            match result {
                Err(e) if e.is_transient() => last = Some(e),
                result => return result,
            }
        }
        Err(match last {
            None => Error::new(Kind::NoBroker),
            Some(only) if candidates.iter().all(|address| Some(address) == candidates.first()) => only,
            Some(last) => Error::new(Kind::NoBroker).because(last),
        })
    }

    /// The broker that leads a partition of a topic, as long as that topic is still the same, and the description that
    /// said so.
    pub(super) async fn leader(&self, topic: &Topic, partition: i32) -> Result<(Connection, Arc<Topic>), Error> {
        let current = self.topic(topic.name()).await?;
        let current = current.ok_or_else(|| Error::code_of(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None))?;
        if current.id() != topic.id() {
            return Err(Error::code_of(ErrorCode::UNKNOWN_TOPIC_ID, Some("the topic was made anew")));
        }
        if !current.has(partition) {
            self.forget(&current);
            return Err(Error::code_of(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None));
        }
        let address = current.leader(partition).and_then(|id| self.lock().brokers.get(&id).cloned());
        let Some(address) = address else {
            self.forget(&current);
            return Err(Error::new(Kind::NoLeader));
        };
        // After a failure the leader may be another broker.
        match self.connection(&address).await {
            Ok(connection) => Ok((connection, current)),
            Err(e) => {
                self.forget(&current);
                Err(e)
            }
        }
    }

    /// The broker that topics are created at.
    pub(super) async fn controller(&self) -> Result<Connection, Error> {
        // Learned anew each time: it is asked for seldom, and out of date whenever it failed before.
        self.metadata(Some(Vec::new())).await?;
        let address = {
            let known = self.lock();
            known.controller.and_then(|id| known.brokers.get(&id)).cloned()
        };
        self.connection(&address.ok_or_else(|| Error::code_of(ErrorCode::NOT_CONTROLLER, None))?).await
    }

    async fn connection(&self, address: &Arc<str>) -> Result<Connection, Error> {
        let slot = Arc::clone(self.lock().connections.entry(Arc::clone(address)).or_default());
        let wait = self.settings.connect_timeout;
        let mut slot = tokio::time::timeout(wait, slot.lock())
            .await
            .map_err(|_| Error::new(Kind::ConnectTimeout(wait)).at(address))?;
        if let Some(connection) = slot.as_ref().filter(|connection| connection.is_usable()) {
            return Ok(connection.clone());
        }
        *slot = None;
        let connection = Connection::connect(address, &self.settings).await?;
        Ok(slot.insert(connection).clone())
    }

    fn remembered(&self, name: &str) -> Option<Arc<Topic>> {
        self.lock().topics.get(name).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn address(host: &str, port: i32) -> Arc<str> {
    if host.contains(':') { format!("[{host}]:{port}").into() } else { format!("{host}:{port}").into() }
}
