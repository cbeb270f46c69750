use std::time::Duration;

use kafka_protocol::ResponseError;

use crate::broker::wire::Api;

/// A fault, with its place and its number of times. By default, it happens once, anywhere.
///
/// ```
/// use outbox_testkit::{Api, Fault, ResponseError};
///
/// Fault::close_after_append(); // the next batch is appended, and its answer is lost
/// Fault::not_leader().on("orders", 0).times(3);
/// Fault::reject(ResponseError::TopicAuthorizationFailed).on_topic("orders").until_lifted();
/// Fault::error(Api::ListOffsets, ResponseError::OffsetNotAvailable).on("orders", 0).times(5);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Fault {
    pub(super) effect: Effect,
    apis: Vec<Api>,
    site: Site,
    pub(super) times: Times,
}

/// The effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Effect {
    CloseBeforeAppend,
    CloseAfterAppend,
    AppendAfterClose,
    Refuse(ResponseError),
    OnRequest(RequestEffect),
}

/// The effects that a whole request has at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum RequestEffect {
    CloseBefore,
    CloseAfter,
    Delay(Duration),
    NoAnswer,
    Throttle(Duration),
}

/// The part of a request that a fault may happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Place<'a> {
    /// A part that names no topic.
    Anywhere,
    /// A topic; faults of one of its partitions happen to it too.
    Topic(&'a str),
    /// A topic, apart from its partitions.
    WholeTopic(&'a str),
    Partition(&'a str, i32),
    /// A partition, apart from its topic.
    SinglePartition(&'a str, i32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Site {
    Everywhere,
    Topic(String),
    Partition(String, i32),
}

/// The number of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    Left(usize),
    UntilLifted,
}

impl Fault {
    fn new(effect: Effect, apis: impl Into<Vec<Api>>) -> Self {
        Self { effect, apis: apis.into(), site: Site::Everywhere, times: Times::Left(1) }
    }

    /// Closes the connection when a batch comes; the batch is not appended.
    pub fn close_before_append() -> Self {
        Self::new(Effect::CloseBeforeAppend, [Api::Produce])
    }

    /// Appends the batch, and closes the connection instead of an answer.
    pub fn close_after_append() -> Self {
        Self::new(Effect::CloseAfterAppend, [Api::Produce])
    }

    /// Closes the connection when a batch comes, and appends the batch at [`Injected::release`].
    ///
    /// This happens if a broker hangs for longer than the client waits, or the network delays a packet.
    ///
    /// [`Injected::release`]: super::Injected::release
    pub fn append_after_close() -> Self {
        Self::new(Effect::AppendAfterClose, [Api::Produce])
    }

    /// Answers Produce, Fetch and ListOffsets with NOT_LEADER_OR_FOLLOWER. Metadata continues to name this node.
    pub fn not_leader() -> Self {
        let apis = [Api::Produce, Api::Fetch, Api::ListOffsets];
        Self::new(Effect::Refuse(ResponseError::NotLeaderOrFollower), apis)
    }

    /// Answers Produce and Fetch with this `throttle_time_ms`, and does not read the connection for that time.
    ///
    /// The request itself succeeds, as with Kafka.
    pub fn throttle(time: Duration) -> Self {
        Self::new(Effect::OnRequest(RequestEffect::Throttle(time)), [Api::Produce, Api::Fetch])
    }

    /// Answers Produce with an error, and appends nothing.
    pub fn reject(error: ResponseError) -> Self {
        Self::error(Api::Produce, error)
    }

    /// Answers Fetch with an error.
    pub fn reject_fetch(error: ResponseError) -> Self {
        Self::error(Api::Fetch, error)
    }

    /// Answers Produce with KAFKA_STORAGE_ERROR until this is lifted, as a full disk does.
    pub fn disk_full() -> Self {
        Self::reject(ResponseError::KafkaStorageError).until_lifted()
    }

    /// Answers the API with an error for each partition that it happens to, and has no effect there.
    ///
    /// Metadata is answered with the error of a topic, unless the fault is [`on`](Self::on) one partition.
    /// CreateTopics and DeleteTopics are answered with the error of a topic. InitProducerId, FindCoordinator,
    /// EndTxn and ApiVersions name no topic: a fault of a topic does not happen to them.
    pub fn error(api: Api, error: ResponseError) -> Self {
        Self::new(Effect::Refuse(error), [api])
    }

    /// Closes the connection when a request for the API comes, and the request has no effect.
    pub fn close_before(api: Api) -> Self {
        Self::new(Effect::OnRequest(RequestEffect::CloseBefore), [api])
    }

    /// Closes the connection after a request for the API has had its effect, instead of an answer.
    pub fn close_after(api: Api) -> Self {
        Self::new(Effect::OnRequest(RequestEffect::CloseAfter), [api])
    }

    /// Delays the answer to a request for the API by this time; its effect comes at once.
    pub fn delay(api: Api, time: Duration) -> Self {
        Self::new(Effect::OnRequest(RequestEffect::Delay(time)), [api])
    }

    /// Leaves a request for the API without an answer after its effect: neither it nor a later one on its connection is
    /// answered.
    pub fn no_answer(api: Api) -> Self {
        Self::new(Effect::OnRequest(RequestEffect::NoAnswer), [api])
    }

    /// Answers the API with this `throttle_time_ms`, and does not read the connection for that time.
    ///
    /// The request itself succeeds. [`throttle`](Self::throttle) does the same to Produce and Fetch.
    pub fn throttle_api(api: Api, time: Duration) -> Self {
        Self::new(Effect::OnRequest(RequestEffect::Throttle(time)), [api])
    }

    /// Limits the fault to one partition.
    pub fn on(mut self, topic: impl Into<String>, partition: i32) -> Self {
        self.site = Site::Partition(topic.into(), partition);
        self
    }

    /// Limits the fault to the partitions of a topic; it happens to each as if it were the only one.
    pub fn on_topic(mut self, topic: impl Into<String>) -> Self {
        self.site = Site::Topic(topic.into());
        self
    }

    /// Limits the fault to this number of times. Faults of partitions count once for each partition of a request.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Times::Left(times);
        self
    }

    /// Repeats the fault until it is lifted.
    pub fn until_lifted(mut self) -> Self {
        self.times = Times::UntilLifted;
        self
    }

    pub(super) fn fits(&self, api: Api, place: Place<'_>) -> bool {
        let here = match (&self.site, place) {
            (Site::Everywhere, place) => !matches!(place, Place::SinglePartition(..)),
            (Site::Topic(name), Place::Topic(topic) | Place::WholeTopic(topic) | Place::Partition(topic, _)) => {
                name == topic
            }
            (Site::Partition(name, _), Place::Topic(topic)) => name == topic,
            (Site::Partition(name, number), Place::Partition(topic, index) | Place::SinglePartition(topic, index)) => {
                name == topic && *number == index
            }
            (Site::Topic(_), Place::Anywhere | Place::SinglePartition(..))
            | (Site::Partition(..), Place::Anywhere | Place::WholeTopic(_)) => false,
        };
        here && self.apis.contains(&api)
    }

    /// Returns whether the fault happens to whole requests for an API.
    pub(super) fn is_on_request(&self, api: Api) -> bool {
        matches!(self.effect, Effect::OnRequest(_)) && self.apis.contains(&api)
    }
}
