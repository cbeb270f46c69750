use std::fmt;

use outbox_core::Error;
use outbox_core::bytes::Bytes;
use outbox_core::record::Record;
use outbox_core::uuid::Uuid;

use crate::batch::Logged;
use crate::reader::{PARTITIONS, text_of};
use crate::stand_in::PREFIX;

/// The beginning of the names of the connector's own headers.
const CONTEXT: &str = "__debezium.context.";

/// A difference between Debezium's record and the pipeline's.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) reader: String,
    pub(crate) event: String,
    pub(crate) part: &'static str,
    pub(crate) debezium: String,
    pub(crate) pipeline: String,
}

impl Difference {
    pub(crate) fn new(
        reader: &str,
        event: &str,
        part: &'static str,
        debezium: &dyn fmt::Debug,
        pipeline: &dyn fmt::Debug,
    ) -> Self {
        let event = event.rsplit('-').next().unwrap_or_default().trim_start_matches('0').to_owned();
        Self {
            reader: reader.into(),
            event,
            part,
            debezium: format!("{debezium:?}"),
            pipeline: format!("{pipeline:?}"),
        }
    }
}

impl fmt::Debug for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reader, event, part, debezium, pipeline } = self;
        write!(f, "{reader}, row {event}, {part}:\n  Debezium {debezium}\n  pipeline {pipeline}")
    }
}

pub(crate) fn compare(reader: &str, id: &str, expected: Result<&Record, &Error>, found: &[Logged]) -> Vec<Difference> {
    let differs = |part, debezium: &dyn fmt::Debug, pipeline: &dyn fmt::Debug| {
        Difference::new(reader, id, part, debezium, pipeline)
    };
    let (expected, found) = match (expected, found) {
        (Ok(expected), [found]) => (expected, &found.record),
        (Err(_), []) => return vec![],
        (Err(error), found) => {
            return vec![differs("record", &found.iter().map(|f| shown(&f.record)).collect::<Vec<_>>(), error)];
        }
        (Ok(expected), []) => return vec![differs("record", &"none", &shown(expected))],
        (Ok(_), more) => return vec![differs("records", &more.len(), &1)],
    };

    let mut differences = vec![];
    let mut check = |part, debezium: &dyn fmt::Debug, pipeline: &dyn fmt::Debug| {
        if format!("{debezium:?}") != format!("{pipeline:?}") {
            differences.push(differs(part, debezium, pipeline));
        }
    };

    check("topic", &found.topic, &expected.topic);
    check("key", &found.key, &expected.key);
    check("value", &text(found.value.as_ref()), &text(expected.value.as_ref()));

    // The connector's own headers are not the pipeline's.
    let headers: Vec<_> = found.headers.iter().filter(|(name, _)| !name.starts_with(CONTEXT)).collect();
    check("headers", &headers, &expected.headers);

    if expected.timestamp.is_some() {
        check("timestamp", &found.timestamp, &expected.timestamp);
    }

    if let Some(partition) = expected.partition.or_else(|| expected.key.as_ref().map(|key| partition_of(key))) {
        check("partition", &found.partition, &Some(partition));
    }
    differences
}

/// Compares the relay's record of an event with Debezium's. Its position comes on top; without a timestamp's column
/// both take their clocks, and a record without a key goes where each wants.
pub(crate) fn compare_relayed(
    reader: &str,
    id: &str,
    pipeline: &Record,
    debezium: &Logged,
    relayed: &[Logged],
) -> Option<Difference> {
    let shown = |logged: &Logged| {
        let mut record = logged.record.clone();
        record.topic = record.topic.trim_start_matches(PREFIX).to_owned();
        record.headers.retain(|(name, _)| name != "outbox.position");
        for (name, value) in &mut record.headers {
            // Each run has another id.
            if *name == format!("{CONTEXT}runId")
                && value.as_deref().is_some_and(|id| text_of(id).parse::<Uuid>().is_ok())
            {
                *value = Some("a run's id".into());
            }
        }

        record.partition = record.key.as_ref().map(|_| logged.partition);
        let place = (record.topic.clone(), record.partition);
        let timestamp = record.timestamp.filter(|_| pipeline.timestamp.is_some());
        (place, record.key, text(record.value.as_ref()), record.headers, timestamp)
    };

    let [one] = relayed else {
        return Some(Difference::new(reader, id, "the relay's records", &1, &relayed.len()));
    };
    let (debezium, relayed) = (shown(debezium), shown(one));
    (debezium != relayed).then(|| Difference::new(reader, id, "the relay's record", &debezium, &relayed))
}

fn shown(record: &Record) -> String {
    format!("{:?} = {:?}, {:?}", record.key, text(record.value.as_ref()), record.headers)
}

fn text(value: Option<&Bytes>) -> Option<String> {
    value.map(|bytes| bytes.escape_ascii().to_string())
}

/// Returns the partition by Kafka's murmur2 of the key.
pub(crate) fn partition_of(key: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(key.len()).unwrap();
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }

    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^= hash >> 15;
    (hash & 0x7fff_ffff).cast_signed() % PARTITIONS
}
