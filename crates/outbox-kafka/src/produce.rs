use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::api::Api;
use super::cluster::topic_name;
use super::connection::{Connection, Sent};
use super::error::{Error, Kind};
use super::{Cluster, Produced, Topic};

/// The first version that names topics by their ids.
const BY_TOPIC_ID: i16 = 13;

/// A batch with its partition. It is not sent if the topic was re-created after it was described.
#[derive(Clone, Debug)]
pub struct ToProduce {
    /// The topic, as last described.
    pub topic: Arc<Topic>,
    /// The partition.
    pub partition: i32,
    /// One record batch, from [`BatchBuilder`](crate::BatchBuilder).
    pub batch: Bytes,
}

impl ToProduce {
    fn here(&self, error: Error) -> Error {
        error.of_partition(self.topic.name(), self.partition)
    }
}

/// The batches that go to one broker at once, each batch with its place among those that were given.
#[derive(Debug)]
struct Request<'a> {
    connection: Connection,
    size: usize,
    batches: Vec<(usize, &'a ToProduce)>,
}

impl Cluster {
    /// Writes a batch, and waits for all in-sync replicas to have it.
    ///
    /// If the future is dropped, the batch may still be appended.
    pub async fn produce(&self, batch: ToProduce) -> Produced {
        let mut produced = self.produce_many(std::slice::from_ref(&batch)).await;
        produced.pop().unwrap_or_else(|| Produced::Unknown(Error::new(Kind::Malformed)))
    }

    /// Writes batches of different partitions, as [`produce`](Self::produce) does. Those of one broker share a request.
    ///
    /// Returns after the last broker has answered; the answers are in the order of the batches. A caller that groups
    /// batches by [`known_leader`](Self::known_leader) never waits for one broker because of another.
    pub async fn produce_many(&self, batches: &[ToProduce]) -> Vec<Produced> {
        let leaders = join_all(batches.iter().map(|batch| self.leader(&batch.topic, batch.partition))).await;
        let mut requests = Vec::new();
        let mut described = Vec::with_capacity(batches.len());
        let mut produced: Vec<Option<Produced>> = Vec::with_capacity(batches.len());

        for (place, (batch, leader)) in batches.iter().zip(leaders).enumerate() {
            match leader {
                Ok((connection, topic)) => {
                    add(&mut requests, connection, place, batch, self.max_request());
                    described.push(Some(topic));
                    produced.push(None);
                }
                Err(e) => {
                    described.push(None);
                    produced.push(Some(Produced::not_sent(batch.here(e))));
                }
            }
        }

        for (place, outcome) in join_all(requests.into_iter().map(|request| self.carry_out(request))).await.concat() {
            if let Some(Some(topic)) = described.get(place).filter(|_| outcome.is_stale_metadata()) {
                self.forget(topic);
            }
            if let Some(slot) = produced.get_mut(place) {
                *slot = Some(outcome);
            }
        }

        produced
            .into_iter()
            .map(|produced| produced.unwrap_or_else(|| Produced::Unknown(Error::new(Kind::Malformed))))
            .collect()
    }

    async fn carry_out(&self, request: Request<'_>) -> Vec<(usize, Produced)> {
        request.connection.unthrottled().await;
        let sent = match self.send(&request) {
            Ok(sent) => sent,
            Err(e) => return request.each(|batch| Produced::not_sent(batch.here(e.clone()))),
        };
        match sent.wait().await {
            Err(e) => {
                if e.is_closed() && request.batches.len() > 1 {
                    self.shrink_requests(request.size);
                }
                request.each(|batch| Produced::Unknown(batch.here(e.clone())))
            }
            Ok(answer) => request.outcomes(&answer),
        }
    }

    /// Sends the batches of a request without awaiting the answer, so that several can be in flight. Topics are named
    /// by their ids if all have one.
    fn send(&self, request: &Request<'_>) -> Result<Sent<ProduceRequest>, Error> {
        let by_id = request.batches.iter().all(|(_, batch)| !batch.topic.id().is_nil());
        let newest = if by_id { BY_TOPIC_ID } else { BY_TOPIC_ID - 1 };
        let version = request.connection.version_of::<ProduceRequest>()?.min(newest);
        let mut topics: HashMap<&str, TopicProduceData> = HashMap::new();

        for (_, batch) in &request.batches {
            let topic = topics.entry(batch.topic.name()).or_insert_with(|| match version {
                BY_TOPIC_ID.. => TopicProduceData::default().with_topic_id(batch.topic.id()),
                _ => TopicProduceData::default().with_name(topic_name(batch.topic.name())),
            });
            let records = Some(batch.batch.clone());
            topic
                .partition_data
                .push(PartitionProduceData::default().with_index(batch.partition).with_records(records));
        }

        // The broker's timeout is shorter than the client's, because an error code says more than a missing answer.
        let timeout = i32::try_from(self.settings().request_timeout.mul_f32(0.8).as_millis()).unwrap_or(i32::MAX);
        let message = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(timeout)
            .with_topic_data(topics.into_values().collect());
        request.connection.send_as(&message, version, request.size + 64 * request.batches.len())
    }
}

/// Puts a batch into the last request to its broker, or begins one.
fn add<'a>(requests: &mut Vec<Request<'a>>, connection: Connection, place: usize, batch: &'a ToProduce, max: usize) {
    let size = batch.batch.len();
    let open = requests.iter_mut().rev().find(|request| request.connection.is_same(&connection));
    match open {
        Some(request) if request.size + size <= max => {
            request.size += size;
            request.batches.push((place, batch));
        }
        _ => requests.push(Request { connection, size, batches: vec![(place, batch)] }),
    }
}

impl Request<'_> {
    fn each(&self, outcome: impl Fn(&ToProduce) -> Produced) -> Vec<(usize, Produced)> {
        self.batches.iter().map(|(place, batch)| (*place, outcome(batch))).collect()
    }

    fn outcomes(&self, answer: &ProduceResponse) -> Vec<(usize, Produced)> {
        let mut answers = HashMap::new();
        for topic in &answer.responses {
            for partition in &topic.partition_responses {
                // An answer has only one of the two.
                answers.insert((topic.name.as_str(), topic.topic_id, partition.index), partition);
            }
        }
        self.each(|batch| {
            let by_id = answers.get(&("", batch.topic.id(), batch.partition));
            let by_name = || answers.get(&(batch.topic.name(), uuid::Uuid::nil(), batch.partition));
            match by_id.or_else(by_name) {
                Some(answer) => Produced::of_answer(answer, &batch.topic, self.connection.broker()),
                None => {
                    let error = Error::new(Kind::Malformed).by(ProduceRequest::NAME).at(self.connection.broker());
                    Produced::Unknown(batch.here(error))
                }
            }
        })
    }
}
