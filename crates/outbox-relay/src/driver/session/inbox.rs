use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::AbortHandle;
use tracing::Instrument as _;

use crate::progress::{Outcome, PartitionId, Producer, Seen, Tail};
use outbox_kafka::{Compression, Topic};

/// The channel over which the tasks of a session report to it.
#[derive(Clone)]
pub struct Inbox(UnboundedSender<Report>);

/// A task of a session. It is aborted when this value is dropped.
pub struct Task(AbortHandle);

impl Inbox {
    pub fn new() -> (Self, UnboundedReceiver<Report>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Sends a report, which is discarded after the end of the session.
    pub fn send(&self, report: Report) {
        _ = self.0.send(report);
    }

    /// Starts a task in the current span. A panic in it becomes a panic of the session.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Task {
        let inbox = self.clone();
        let guarded = async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                inbox.send(Report::Panicked(panic));
            }
        };
        Task(tokio::spawn(guarded.in_current_span()).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The report of a task or a request of a session.
pub enum Report {
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
    Confirmation(CheckOutcome),
    /// Kafka cannot be used, and a retry would not help.
    Failed(outbox_kafka::Error),
    /// A task has panicked.
    Panicked(Box<dyn Any + Send>),
}

/// The records that a read of a log has found, in the log's order. It is an iterator, so that their memory is freed one
/// by one.
pub type SeenRecords = Box<dyn Iterator<Item = Seen> + Send>;

/// The outcome of one batch.
pub struct Answer {
    pub id: PartitionId,
    pub topic: Arc<Topic>,
    pub partition: i32,
    pub compression: Compression,
    pub outcome: Outcome,
    pub error: Option<outbox_kafka::Error>,
}

/// The consequence of checks for the session.
pub enum CheckOutcome {
    /// Nothing more can be confirmed at present.
    Settled,
    /// The publication has changed, and publishes all rows from now on.
    Republished,
    /// The server shuts down, and waits for the rest to be confirmed: give back the slot.
    ShutDown(outbox_wal::Error),
}
