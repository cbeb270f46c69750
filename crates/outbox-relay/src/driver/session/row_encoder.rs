use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use outbox_core::Pipeline;
use outbox_core::connector::DroppedBy;
use outbox_core::layout::EventField;
use outbox_core::record::{Record, event_identity};
use outbox_core::uuid::Uuid;

use super::encoded::Encoded;
use super::topics::{Destination, IllegalDestination, Topics};
use crate::error::Error;
use crate::position::{Origin, Position, RowPosition};
use crate::progress::PartitionId;
use crate::rows::{RawRow, TableRow};
use crate::settings::ContextHeaders;
use crate::status::RelayStatus;
use outbox_net::ErrorChain;

/// Encodes rows as records, and chooses their destinations.
pub struct RowEncoder {
    /// The pipeline over one of the tables. All tables have the same options.
    pipeline: Pipeline,
    origin: Arc<Origin>,
    context_headers: Option<ContextHeaders>,
    status: RelayStatus,
    /// The timestamp of records whose row has none.
    now: SystemTime,
}

/// A row with its record, or with the reason why it has none.
pub enum EncodedRow {
    Record {
        event: Uuid,
        partition: PartitionId,
        record: Encoded,
    },
    WithoutTopic {
        event: Uuid,
        topic: Box<str>,
        named: Option<i32>,
        record: Encoded,
    },
    /// A transformation of the connector drops it.
    Dropped(DroppedBy),
    Unwritable {
        event: Uuid,
        error: Error,
    },
}

impl RowEncoder {
    pub fn new(
        pipeline: Pipeline,
        origin: Arc<Origin>,
        context_headers: Option<ContextHeaders>,
        status: RelayStatus,
    ) -> Self {
        Self { pipeline, origin, context_headers, status, now: UNIX_EPOCH }
    }

    /// Sets the time of the rows that follow.
    pub fn set_time(&mut self, now: SystemTime) {
        self.now = now;
    }

    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Encodes a row.
    pub fn encode(&self, position: Position, row: &TableRow, topics: &Topics) -> EncodedRow {
        let TableRow { pipeline, row: values } = row;
        let Some(event) = pipeline.event_id(values) else {
            let error = self.poison(position, None, "it has no id");
            return EncodedRow::Unwritable { event: Uuid::nil(), error };
        };
        let mut record = match pipeline.encode_lossless(values) {
            Ok((record, why)) => {
                if let Some(why) = why {
                    let why = ErrorChain::new(&why);
                    tracing::warn!(target: "outbox.relay", %event, %why, "payload written as it is stored");
                    self.status.stored_as_it_was();
                }
                record
            }
            Err(e) => {
                if let Some(by) = e.dropped_by() {
                    return EncodedRow::Dropped(by);
                }
                let error = self.poison(position, Some(event), "it has no record").caused_by(e);
                return EncodedRow::Unwritable { event, error };
            }
        };

        if let Some(context) = &self.context_headers {
            _ = record.headers.splice(..0, context.iter().map(|(name, value)| (name, Some(value.into()))));
        }

        let named = record.partition;
        match topics.destination(&record.topic, named, record.key.as_deref(), event.as_bytes()) {
            Destination::Partition(partition) => {
                let record = Encoded::new(record, &self.origin, (position, event), self.now);
                EncodedRow::Record { event, partition, record }
            }
            Destination::Unknown => {
                let topic = record.topic.as_str().into();
                let record = Encoded::new(record, &self.origin, (position, event), self.now);
                EncodedRow::WithoutTopic { event, topic, named, record }
            }
            Destination::Illegal(illegal) => {
                EncodedRow::Unwritable { event, error: self.illegal(position, event, illegal) }
            }
        }
    }

    /// Encodes the record of a dead letter.
    pub fn encode_dead_letter(&self, position: Position, record: &Record) -> Encoded {
        Encoded::new(record.borrowed(), &self.origin, (position, Uuid::nil()), self.now)
    }

    /// Returns the id of an event whose row cannot be read, if the row's text contains it.
    pub fn event_of(&self, raw: &RawRow) -> Option<Uuid> {
        let columns = self.pipeline.layout().columns();
        let id = columns.iter().find(|column| column.field() == Some(EventField::Id))?;
        event_identity("", raw.get(id.name().as_str())?.as_bytes())
    }

    /// Returns the error of a row that can never be written.
    pub fn poison(&self, position: Position, event: Option<Uuid>, reason: impl Into<String>) -> Error {
        Error::poison(RowPosition::new(Origin::clone(&self.origin), position), event, reason)
    }

    /// Returns the error of a row whose record has no legal destination.
    pub fn illegal(&self, position: Position, event: Uuid, illegal: IllegalDestination) -> Error {
        let error = self.poison(position, Some(event), illegal.reason);
        match illegal.cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }
}
