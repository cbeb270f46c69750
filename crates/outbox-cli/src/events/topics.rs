//! The topics of an outbox, and the records in them.

use std::ops::ControlFlow;

use clap::Args;
use outbox_core::Pipeline;
use outbox_core::event::AggregateType;
use outbox_core::record::event_identity;
use outbox_core::time::OffsetDateTime;
use outbox_core::time::format_description::well_known::Rfc3339;
use outbox_core::uuid::Uuid;
use outbox_kafka_consumer::outbox_kafka::{Cluster, Entry, TailStart};

use crate::exit::Failure;

/// The topics of an outbox that keeps no rows.
#[derive(Args)]
#[group(skip)]
pub(crate) struct Topics {
    /// Read this topic if no row names one; may be repeated
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Read the topic of this aggregate type if no row names one; may be repeated
    #[arg(long = "aggregate-type", value_name = "TYPE")]
    aggregate_types: Vec<String>,
}

impl Topics {
    pub(super) fn names(self, pipeline: &Pipeline) -> Result<Vec<String>, Failure> {
        let of_types = match self.aggregate_types.is_empty() {
            true => Vec::new(),
            false => of_types(pipeline, &self.aggregate_types)?,
        };
        Ok(self.topics.into_iter().chain(of_types).collect())
    }
}

/// Returns the topics of aggregate types.
pub(super) fn of_types(pipeline: &Pipeline, types: &[String]) -> Result<Vec<String>, Failure> {
    let topic = |name: &String| -> Result<String, Failure> {
        let no_topic = |e: &(dyn std::error::Error + 'static)| {
            Failure::usage(format!("the aggregate type {name} has no topic: give --topic")).caused_by(e)
        };
        let ty: AggregateType = name.parse().map_err(|e| no_topic(&e))?;
        pipeline.topic(&ty).map_err(|e| no_topic(&e))
    };
    let mut topics = types.iter().map(topic).collect::<Result<Vec<_>, _>>()?;
    topics.sort_unstable();
    topics.dedup();

    match topics.is_empty() {
        true => Err(Failure::usage("the table has no rows that name topics: give --topic or --aggregate-type")),
        false => Ok(topics),
    }
}

/// Returns the failure of a command that needs topics, which no row names.
pub(super) fn no_topics() -> Failure {
    Failure::usage("no rows are kept that name topics: give --topic or --aggregate-type")
}

/// The header that the relay writes, with the row's position in the WAL.
const WAL_POSITION: &[u8] = b"outbox.position";

/// The place of an event's record.
#[derive(Clone, Debug)]
pub(super) struct RecordPlace {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// In milliseconds since 1970.
    pub(super) timestamp: i64,
    /// The row's position in the WAL, if the relay wrote the record.
    pub(super) wal_position: Option<String>,
    /// The record's key, which is the aggregate's id unless the configuration has another one.
    pub(super) key: String,
}

impl RecordPlace {
    /// Returns the time of the record in RFC 3339.
    pub(super) fn time(&self) -> String {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.timestamp) * 1_000_000);
        at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
    }
}

/// Calls a visitor with the events of a topic, by partition and offset. A topic that does not exist has none.
pub(super) async fn read_records(
    cluster: &Cluster,
    name: &str,
    mut visitor: impl FnMut(Uuid, RecordPlace) + Send,
) -> Result<(), Failure> {
    let unread = |e| Failure::server(format!("the topic {name} cannot be read")).caused_by(&e);
    let Some(topic) = cluster.refreshed(name).await.map_err(unread)? else { return Ok(()) };

    for partition in 0..topic.partitions() {
        let visit = |entry: Entry<'_>| {
            if let Entry::Record(_, record) = entry
                && let Some((_, Some(id))) = record.headers().find(|(header, _)| *header == b"id")
                && let Some(id) = event_identity(name, id)
            {
                let position =
                    record.headers().find(|(header, _)| *header == WAL_POSITION).and_then(|(_, value)| value);
                let wal_position = position.map(|value| String::from_utf8_lossy(value).into_owned());
                let key = record.key.map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default();
                visitor(
                    id,
                    RecordPlace { partition, offset: record.offset, timestamp: record.timestamp, wal_position, key },
                );
            }
            ControlFlow::Continue(())
        };
        cluster.read_tail(&topic, partition, TailStart::Offset(0), u64::MAX, visit).await.map_err(unread)?;
    }
    Ok(())
}
