use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::encoded::Encoded;
use crate::position::Position;
use crate::progress::{PartitionId, Unplaced};
use outbox_kafka::Topic;

/// The topics that rows go to, the numbers that the state machine knows their partitions by, and the rows that wait for
/// a topic.
///
/// A topic that cannot be found or created holds back its own rows only, and is asked for once, not once for each row.
#[derive(Default)]
pub struct Topics {
    /// The topics with the number of their first partition; the other partitions follow.
    known: HashMap<Box<str>, (Arc<Topic>, u32)>,
    partitions: Vec<TopicPartition>,
    waiting: HashMap<Box<str>, VecDeque<Waiting>>,
    /// The memory of the waiting rows.
    waiting_bytes: usize,
    /// Names that the cluster rejects, with its reason.
    illegal: HashMap<Box<str>, outbox_kafka::Error>,
}

/// A topic and one of its partitions.
pub type TopicPartition = (Arc<Topic>, i32);

/// A row that waits for its topic.
pub struct Waiting {
    pub turn: Unplaced,
    /// The partition that the record names.
    pub named: Option<i32>,
    pub record: Encoded,
}

/// The destination of a record.
pub enum Destination {
    Partition(PartitionId),
    /// The topic is not known yet.
    Unknown,
    /// The partition does not exist, or the topic can never exist.
    Illegal(IllegalDestination),
}

/// The reason why a record has no destination.
pub struct IllegalDestination {
    pub reason: String,
    pub cause: Option<outbox_kafka::Error>,
}

impl Topics {
    /// Returns the partition of a record: the one that it names, else by its key as Kafka's own partitioner chooses.
    pub fn destination(&self, topic: &str, named: Option<i32>, key: Option<&[u8]>, event: &[u8]) -> Destination {
        let Some((topic, first)) = self.known.get(topic) else {
            if !outbox_kafka::is_legal_topic_name(topic) {
                let reason = format!("{topic:?} is no legal name of a topic");
                return Destination::Illegal(IllegalDestination { reason, cause: None });
            }
            return match self.illegal.get(topic).cloned() {
                Some(cause) => {
                    let reason = format!("the cluster rejects the name of topic {topic}");
                    Destination::Illegal(IllegalDestination { reason, cause: Some(cause) })
                }
                None => Destination::Unknown,
            };
        };
        let count = topic.partitions();
        let chosen = match (named, key) {
            (Some(named), _) if (0..count).contains(&named) => named,
            (Some(named), _) => {
                let reason = format!("it names partition {named}, and topic {} has {count}", topic.name());
                return Destination::Illegal(IllegalDestination { reason, cause: None });
            }
            (None, Some(key)) => outbox_kafka::partition(key, count),
            // For a null key, any partition is allowed, but it must be the same after a restart.
            (None, None) => outbox_kafka::partition(event, count),
        };

        Destination::Partition(PartitionId(first + chosen.unsigned_abs()))
    }

    /// Keeps a row until its topic is known. Returns whether it is the first one, so that the topic must be found.
    pub fn wait(&mut self, topic: &str, bytes: usize, waiting: Waiting) -> bool {
        self.waiting_bytes += bytes;
        if let Some(rows) = self.waiting.get_mut(topic) {
            rows.push_back(waiting);
            return false;
        }
        self.waiting.insert(topic.into(), VecDeque::from([waiting]));
        true
    }

    /// Records a topic that was found, and returns the rows that wait for it, in their order.
    pub fn learn(&mut self, topic: &Arc<Topic>) -> VecDeque<Waiting> {
        let first = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        if self.known.insert(topic.name().into(), (Arc::clone(topic), first)).is_none() {
            self.partitions.extend((0..topic.partitions()).map(|partition| (Arc::clone(topic), partition)));
        }
        self.take(topic.name())
    }

    /// Removes the waiting rows from this position on, and returns them.
    pub fn take_from(&mut self, position: Position) -> Vec<Waiting> {
        let waiting = self.waiting.values_mut();
        let taken: Vec<Waiting> = waiting
            .flat_map(|rows| {
                let (before, after) = std::mem::take(rows).into_iter().partition(|row| row.turn.position < position);
                *rows = before;
                Vec::from(after)
            })
            .collect();
        let bytes: usize = taken.iter().map(|row| row.record.size()).sum();
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        taken
    }

    /// Records that the cluster rejects a topic's name, and returns the rows that wait for it.
    pub fn reject(&mut self, topic: &str, cause: outbox_kafka::Error) -> VecDeque<Waiting> {
        self.illegal.insert(topic.into(), cause);
        self.take(topic)
    }

    /// Returns the topic and partition of a number.
    pub fn partition(&self, partition: PartitionId) -> Option<&TopicPartition> {
        usize::try_from(partition.0).ok().and_then(|index| self.partitions.get(index))
    }

    /// Returns the topics that are known.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.known.values().map(|(topic, _)| Arc::clone(topic)).collect()
    }

    /// Returns the memory of the rows that wait for a topic, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    fn take(&mut self, topic: &str) -> VecDeque<Waiting> {
        let rows = self.waiting.remove(topic).unwrap_or_default();
        let bytes: usize = rows.iter().map(|row| row.record.size()).sum();
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        rows
    }
}
