use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use outbox_net::ErrorChain;
use tokio::time::Instant;

use super::api::Api;
use super::connect::connect;
use super::connection::Connection;
use super::error::{Error, Kind};
use super::retries::Retries;
use super::{Capabilities, ErrorCode, Settings, Topic};

/// A Kafka cluster: its brokers and topics as last described, and a connection to each broker in use.
///
/// Every future can be dropped while it waits. A later call connects again if a connection was lost.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    known: Mutex<Known>,
    /// Held by the one caller that requests metadata of topics. In most cases, the others find their topic in its
    /// answer.
    asking: tokio::sync::Mutex<()>,
    has_answered: AtomicBool,
    /// The largest produce request with several batches, in bytes.
    max_request: AtomicUsize,
}

#[derive(Debug, Default)]
struct Known {
    brokers: HashMap<i32, Arc<str>>,
    controller: Option<i32>,
    topics: HashMap<Box<str>, Arc<Topic>>,
    connections: HashMap<Arc<str>, Slot>,
    /// The capabilities of each broker, as of its last connection.
    capabilities: HashMap<Arc<str>, Arc<Capabilities>>,
    /// Topics that callers wait for. The next metadata request asks about all of them.
    wanted: BTreeSet<Box<str>>,
    /// Addresses that failed or were slow, until when they are asked last.
    avoided: HashMap<Arc<str>, Instant>,
    /// The index of the next broker among equally good ones.
    turn: usize,
}

/// A topic as a metadata answer describes it; `None` if there is none of that name.
type Description = Result<Option<Arc<Topic>>, Error>;

/// Locked while a connection is opened, so that each address has one connection.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// The time without an answer after which the next broker is asked as well.
const HEDGE: Duration = Duration::from_millis(500);
/// The time after a failure during which an address is asked after all others.
const AVOID: Duration = Duration::from_secs(30);

/// The largest produce request that every known broker reads, in bytes. Kafka's producer sends up to 1 MiB by default,
/// and Event Hubs reads 1,046,528 bytes; the rest is for the fields between the batches.
const SAFE_REQUEST: usize = 1_000_000;

