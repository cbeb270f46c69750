use std::ops::ControlFlow;
use std::sync::Arc;

use outbox_core::Pipeline;
use outbox_core::record::{Decoded, DecodedEvent, DecodedPayload, RecordParts, ShortText};
use outbox_core::time::OffsetDateTime;
use outbox_core::time::format_description::well_known::Rfc3339;

use outbox_kafka_consumer::outbox_kafka::{
    Cluster, FetchLimits, Fetched, Fetcher, OffsetAt, PartitionStream, Record, Topic,
};
use outbox_net::ErrorChain;
use tokio::sync::mpsc;

use super::event::{Begin, Place, Printer, TailedEvent};
use crate::exit::Failure;
use crate::output::notice;

/// The records that wait to be printed.
const WAITING: usize = 100;

/// The part of each topic that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    /// All partitions without it.
    pub(super) partition: Option<i32>,
    pub(super) begin: Begin,
    /// Whether the reading ends at the present ends of the partitions.
    pub(super) ends: bool,
}

/// Prints the records of topics as they arrive. The order is that of each partition.
pub(super) async fn tail(
    cluster: Cluster,
    pipeline: &Pipeline,
    topics: &[String],
    range: Range,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let limits = FetchLimits { budget: 16 << 20, ..FetchLimits::default() };
    let fetcher = Fetcher::new(Arc::new(cluster), limits);
    let (sender, mut records) = mpsc::channel(WAITING);
    for name in topics {
        let topic = fetcher.cluster().refreshed(name).await.map_err(|e| unread(name, &e))?;
        let topic = topic.ok_or_else(|| Failure::not_found(format!("the topic {name} does not exist")))?;
        let partitions = match range.partition {
            Some(partition) if partition < 0 || partition >= topic.partitions() => {
                return Err(Failure::not_found(format!("the topic {name} has no partition {partition}")));
            }
            Some(partition) => partition..partition + 1,
            None => 0..topic.partitions(),
        };

        for partition in partitions {
            let reader = Reader::open(&fetcher, &topic, partition, range).await?;
            tokio::spawn(reader.run(sender.clone()));
        }
    }
    drop(sender);

    while let Some(read) = records.recv().await {
        let Read { topic, partition, record } = read?;
        if printer.print(decoded(pipeline, topic.name(), partition, &record))?.is_break() {
            break;
        }
    }
    Ok(())
}

/// A record, or the failure that ended the reading of its partition.
struct Read {
    topic: Arc<Topic>,
    partition: i32,
    record: Record,
}

/// Reads one partition.
struct Reader {
    cluster: Arc<Cluster>,
    topic: Arc<Topic>,
    partition: i32,
    stream: PartitionStream,
    /// The offset at which the reading ends.
    end: Option<i64>,
}

impl Reader {
    async fn open(fetcher: &Fetcher, topic: &Arc<Topic>, partition: i32, range: Range) -> Result<Self, Failure> {
        let cluster = Arc::clone(fetcher.cluster());
        let offset = async |at| cluster.list_offsets(topic, partition, at).await.map_err(|e| unread(topic.name(), &e));
        let end = offset(OffsetAt::LastStable).await?;
        let start = match range.begin {
            Begin::End => end,
            Begin::Offset(offset) => offset,
            Begin::Beginning => offset(OffsetAt::Earliest).await?,
            Begin::Last(count) => {
                let wanted = end.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX));
                wanted.max(offset(OffsetAt::Earliest).await?)
            }
        };
        let stream = fetcher.open(topic, partition, start);
        Ok(Self { cluster, topic: Arc::clone(topic), partition, stream, end: range.ends.then_some(end) })
    }

    /// Sends the records, until the end or until the receiver is closed.
    async fn run(mut self, sender: mpsc::Sender<Result<Read, Failure>>) {
        while self.end.is_none_or(|end| self.stream.position() < end) {
            let sent = match self.next().await {
                Ok(records) => self.send(records, &sender).await,
                Err(failure) => {
                    _ = sender.send(Err(failure)).await;
                    ControlFlow::Break(())
                }
            };
            if sent.is_break() {
                return;
            }
        }
    }

    async fn send(&self, records: Vec<Record>, sender: &mpsc::Sender<Result<Read, Failure>>) -> ControlFlow<()> {
        for record in records {
            if self.end.is_some_and(|end| record.offset() >= end) {
                return ControlFlow::Break(());
            }
            let read = Read { topic: Arc::clone(&self.topic), partition: self.partition, record };
            if sender.send(Ok(read)).await.is_err() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Reads the next records. If retention has removed some, it continues with the first one that is left.
    async fn next(&mut self) -> Result<Vec<Record>, Failure> {
        let name = self.topic.name();
        match self.stream.next().await.map_err(|e| unread(name, &e))? {
            Fetched::Records { records, .. } => Ok(records),
            Fetched::OutOfRange => {
                let first = self.cluster.list_offsets(&self.topic, self.partition, OffsetAt::Earliest).await;
                let first = first.map_err(|e| unread(name, &e))?;
                if first <= self.stream.position() {
                    let (partition, offset) = (self.partition, self.stream.position());
                    let message =
                        format!("partition {partition} of the topic {name} does not have the offset {offset} yet");
                    return Err(Failure::not_found(message));
                }
                self.stream.seek(first);
                Ok(Vec::new())
            }
            Fetched::Unreadable(unreadable) => {
                let (partition, reason) = (self.partition, ErrorChain::new(&unreadable));
                notice(&format!("warning: partition {partition} of the topic {name}: {reason}"));
                self.stream.seek(unreadable.offset + 1);
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }
}

fn unread(topic: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::server(format!("the topic {topic} cannot be read")).caused_by(error)
}

fn decoded(pipeline: &Pipeline, topic: &str, partition: i32, record: &Record) -> TailedEvent {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(record.timestamp()) * 1_000_000);
    let at = at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
    let place = Place::Record { topic: topic.to_owned(), partition, offset: record.offset() };
    let event = TailedEvent { at, place, ..TailedEvent::default() };

    let mut parts = RecordParts::new(topic, record.headers());
    (parts.key, parts.value, parts.timestamp) = (record.key(), record.value_bytes(), Some(record.timestamp()));
    match pipeline.decode_parts(parts) {
        Ok(Decoded::Event(decoded)) => with_parts(event, *decoded),
        Ok(_) => TailedEvent { error: Some("no event of the outbox".to_owned()), ..event },
        Err(error) => TailedEvent { error: Some(ErrorChain::new(&error).to_string()), ..event },
    }
}

fn with_parts(event: TailedEvent, decoded: DecodedEvent) -> TailedEvent {
    let text = |part: Option<ShortText>| part.map(|text| text.to_string());
    TailedEvent {
        id: Some(decoded.id_text.map_or_else(|| decoded.id.to_string(), |id| id.to_string())),
        aggregate_type: text(decoded.aggregate_type),
        aggregate_id: text(decoded.aggregate_id),
        event_type: text(decoded.event_type),
        payload: match &decoded.payload {
            DecodedPayload::Empty => None,
            payload => Some(String::from_utf8_lossy(payload.as_bytes()).into_owned()),
        },
        ..event
    }
}
