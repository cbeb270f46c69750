//! The state of the one-node cluster, apart from sockets.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::log::{AppendTime, Batch, Log, Outcome, Refusal};
use super::settings::LEADER_EPOCH;
use super::topic::{Topic, TopicConfig};
use super::transactions::{Partitions, Transactions};

/// The partitions of one topic; Kafka makes no more in one request.
const MAX_PARTITIONS: i32 = 10_000;

#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) groups: Groups,
    pub(super) transactions: Transactions,
    topics: BTreeMap<String, Topic>,
    names: BTreeMap<Uuid, String>,
    producer_ids: i64,
}

/// The way in which a request names a topic: by its id in newer versions, by its name in older ones.
#[derive(Debug, Clone, Copy)]
pub(super) enum TopicRef<'a> {
    Name(&'a str),
    Id(Uuid),
}

impl Cluster {
    pub(super) fn topics(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.topics.iter().map(|(name, topic)| (name.as_str(), topic))
    }

    pub(super) fn topics_mut(&mut self) -> impl Iterator<Item = &mut Topic> {
        self.topics.values_mut()
    }

    /// Returns a topic with its name.
    pub(super) fn topic(&self, topic: TopicRef<'_>) -> Result<(&str, &Topic), ResponseError> {
        let found = match topic {
            TopicRef::Name(name) => self.topics.get_key_value(name).ok_or(ResponseError::UnknownTopicOrPartition),
            TopicRef::Id(id) => self
                .names
                .get(&id)
                .and_then(|name| self.topics.get_key_value(name))
                .ok_or(ResponseError::UnknownTopicId),
        };
        found.map(|(name, topic)| (name.as_str(), topic))
    }

    pub(super) fn log(&self, topic: TopicRef<'_>, partition: i32) -> Result<&Log, ResponseError> {
        self.topic(topic)?.1.log(partition).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    pub(super) fn log_mut(&mut self, name: &str, partition: i32) -> Result<&mut Log, ResponseError> {
        let log = self.topics.get_mut(name).and_then(|topic| topic.log_mut(partition));
        log.ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Appends to a partition of the topic with this id; a topic of the same name that was created later is another
    /// one.
    pub(super) fn append(
        &mut self,
        topic: Uuid,
        partition: i32,
        batch: Batch,
    ) -> Result<(i64, AppendTime), ResponseError> {
        let name = self.names.get(&topic).ok_or(ResponseError::UnknownTopicOrPartition)?.clone();
        self.log_mut(&name, partition)?.append(batch, LEADER_EPOCH)
    }

    /// Checks whether a topic could be created.
    pub(super) fn check_topic(&self, name: &str, partitions: i32) -> Result<usize, Refusal> {
        if self.topics.contains_key(name) {
            return Err(Refusal::new(ResponseError::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
        }
        check_name(name, &self.topics)?;
        if partitions > MAX_PARTITIONS {
            return Err(ResponseError::PolicyViolation.into());
        }
        let count = usize::try_from(partitions).ok().filter(|count| *count > 0);
        count.ok_or_else(|| {
            Refusal::new(ResponseError::InvalidPartitions, "Number of partitions must be larger than 0.")
        })
    }

    pub(super) fn create_topic(&mut self, name: &str, partitions: i32, config: TopicConfig) -> Result<Uuid, Refusal> {
        let topic = Topic::new(self.check_topic(name, partitions)?, config);
        let id = topic.id;
        self.names.insert(id, name.to_owned());
        self.topics.insert(name.to_owned(), topic);
        Ok(id)
    }

    /// Deletes a topic with the offsets that groups committed for it; its name and id.
    pub(super) fn delete_topic(&mut self, topic: TopicRef<'_>) -> Result<(String, Uuid), ResponseError> {
        let (name, found) = self.topic(topic)?;
        let (name, id) = (name.to_owned(), found.id);
        self.topics.remove(&name);
        self.names.remove(&id);
        self.groups.forget_topic(&name);
        Ok((name, id))
    }

    /// Returns the next epoch of a transactional id, and aborts the open transaction of the previous epoch.
    pub(super) fn init_transactional(
        &mut self,
        transactional_id: &str,
        claimed: Option<(i64, i16)>,
        now: i64,
    ) -> Result<(i64, i16), ResponseError> {
        let producer_ids = &mut self.producer_ids;
        let (producer, left_open) = self.transactions.init(transactional_id, claimed, || next(producer_ids))?;
        self.write_markers(&left_open, producer, Outcome::Abort, now);
        Ok(producer)
    }

    /// Ends the transaction of a producer in partitions. Those that were deleted meanwhile are left out.
    pub(super) fn write_markers(&mut self, partitions: &Partitions, producer: (i64, i16), outcome: Outcome, now: i64) {
        for (topic, partition) in partitions {
            if let Ok(log) = self.log_mut(topic, *partition) {
                log.end_transaction(producer, outcome, LEADER_EPOCH, now);
            }
        }
    }

    /// Returns a new producer id.
    pub(super) fn next_producer_id(&mut self) -> i64 {
        next(&mut self.producer_ids)
    }
}

fn next(producer_ids: &mut i64) -> i64 {
    let id = *producer_ids;
    *producer_ids += 1;
    id
}

/// Checks that a name is legal: 1 to 249 of the characters `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`; and that it
/// does not collide with another topic, because metrics do not distinguish `.` from `_`.
fn check_name(name: &str, others: &BTreeMap<String, Topic>) -> Result<(), Refusal> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.bytes().all(legal) {
        return Err(Refusal::new(ResponseError::InvalidTopicException, "the topic name is illegal"));
    }
    let as_metric = |name: &str| name.replace('.', "_");
    if name.contains(['.', '_'])
        && let Some(other) = others.keys().find(|other| *other != name && as_metric(other) == as_metric(name))
    {
        return Err(Refusal::new(ResponseError::InvalidTopicException, format!("the name collides with {other}")));
    }
    Ok(())
}

/// A committed offset, with its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) metadata: String,
}

/// The offsets of one group, by topic and partition.
pub(super) type Offsets = BTreeMap<String, BTreeMap<i32, Committed>>;

#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<String, Offsets>);

impl Groups {
    pub(super) fn commit(&mut self, group: &str, topic: &str, partition: i32, committed: Committed) {
        let offsets = self.0.entry(group.to_owned()).or_default();
        offsets.entry(topic.to_owned()).or_default().insert(partition, committed);
    }

    /// Returns the offsets of a group, if it has committed one.
    pub(super) fn offsets(&self, group: &str) -> Option<&Offsets> {
        self.0.get(group)
    }

    fn forget_topic(&mut self, topic: &str) {
        self.0.values_mut().for_each(|offsets| _ = offsets.remove(topic));
    }
}
