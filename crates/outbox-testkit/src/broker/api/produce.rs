use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};
use uuid::Uuid;

use super::answer::{text, topic_ref};
use crate::broker::api::Answer;
use crate::broker::cluster::TopicRef;
use crate::broker::faults::{Effect, LateAppend, Place};
use crate::broker::log::{AppendTime, Batch, Refusal};
use crate::broker::shared::Shared;
use crate::broker::wire::request::Request;
use crate::broker::wire::{Api, Malformed};

/// Appends the batches of a request; partitions succeed and fail independently.
pub(super) fn answer(shared: &Arc<Shared>, request: &Request, throttle_ms: i32) -> Result<Answer, Malformed> {
    let produce: ProduceRequest = request.decode()?;
    let adds = Adds::in_version(request.version);
    let mut outcome = Outcome { connection: Connection::Answered, refused: 0, adds };
    let mut responses = Vec::with_capacity(produce.topic_data.len());
    for topic in &produce.topic_data {
        let topic_ref = topic_ref(&topic.name, topic.topic_id);
        let partitions = topic.partition_data.iter();
        let partitions = partitions.map(|data| partition(shared, &produce, topic_ref, data, &mut outcome)).collect();
        responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions),
        );
    }

    shared.announce();
    if outcome.connection == Connection::Closed || (produce.acks == 0 && outcome.refused > 0) {
        return Ok(Answer::Close);
    }
    if produce.acks == 0 {
        return Ok(Answer::Silence);
    }

    let response = ProduceResponse::default().with_responses(responses).with_throttle_time_ms(throttle_ms);
    Ok(Answer::Reply(request.reply(&response)?))
}

/// The outcome of the request as a whole.
struct Outcome {
    connection: Connection,
    refused: usize,
    adds: Adds,
}

/// Whether a request adds partitions to its transaction by itself, as version 12 does (KIP-890).
#[derive(PartialEq, Eq)]
enum Adds {
    Partitions,
    Nothing,
    /// The same as `Nothing`, in the versions before TRANSACTION_ABORTABLE replaced INVALID_TXN_STATE.
    NothingNorAborts,
}

impl Adds {
    fn in_version(version: i16) -> Self {
        match version {
            12.. => Self::Partitions,
            11 => Self::Nothing,
            _ => Self::NothingNorAborts,
        }
    }

    fn renamed(&self, error: ResponseError) -> ResponseError {
        let is_newer = *self != Self::NothingNorAborts && error == ResponseError::InvalidTxnState;
        if is_newer { ResponseError::TransactionAbortable } else { error }
    }
}

#[derive(PartialEq, Eq)]
enum Connection {
    Answered,
    Closed,
}

/// Appends the batch of a partition, and returns its part of the answer. Counts the refusals for the caller.
fn partition(
    shared: &Arc<Shared>,
    produce: &ProduceRequest,
    topic: TopicRef<'_>,
    data: &PartitionProduceData,
    outcome: &mut Outcome,
) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(data.index);
    match append(shared, produce, topic, data, outcome) {
        Ok(Done { base_offset, time, log_start_offset }) => response
            .with_base_offset(base_offset)
            .with_log_append_time_ms(answered_time(shared, time))
            .with_log_start_offset(log_start_offset),
        Err(refusal) => {
            outcome.refused += 1;
            let records = refusal.records.iter().map(|(index, message)| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(*index)
                    .with_batch_index_error_message(Some(text(message)))
            });
            response
                .with_error_code(shared.code(refusal.error))
                .with_base_offset(-1)
                .with_record_errors(records.collect())
                .with_error_message(refusal.message.as_deref().map(text))
        }
    }
}

/// Returns the time that the answer carries. Kafka answers the largest timestamp of a repeated batch in place of the
/// time of the append.
fn answered_time(shared: &Shared, time: AppendTime) -> i64 {
    match time {
        AppendTime::Unstored => -1,
        AppendTime::Stored(now) => now,
        AppendTime::OfRepeated(timestamp) => shared.settings.imitation.repeat_timestamp(timestamp),
    }
}

struct Done {
    base_offset: i64,
    time: AppendTime,
    log_start_offset: i64,
}

/// The answer, which is not sent, because the connection is closed.
const UNANSWERED: Done = Done { base_offset: -1, time: AppendTime::Unstored, log_start_offset: -1 };

/// Appends the batch of one partition, or lets an injected fault happen to it.
fn append(
    shared: &Arc<Shared>,
    produce: &ProduceRequest,
    topic: TopicRef<'_>,
    data: &PartitionProduceData,
    outcome: &mut Outcome,
) -> Result<Done, Refusal> {
    if !matches!(produce.acks, -1..=1) {
        return Err(ResponseError::InvalidRequiredAcks.into());
    }

    let (name, id, config) = shared.read(|cluster| {
        let (name, topic) = cluster.topic(topic)?;
        topic.log(data.index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        Ok::<_, ResponseError>((name.to_owned(), topic.id, topic.config.clone()))
    })?;

    let (effect, rule) = shared.faults.strike(Api::Produce, Place::Partition(&name, data.index)).unzip();
    let happened = || rule.iter().for_each(|rule| rule.happened());
    match effect {
        Some(Effect::Refuse(error)) => {
            happened();
            return Err(error.into());
        }
        Some(Effect::CloseBeforeAppend) => {
            outcome.connection = Connection::Closed;
            happened();
            return Ok(UNANSWERED);
        }
        Some(Effect::CloseAfterAppend | Effect::AppendAfterClose) => outcome.connection = Connection::Closed,
        Some(Effect::OnRequest(_)) | None => {}
    }

    let batch = Batch::parse(data.records.as_deref().unwrap_or_default(), &config.rules(&shared.settings.imitation))?;
    if let Some(producer) = batch.transaction() {
        // Kafka refuses transactional batches of a request without a transactional id as unauthorized.
        let id = produce.transactional_id.as_ref().ok_or(ResponseError::TransactionalIdAuthorizationFailed)?;
        if outcome.adds == Adds::Partitions {
            shared.write(|cluster| cluster.transactions.add(id, producer, [(name.clone(), data.index)].into()))?;
        }
        let checked = shared.read(|cluster| cluster.transactions.check(id, producer, (&name, data.index)));
        checked.map_err(|error| outcome.adds.renamed(error))?;
    }

    if let (Some(Effect::AppendAfterClose), Some(rule)) = (effect, &rule) {
        rule.hold(late_append(shared, id, data.index, batch));
        happened();
        return Ok(UNANSWERED);
    }

    let done = shared.write(|cluster| {
        let (base_offset, time) = cluster.append(id, data.index, batch)?;
        let log_start_offset = cluster.log(TopicRef::Id(id), data.index)?.start();
        Ok::<_, ResponseError>(Done { base_offset, time, log_start_offset })
    });
    happened();
    done.map_err(Refusal::from)
}

/// Returns a deferred append of a batch. It fails if the broker or the topic does not exist any more.
fn late_append(shared: &Arc<Shared>, topic: Uuid, partition: i32, batch: Batch) -> LateAppend {
    let broker = Arc::downgrade(shared);
    LateAppend::new(topic, partition, move || {
        let broker = broker.upgrade().ok_or(ResponseError::BrokerNotAvailable)?;
        let (base_offset, _time) = broker.write(|cluster| cluster.append(topic, partition, batch))?;
        broker.announce();
        Ok(base_offset)
    })
}
