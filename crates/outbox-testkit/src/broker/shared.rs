use std::sync::{PoisonError, RwLock};

use kafka_protocol::ResponseError;
use tokio::sync::watch;

use super::cluster::{Cluster, TopicRef};
use super::error::BrokerError;
use super::faults::{Effect, Faults, Place};
use super::imitation::Imitation;
use super::log::{Batch, Encoded, Producing, RecordBatch, Refusal};
use super::settings::{Node, Settings, now_ms};
use super::wire::Api;

/// The state that the connections of one broker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) node: Node,
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    cluster: RwLock<Cluster>,
    changed: watch::Sender<()>,
}

impl Shared {
    pub(super) fn new(node: Node, settings: Settings) -> Self {
        Self { node, settings, faults: Faults::new(), cluster: RwLock::default(), changed: watch::Sender::new(()) }
    }

    /// Reads the state. The lock is held during the closure, so it is never held across an await.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Cluster) -> T) -> T {
        look(&self.cluster.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the state. Call [`announce`](Self::announce) to wake waiting requests.
    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        change(&mut self.cluster.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the error of an injected fault for a part of a request.
    pub(super) fn refusal(&self, api: Api, place: Place<'_>) -> Result<(), ResponseError> {
        let Some((Effect::Refuse(error), rule)) = self.faults.strike(api, place) else {
            return Ok(());
        };
        rule.happened();
        Err(error)
    }

    /// Returns the error code that the imitated broker answers for an error.
    pub(super) fn code(&self, error: ResponseError) -> i16 {
        self.answered(error).code()
    }

    /// Returns the error that the imitated broker answers for an error.
    pub(super) fn answered(&self, error: ResponseError) -> ResponseError {
        self.settings.imitation.answered(error)
    }

    /// Returns the error code of an answer: 0 for none.
    pub(super) fn code_of<T>(&self, result: &Result<T, ResponseError>) -> i16 {
        result.as_ref().err().map_or(0, |error| self.code(*error))
    }

    /// Appends a batch of a test. Returns the offset of its first record, and the number of its offsets.
    pub(super) fn append(
        &self,
        topic: &str,
        partition: i32,
        batch: RecordBatch,
        producer: Producing,
    ) -> Result<(i64, i32), BrokerError> {
        let refused = |refusal: Refusal| BrokerError::append(topic, partition, refusal.error);
        let found = self.read(|cluster| {
            let (_name, found) = cluster.topic(TopicRef::Name(topic))?;
            Ok::<_, Refusal>((found.id, found.config.rules(&Imitation::new())))
        });
        let (id, rules) = found.map_err(refused)?;
        let batch = match batch.encode(producer, now_ms()) {
            Encoded::Checked(bytes) => Batch::parse(&bytes, &rules),
            Encoded::Trusted(bytes) => Batch::trusted(&bytes).ok_or_else(|| ResponseError::CorruptMessage.into()),
        };
        let batch = batch.map_err(refused)?;
        let taken = batch.taken();
        let appended = self.write(|cluster| cluster.append(id, partition, batch)).map_err(Refusal::from);

        self.announce();
        Ok((appended.map_err(refused)?.0, taken))
    }

    /// Wakes all waiting fetches.
    pub(super) fn announce(&self) {
        self.changed.send_replace(());
    }

    /// Subscribes to every announcement from now on.
    pub(super) fn announcements(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
