use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use super::inbox::{Inbox, Task};
use super::report::{Answer, Report};
use crate::progress::{Arrival, Outcome, PartitionId};
use crate::status::RelayStatus;
use outbox_kafka::{Cluster, Compression, Produced, ToProduce};

/// The task that sends the produce requests of one broker.
pub(super) struct BrokerSender {
    requests: UnboundedSender<Vec<Sending>>,
    /// How many requests have no answer yet.
    open: usize,
    _task: Task,
}

/// A batch on its way, with the span that its outcome is recorded in.
pub(super) struct Sending {
    pub(super) id: PartitionId,
    pub(super) batch: ToProduce,
    pub(super) compression: Compression,
    pub(super) span: tracing::Span,
}

/// Produce requests to one broker at once. It handles them one after the other; the second hides the network's delay.
const REQUESTS: usize = 2;

impl BrokerSender {
    /// Starts the task. `None` stands for the broker of partitions whose leader is not known.
    pub(super) fn start(broker: Option<i32>, cluster: Arc<Cluster>, status: RelayStatus, inbox: &Inbox) -> Self {
        let (requests, queue) = mpsc::unbounded_channel();
        let task = send(broker, queue, cluster, status, inbox.clone());
        Self { requests, open: 0, _task: inbox.spawn(task) }
    }

    pub(super) fn has_room(&self) -> bool {
        self.open < REQUESTS
    }

    /// Sends batches with one request.
    pub(super) fn send(&mut self, sendings: Vec<Sending>) {
        self.open += 1;
        _ = self.requests.send(sendings);
    }

    /// Takes the end of a request.
    pub(super) fn answered(&mut self) {
        self.open = self.open.saturating_sub(1);
    }
}

async fn send(
    broker: Option<i32>,
    mut requests: UnboundedReceiver<Vec<Sending>>,
    cluster: Arc<Cluster>,
    status: RelayStatus,
    inbox: Inbox,
) {
    let mut open = FuturesUnordered::new();
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(sendings) => open.push(produce(&cluster, sendings, &status)),
                None => return,
            },
            Some(answers) = open.next(), if !open.is_empty() => inbox.send(Report::Produced { broker, answers }),
        }
    }
}

async fn produce(cluster: &Cluster, sendings: Vec<Sending>, status: &RelayStatus) -> Vec<Answer> {
    let began = Instant::now();
    let (batches, rest): (Vec<_>, Vec<_>) =
        sendings.into_iter().map(|sending| (sending.batch, (sending.id, sending.compression, sending.span))).unzip();
    let produced = cluster.produce_many(&batches).await;
    status.produced_in(began.elapsed());

    let answers = produced.into_iter().zip(batches).zip(rest).map(|((produced, batch), (id, compression, span))| {
        let (outcome, error) = outcome(produced, &span);
        Answer { id, topic: batch.topic, partition: batch.partition, compression, outcome, error }
    });
    answers.collect()
}

fn outcome(produced: Produced, span: &tracing::Span) -> (Outcome, Option<outbox_kafka::Error>) {
    match produced {
        Produced::Appended { base_offset, time } => {
            span.record("base_offset", base_offset);
            span.in_scope(|| tracing::debug!(target: "outbox.relay", "appended"));
            let arrival = if time.is_none() { Arrival::Now } else { Arrival::NowOrBefore };
            (Outcome::Appended { base_offset, arrival }, None)
        }
        Produced::Duplicate | Produced::OutOfOrderSequence => (Outcome::OutOfOrder, None),
        Produced::InvalidEpoch => (Outcome::InvalidEpoch, None),
        Produced::Rejected { error, records } => {
            let rows = records.iter().filter_map(|record| usize::try_from(record.index).ok()).collect();
            (Outcome::Rejected { rows }, Some(error))
        }
        Produced::Retriable(error) => (Outcome::NotAppended, Some(error)),
        Produced::Unknown(error) => (Outcome::Unknown, Some(error)),
    }
}