impl Cluster {
    /// Creates a cluster without connecting to it.
    pub fn new(settings: Settings) -> Self {
        Self {
            max_request: AtomicUsize::new(settings.max_request),
            settings,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            has_answered: AtomicBool::new(false),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns whether a broker has ever answered a metadata request, which shows that the settings were right at that
    /// time.
    pub fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Asks any broker for the list of brokers.
    ///
    /// # Errors
    /// No broker answers. [`Error::is_configuration`] if all of them reject the settings.
    pub async fn probe(&self) -> Result<(), Error> {
        self.metadata(Some(Vec::new())).await.map(|_| ())
    }

    /// Returns the capabilities that all brokers share to which a connection was opened; `None` before the first
    /// connection.
    pub fn capabilities(&self) -> Option<Capabilities> {
        let known = self.lock();
        let mut brokers = known.capabilities.values();
        let first = Capabilities::clone(brokers.next()?);
        Some(brokers.fold(first, |common, broker| common.common(broker)))
    }

    /// Checks that the brokers serve the requests for idempotent produce and for reading logs. Call it after a success
    /// of [`probe`](Self::probe).
    ///
    /// # Errors
    /// A broker lacks a request: the error names both, and [`Error::is_unsupported`].
    pub fn check_producer(&self) -> Result<(), Error> {
        let known = self.lock();
        known.capabilities.iter().try_for_each(|(address, broker)| broker.check_producer().map_err(|e| e.at(address)))
    }

    /// Returns the largest produce request with several batches, in bytes.
    pub(super) fn max_request(&self) -> usize {
        self.max_request.load(Ordering::Relaxed)
    }

    /// Sends smaller requests from now on, because a broker closed the connection at a request of this size.
    ///
    /// Brokers give no other answer to a request above their limit. Below [`SAFE_REQUEST`] the size is not the reason.
    pub(super) fn shrink_requests(&self, size: usize) {
        if size > SAFE_REQUEST {
            let max = (size / 2).max(SAFE_REQUEST);
            let before = self.max_request.fetch_min(max, Ordering::Relaxed);
            if max < before {
                tracing::info!(target: "outbox.kafka", size, max, "connection closed at a large produce request: sending smaller ones");
            }
        }
    }

    /// Returns a topic's last description, or requests one; `None` if there is none of that name.
    pub async fn topic(&self, name: &str) -> Result<Option<Arc<Topic>>, Error> {
        let mut retries = Retries::within(self.settings.retry_timeout);
        loop {
            if let Some(topic) = self.remembered(name) {
                return Ok(Some(topic));
            }
            match self.asked(name).await {
                Err(e) if e.is_transient() && retries.pause().await => {}
                result => return result,
            }
        }
    }

    /// Requests a topic's present description; `None` if there is none of that name.
    pub async fn refreshed(&self, name: &str) -> Result<Option<Arc<Topic>>, Error> {
        let mut retries = Retries::within(self.settings.retry_timeout);
        loop {
            let described = self.refreshed_all(&[name]).await;
            let described = described.and_then(|mut described| described.pop().unwrap_or(Ok(None)));
            match described.map_err(|e| e.of_topic(name)) {
                Err(e) if e.is_transient() && retries.pause().await => {}
                result => return result,
            }
        }
    }

    /// Requests the present descriptions of several topics, with one request. The answers are in the order of the
    /// names.
    ///
    /// # Errors
    /// No broker answers. Errors of single topics are among the answers.
    pub async fn refreshed_all(&self, names: &[&str]) -> Result<Vec<Result<Option<Arc<Topic>>, Error>>, Error> {
        let _asking = self.asking.lock().await;
        self.describe(names).await
    }

    /// Returns the broker that leads a partition, as far as known without a request.
    pub fn known_leader(&self, topic: &Topic, partition: i32) -> Option<i32> {
        let current = self.remembered(topic.name()).filter(|current| current.id() == topic.id());
        current.map_or_else(|| topic.leader(partition), |current| current.leader(partition))
    }

    /// Connects to the leader of a partition, unless it is connected, and returns the leader's address as `host:port`.
    ///
    /// # Errors
    /// The topic was deleted or re-created, the partition has no leader, or the leader rejects the connection.
    pub async fn leader_address(&self, topic: &Topic, partition: i32) -> Result<String, Error> {
        let leader = self.leader(topic, partition).await.map_err(|e| e.of_partition(topic.name(), partition))?;
        Ok(leader.0.broker().to_owned())
    }

    /// Marks a description as out of date. A newer one stays.
    pub(super) fn forget(&self, topic: &Topic) {
        let mut known = self.lock();
        if known.topics.get(topic.name()).is_some_and(|current| **current == *topic) {
            known.topics.remove(topic.name());
        }
    }

    /// Requests a topic's description, together with those that other callers wait for.
    async fn asked(&self, name: &str) -> Description {
        self.lock().wanted.insert(name.into());
        let _asking = self.asking.lock().await;
        if let Some(topic) = self.remembered(name) {
            return Ok(Some(topic));
        }
        let mut wanted = std::mem::take(&mut self.lock().wanted);
        wanted.remove(name);
        let names: Vec<&str> = std::iter::once(name).chain(wanted.iter().map(|other| &**other)).collect();
        let described = self.describe(&names).await.map_err(|e| e.of_topic(name))?;
        described.into_iter().next().unwrap_or(Ok(None))
    }

    /// Asks a broker for topics, in the order of the names, and updates those that are known. A topic that does not
    /// exist is `None`.
    async fn describe(&self, names: &[&str]) -> Result<Vec<Description>, Error> {
        let topics = names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
        let answer = self.metadata(Some(topics.collect())).await?;
        let by_name: HashMap<_, _> =
            answer.topics.iter().filter_map(|topic| Some((topic.name.as_ref()?.as_str(), topic))).collect();

        let described = names.iter().map(|name| {
            let described = by_name.get(name).ok_or_else(|| Error::new(Kind::Malformed));
            let described = described.map_err(|e| e.by(MetadataRequest::NAME).of_topic(name))?;
            match ErrorCode::from_code(described.error_code) {
                Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
                    self.lock().topics.remove(*name);
                    Ok(None)
                }
                Some(code) => Err(Error::code_of(code, None).by(MetadataRequest::NAME).of_topic(name)),
                None => {
                    let topic = Arc::new(Topic::new(name, described));
                    self.lock().topics.insert((*name).into(), Arc::clone(&topic));
                    Ok(Some(topic))
                }
            }
        });
        Ok(described.collect())
    }

    /// Asks any broker, and stores the list of brokers.
    async fn metadata(&self, topics: Option<Vec<MetadataRequestTopic>>) -> Result<MetadataResponse, Error> {
        let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(false);
        let answer = self.any(&request).await?;
        self.has_answered.store(true, Ordering::Relaxed);
        let mut known = self.lock();
        known.brokers =
            answer.brokers.iter().map(|broker| (broker.node_id.0, address(&broker.host, broker.port))).collect();
        known.controller = Some(answer.controller_id.0).filter(|id| *id >= 0);

        let Known { brokers, connections, capabilities, avoided, .. } = &mut *known;
        let is_in_use = |address: &Arc<str>| {
            brokers.values().any(|broker| broker == address) || self.settings.bootstrap.iter().any(|b| **b == **address)
        };
        connections.retain(|address, _| is_in_use(address));
        capabilities.retain(|address, _| is_in_use(address));
        let now = Instant::now();
        avoided.retain(|_, until| *until > now);
        Ok(answer)
    }

    /// Sends a request that any broker can answer, and returns the first answer.
    ///
    /// If a broker does not answer soon, the next one is asked as well, and the first one keeps its full time.
    pub(super) async fn any<A: Api>(&self, request: &A) -> Result<A::Response, Error> {
        let mut rest = self.candidates().into_iter();
        let mut attempts = FuturesUnordered::new();
        let mut open: Vec<Arc<str>> = Vec::new();
        let mut failures: Vec<Error> = Vec::new();

        loop {
            if let Some(address) = rest.next() {
                open.push(Arc::clone(&address));
                attempts.push(self.ask(address, request));
            }
            let next = match rest.len() {
                0 => Ok(attempts.next().await),
                _ => tokio::time::timeout(HEDGE, attempts.next()).await,
            };
            match next {
                Ok(Some((_, Ok(answer)))) => return Ok(answer),
                Ok(Some((address, Err(e)))) => {
                    open.retain(|other| *other != address);
                    failures.push(e);
                }
                Ok(None) => break,
                Err(_) => open.iter().for_each(|address| self.avoid(address)),
            }
        }

        // The error of a rejected login is more useful than that of an unreachable broker.
        let is_single = failures.len() == 1;
        let place = failures.iter().position(Error::is_authentication);
        let place = place.or_else(|| failures.iter().position(Error::is_transient)).unwrap_or_default();

        match failures.into_iter().nth(place) {
            None => Err(Error::new(Kind::NoBroker)),
            Some(only) if is_single || only.is_unsupported() => Err(only),
            Some(failure) => Err(Error::new(Kind::NoBroker).because(failure)),
        }
    }

    async fn ask<A: Api>(&self, address: Arc<str>, request: &A) -> (Arc<str>, Result<A::Response, Error>) {
        let result = match self.connection(&address).await {
            Ok(connection) => connection.request(request).await,
            Err(e) => Err(e),
        };
        match &result {
            Ok(_) => _ = self.lock().avoided.remove(&address),
            Err(_) => self.avoid(&address),
        }
        (address, result)
    }

    fn avoid(&self, address: &Arc<str>) {
        self.lock().avoided.insert(Arc::clone(address), Instant::now() + AVOID);
    }

    /// Returns all addresses: those without a recent failure first, and equally good ones in turn.
    fn candidates(&self) -> Vec<Arc<str>> {
        let mut known = self.lock();
        known.turn = known.turn.wrapping_add(1);
        let now = Instant::now();
        let mut brokers: Vec<Arc<str>> = known.brokers.values().cloned().collect();
        brokers.sort_unstable();
        let turn = known.turn.checked_rem(brokers.len()).unwrap_or_default();
        brokers.rotate_left(turn);

        let mut bootstrap: Vec<Arc<str>> =
            self.settings.bootstrap.iter().map(|address| Arc::from(address.as_str())).collect();
        let turn = known.turn.checked_rem(bootstrap.len()).unwrap_or_default();
        bootstrap.rotate_left(turn);

        let mut candidates: Vec<Arc<str>> = Vec::with_capacity(brokers.len() + bootstrap.len());
        for address in brokers.into_iter().chain(bootstrap) {
            if !candidates.contains(&address) {
                candidates.push(address);
            }
        }
        candidates.sort_by_key(|address| known.avoided.get(address).is_some_and(|until| *until > now));
        candidates
    }

    /// Returns the broker that leads a partition, if the topic is still the same, and the description that names it.
    pub(super) async fn leader(&self, topic: &Topic, partition: i32) -> Result<(Connection, Arc<Topic>), Error> {
        let current = self.topic(topic.name()).await?;
        let current = current.ok_or_else(|| Error::code_of(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None))?;
        if current.id() != topic.id() {
            return Err(Error::code_of(ErrorCode::UNKNOWN_TOPIC_ID, Some("the topic was deleted and created again")));
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

    /// Returns the broker that creates topics.
    pub(super) async fn controller(&self) -> Result<Connection, Error> {
        // The controller is looked up each time: it is needed rarely, and may change after a failure.
        self.metadata(Some(Vec::new())).await?;
        let address = {
            let known = self.lock();
            known.controller.and_then(|id| known.brokers.get(&id)).cloned()
        };
        self.connection(&address.ok_or_else(|| Error::code_of(ErrorCode::NOT_CONTROLLER, None))?).await
    }

    /// Returns the connection to a broker, and opens one if it has none, or if its login is about to expire. Callers of
    /// the same broker wait for the same attempt.
    pub(super) async fn connection(&self, address: &Arc<str>) -> Result<Connection, Error> {
        let slot = Arc::clone(self.lock().connections.entry(Arc::clone(address)).or_default());
        let wait = self.settings.connect_timeout;
        let mut slot = tokio::time::timeout(wait, slot.lock())
            .await
            .map_err(|_| Error::new(Kind::ConnectTimeout(wait)).at(address))?;
        let old = slot.take_if(|connection| !connection.is_usable() || connection.is_due());

        if let Some(connection) = slot.as_ref() {
            return Ok(connection.clone());
        }

        let connection = match (connect(address, &self.settings).await, old) {
            (Ok(connection), _) => connection,
            // The old login is valid for a while, so another attempt may succeed.
            (Err(e), Some(old)) if old.is_usable() => {
                tracing::warn!(target: "outbox.kafka", error = %ErrorChain::new(&e), "new login to Kafka failed before the old one ends");
                old.put_off();
                old
            }
            (Err(e), _) => return Err(e),
        };
        self.lock().capabilities.insert(Arc::clone(address), connection.capabilities());
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
