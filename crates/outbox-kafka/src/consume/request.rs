use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::Budget;
use crate::api::{self, Api};
use crate::connection::Connection;
use crate::error::Error;
use crate::{ErrorCode, Topic};

/// The first version that names topics by their ids (KIP-516).
const BY_TOPIC_ID: i16 = 13;
const CONSUMER: BrokerId = BrokerId(-1);
/// The broker sends batches up to the last stable offset, with the list of aborted transactions (KIP-98).
const READ_COMMITTED: i8 = 1;
/// A request outside of any fetch session (KIP-227).
const NO_SESSION: i32 = -1;
const LEADER_EPOCH_UNCHECKED: i32 = -1;

/// One partition of a request.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The partition's number in its fetcher.
    pub(super) id: u64,
    pub(super) topic: Arc<Topic>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The bytes that are asked for; a broker sends at least one batch of the first partition that has any.
    pub(super) room: i32,
    /// The inbox's round.
    pub(super) round: u64,
}

/// A request to one broker.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) connection: Connection,
    pub(super) wanted: Vec<Wanted>,
    pub(super) max_bytes: i32,
    /// The time that the broker waits for the first record.
    pub(super) max_wait: Duration,
}

/// The outcome for one partition.
#[derive(Debug)]
pub(super) enum Outcome {
    Answered(super::decoder::Answer),
    OutOfRange,
    Failed(Error),
    /// The broker has left it out.
    Missing,
}

/// The outcome of a request.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) connection: Connection,
    /// The time that the broker does not want another request.
    pub(super) throttle: Duration,
    pub(super) outcomes: Vec<(Wanted, Outcome)>,
}

impl Request {
    pub(super) async fn send(self, budget: Budget) -> Response {
        match self.exchange(&budget).await {
            Ok((version, response)) => self.split(version, response),
            Err(e) => {
                let failed = |wanted: Wanted| {
                    let error = e.clone().of_partition(wanted.topic.name(), wanted.partition);
                    (wanted, Outcome::Failed(error))
                };
                let outcomes = self.wanted.into_iter().map(failed).collect();
                Response { connection: self.connection, throttle: Duration::ZERO, outcomes }
            }
        }
    }

    async fn exchange(&self, budget: &Budget) -> Result<(i16, FetchResponse), Error> {
        let has_ids = self.wanted.iter().all(|wanted| !wanted.topic.id().is_nil());
        let newest = if has_ids { i16::MAX } else { BY_TOPIC_ID - 1 };
        let version = self.connection.version_of::<FetchRequest>()?.min(newest);
        let request = self.encode(version);
        let answer = self.connection.send_as(&request, version, 64 * self.wanted.len())?.bytes().await?;
        // The memory of records is that of the frame.
        let answer = budget.counted(answer);
        let response = api::decode::<FetchRequest>(answer, version).map_err(|e| e.at(self.connection.broker()))?;
        match ErrorCode::from_code(response.error_code) {
            None => Ok((version, response)),
            Some(code) => Err(Error::code_of(code, None).by(FetchRequest::NAME).at(self.connection.broker())),
        }
    }

    /// Builds the request with the partitions of each topic in one group. From a certain version on, topics are named
    /// by their ids.
    fn encode(&self, version: i16) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut places: HashMap<Key, usize> = HashMap::new();

        for wanted in &self.wanted {
            let place = *places.entry(Key::of(&wanted.topic, version)).or_insert_with(|| {
                topics.push(match version {
                    BY_TOPIC_ID.. => FetchTopic::default().with_topic_id(wanted.topic.id()),
                    _ => FetchTopic::default()
                        .with_topic(TopicName(StrBytes::from_string(wanted.topic.name().to_owned()))),
                });
                topics.len() - 1
            });
            let partition = FetchPartition::default()
                .with_partition(wanted.partition)
                .with_current_leader_epoch(LEADER_EPOCH_UNCHECKED)
                .with_fetch_offset(wanted.offset)
                .with_partition_max_bytes(wanted.room);
            if let Some(topic) = topics.get_mut(place) {
                topic.partitions.push(partition);
            }
        }

        FetchRequest::default()
            .with_replica_id(CONSUMER)
            .with_max_wait_ms(i32::try_from(self.max_wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(1)
            .with_max_bytes(self.max_bytes)
            .with_isolation_level(READ_COMMITTED)
            .with_session_epoch(NO_SESSION)
            .with_topics(topics)
    }

    /// Assigns the parts of the response to the partitions that were asked for, and reports those without an answer as
    /// missing.
    fn split(self, version: i16, response: FetchResponse) -> Response {
        let mut found = HashMap::new();
        for topic in response.responses {
            for partition in topic.partitions {
                let key = Key::new(version, topic.topic_id, || topic.topic.0.clone());
                found.insert((key, partition.partition_index), partition);
            }
        }

        let broker = self.connection.broker().to_owned();
        let outcome = |wanted: Wanted| {
            let outcome = match found.remove(&(Key::of(&wanted.topic, version), wanted.partition)) {
                None => Outcome::Missing,
                Some(data) => match ErrorCode::from_code(data.error_code) {
                    None => Outcome::Answered(super::decoder::Answer::new(wanted.offset, data)),
                    Some(ErrorCode::OFFSET_OUT_OF_RANGE) => Outcome::OutOfRange,
                    Some(code) => {
                        let error = Error::code_of(code, None).by(FetchRequest::NAME).at(&broker);
                        Outcome::Failed(error.of_partition(wanted.topic.name(), wanted.partition))
                    }
                },
            };
            (wanted, outcome)
        };

        let outcomes = self.wanted.into_iter().map(outcome).collect();
        let throttle = Duration::from_millis(u64::try_from(response.throttle_time_ms).unwrap_or_default());
        Response { connection: self.connection, throttle, outcomes }
    }
}

/// The way in which a version names a topic.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Id(Uuid),
    Name(StrBytes),
}

impl Key {
    fn new(version: i16, id: Uuid, name: impl FnOnce() -> StrBytes) -> Self {
        if version >= BY_TOPIC_ID { Self::Id(id) } else { Self::Name(name()) }
    }

    fn of(topic: &Topic, version: i16) -> Self {
        Self::new(version, topic.id(), || StrBytes::from_string(topic.name().to_owned()))
    }
}
