use std::any::Any;
use std::sync::Arc;

use super::confirmation::Verdict;
use crate::progress::{Outcome, PartitionId, Producer, Seen, Tail};
use outbox_kafka::{Compression, Topic};

/// The report of a task or a request of a session.
pub(super) enum Report {
    /// A produce request to a broker has ended, with or without an answer.
    Produced {
        broker: Option<i32>,
        answers: Vec<Answer>,
    },
    /// The pause after failed batches is over.
    RetryDue(Vec<(PartitionId, Outcome)>),
    LogRead(PartitionId, SeenRecords, Tail),
    Producer(Producer),
    /// The metadata of a topic, which was created if it was missing.
    Topic(Box<str>, Result<Arc<Topic>, outbox_kafka::Error>),
    /// Whether this relay still holds the slot.
    SlotHeld(bool),
    /// A topic was created again or has another number of partitions, so rows may belong elsewhere.
    TopicChanged(Box<str>),
    /// A topic has more partitions and is otherwise the same.
    TopicGrown(Box<str>),
    Confirmation(Verdict),
    /// Kafka cannot be used, and a retry would not help.
    Failed(outbox_kafka::Error),
    /// A task has panicked.
    Panicked(Box<dyn Any + Send>),
}

/// The records that a read of a log has found, in the log's order. An iterator, so that their memory is freed one by
/// one.
pub(super) type SeenRecords = Box<dyn Iterator<Item = Seen> + Send>;

/// The outcome of one batch.
pub(super) struct Answer {
    pub(super) id: PartitionId,
    pub(super) topic: Arc<Topic>,
    pub(super) partition: i32,
    pub(super) compression: Compression,
    pub(super) outcome: Outcome,
    pub(super) error: Option<outbox_kafka::Error>,
}
