use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use outbox_core::Pipeline;
use outbox_core::layout::{ColumnValue, EventField};
use outbox_core::record::Record;

use super::encoded::Encoded;
use crate::error::Error;
use crate::position::Position;
use crate::progress::Poison;
use crate::rows::{RawRow, TableRow};
use crate::settings::PoisonPolicy;
use outbox_net::ErrorChain;

/// Rows that can never be written to their topic, until they are written to the dead-letter topic.
pub struct DeadLetters {
    topic: Option<String>,
    /// The dead letters of rows without a record, until it is their turn. Without a topic there is only the error.
    unwritable: HashMap<Position, (Option<Record>, Error)>,
    due: VecDeque<(Poison<Encoded>, Record)>,
}

/// Headers with the reason why a record is a dead letter, and its original topic.
const REASON: &str = "outbox.dead-letter.reason";
const TOPIC: &str = "outbox.dead-letter.topic";

impl DeadLetters {
    pub fn new(policy: &PoisonPolicy) -> Self {
        let topic = match policy {
            PoisonPolicy::DeadLetter(topic) => Some(topic.clone()),
            PoisonPolicy::Stop => None,
        };
        Self { topic, unwritable: HashMap::new(), due: VecDeque::new() }
    }

    /// Keeps the values of a row without a record, with the usual header `id`.
    pub fn keep(&mut self, position: Position, row: &TableRow, error: Error) {
        let record = self.topic.as_ref().map(|topic| record_of(topic, row));
        self.unwritable.insert(position, (record, error));
    }

    /// Keeps, as [`keep`](Self::keep) does, a row that has a record.
    pub fn keep_record(&mut self, position: Position, record: Encoded, error: Error) {
        let record = self.topic.as_ref().map(|topic| record.into_record(topic));
        self.unwritable.insert(position, (record, error));
    }

    /// Keeps, as [`keep`](Self::keep) does, a row that cannot be read: its columns' texts as one JSON object.
    pub fn keep_raw(&mut self, pipeline: &Pipeline, position: Position, row: &RawRow, error: Error) {
        let record = self.topic.as_ref().map(|topic| raw_record_of(topic, pipeline, row));
        self.unwritable.insert(position, (record, error));
    }

    /// Returns whether this is the topic for dead letters.
    pub fn is_for(&self, topic: &str) -> bool {
        self.topic.as_deref() == Some(topic)
    }

    /// Queues a row that is next in order. Fails with the reason if there is no dead-letter topic, or if that topic
    /// rejects the row too.
    pub fn add(&mut self, mut poison: Poison<Encoded>, refused_by: Option<&str>, refusal: Error) -> Result<(), Error> {
        let kept = self.unwritable.remove(&poison.position);
        let topic = self.topic.as_deref().filter(|topic| refused_by != Some(topic));
        let (mut record, error) = match (topic, poison.refused.take(), kept) {
            (Some(topic), Some((_, encoded)), _) => (encoded.into_record(topic), refusal),
            (Some(_), None, Some((Some(record), error))) => (record, error),
            (None, None, Some((_, error))) => return Err(error),
            _ => return Err(refusal),
        };
        tracing::error!(
            target: "outbox.relay", event = %poison.event, commit = %poison.position.commit, index = poison.position.index,
            topic = &*record.topic, error = %ErrorChain::new(&error), "row dead-lettered"
        );

        record.headers.push((REASON.into(), Some(Bytes::from(ErrorChain::new(&error).to_string()))));
        if let Some(refused_by) = refused_by {
            record.headers.push((TOPIC.into(), Some(Bytes::from(refused_by.to_owned()))));
        }

        self.due.push_back((poison, record));
        Ok(())
    }

    /// Returns the next dead letter, with its record for the topic.
    pub fn next(&mut self) -> Option<(Poison<Encoded>, Record)> {
        self.due.pop_front()
    }
}

fn record_of(topic: &str, row: &TableRow) -> Record {
    let mut record = Record::new(topic);
    for (column, value) in row.pipeline.layout().columns().iter().zip(row.row.values()) {
        match (column.field(), value) {
            (Some(EventField::Id), ColumnValue::Uuid(id)) => id_header(&mut record, id.to_string()),
            (Some(EventField::Id), ColumnValue::Integer(id)) => id_header(&mut record, id.to_string()),
            (Some(EventField::Id), ColumnValue::Text(id)) => id_header(&mut record, id.clone()),
            (Some(EventField::AggregateId), ColumnValue::Text(key)) => record.key = Some(Bytes::from(key.clone())),
            (Some(EventField::Payload), ColumnValue::Text(text)) => record.value = Some(Bytes::from(text.clone())),
            (Some(EventField::Payload), ColumnValue::Bytes(bytes)) => record.value = Some(bytes.clone()),
            (Some(field @ (EventField::AggregateType | EventField::EventType)), ColumnValue::Text(text)) => {
                let name = if field == EventField::EventType { "event_type" } else { "aggregate_type" };
                record.headers.push((name.into(), Some(Bytes::from(text.clone()))));
            }
            _ => {}
        }
    }
    record
}

fn raw_record_of(topic: &str, pipeline: &Pipeline, row: &RawRow) -> Record {
    let mut record = Record::new(topic);
    record.value = Some(Bytes::from(row.to_json()));
    for column in pipeline.layout().columns() {
        let Some(text) = row.get(column.name().as_str()) else { continue };
        match column.field() {
            Some(EventField::Id) => id_header(&mut record, text.to_owned()),
            Some(EventField::AggregateId) => record.key = Some(Bytes::from(text.to_owned())),
            _ => {}
        }
    }
    record
}

fn id_header(record: &mut Record, id: String) {
    record.headers.push(("id".into(), Some(id.into())));
}
