use std::time::Duration;

use kafka_protocol::ResponseError;

/// A fault, where it happens, and how often: everywhere and once if nothing else is said.
///
/// ```
/// use outbox_testkit::{Fault, ResponseError};
///
/// Fault::close_after_append(); // the next batch is appended, and its answer is lost
/// Fault::not_leader().on("orders", 0).times(3);
/// Fault::reject(ResponseError::TopicAuthorizationFailed).on_topic("orders").until_lifted();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Fault {
    pub(super) effect: Effect,
    requests: &'static [Request],
    site: Site,
    pub(super) times: Times,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Effect {
    CloseBeforeAppend,
    CloseAfterAppend,
    AppendAfterClose,
    Throttle(Duration),
    Refuse(ResponseError),
}

/// The requests that faults happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Request {
    Produce,
    Fetch,
    ListOffsets,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Site {
    Everywhere,
    Topic(String),
    Partition(String, i32),
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Left(usize),
    UntilLifted,
}

const PRODUCE: &[Request] = &[Request::Produce];
const PRODUCE_AND_FETCH: &[Request] = &[Request::Produce, Request::Fetch];

impl Fault {
    fn new(effect: Effect, requests: &'static [Request]) -> Self {
        Self { effect, requests, site: Site::Everywhere, times: Times::Left(1) }
    }

    /// The connection is closed when a batch comes, and the batch is not appended.
    pub fn close_before_append() -> Self {
        Self::new(Effect::CloseBeforeAppend, PRODUCE)
    }

    /// The batch is appended, and the connection closed instead of an answer.
    pub fn close_after_append() -> Self {
        Self::new(Effect::CloseAfterAppend, PRODUCE)
    }

    /// The connection is closed when a batch comes, and the batch is appended at [`Injected::release`].
    ///
    /// So it goes when a broker hangs longer than the client waits, or a packet does in the network.
    ///
    /// [`Injected::release`]: super::Injected::release
    pub fn append_after_close() -> Self {
        Self::new(Effect::AppendAfterClose, PRODUCE)
    }

    /// Produce, Fetch and ListOffsets are answered with NOT_LEADER_OR_FOLLOWER. Metadata goes on to name this node.
    pub fn not_leader() -> Self {
        let requests = &[Request::Produce, Request::Fetch, Request::ListOffsets];
        Self::new(Effect::Refuse(ResponseError::NotLeaderOrFollower), requests)
    }

    /// Produce and Fetch are answered with this `throttle_time_ms`, and the connection is not read for so long.
    ///
    /// The request itself succeeds, as with Kafka.
    pub fn throttle(time: Duration) -> Self {
        Self::new(Effect::Throttle(time), PRODUCE_AND_FETCH)
    }

    /// Produce is answered with an error, and nothing is appended.
    pub fn reject(error: ResponseError) -> Self {
        Self::new(Effect::Refuse(error), PRODUCE)
    }

    /// Fetch is answered with an error.
    pub fn reject_fetch(error: ResponseError) -> Self {
        Self::new(Effect::Refuse(error), &[Request::Fetch])
    }

    /// Produce is answered with KAFKA_STORAGE_ERROR until this is lifted: the disk takes nothing more.
    pub fn disk_full() -> Self {
        Self::reject(ResponseError::KafkaStorageError).until_lifted()
    }

    /// It happens to one partition.
    pub fn on(mut self, topic: impl Into<String>, partition: i32) -> Self {
        self.site = Site::Partition(topic.into(), partition);
        self
    }

    /// It happens to all partitions of a topic, to each as if it were the only one.
    pub fn on_topic(mut self, topic: impl Into<String>) -> Self {
        self.site = Site::Topic(topic.into());
        self
    }

    /// It happens so many times. A request that has several partitions of its counts once for each.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Times::Left(times);
        self
    }

    /// It happens every time until it is lifted.
    pub fn until_lifted(mut self) -> Self {
        self.times = Times::UntilLifted;
        self
    }

    pub(super) fn fits(&self, request: Request, topic: &str, partition: i32) -> bool {
        let here = match &self.site {
            Site::Everywhere => true,
            Site::Topic(name) => name == topic,
            Site::Partition(name, number) => name == topic && *number == partition,
        };
        here && self.requests.contains(&request)
    }
}
