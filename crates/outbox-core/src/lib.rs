//! Events, the enqueue API and the one model of a Debezium outbox pipeline. No I/O happens here.
//!
//! - [`OutboxEvent`] is what a producer says; [`DomainEvent`] is its typed form, shared with the consumer.
//! - [`Outbox`] is where a service puts events, within its own transaction. `outbox-pg` implements it on PostgreSQL;
//!   [`RecordingOutbox`] is for tests.
//! - [`Pipeline`] is a connector's configuration ([`ConnectorConfig`]) and the table that it reads ([`TableLayout`]),
//!   free of contradictions. It encodes a row as Debezium's EventRouter does and decodes every form of record.

mod connector;
mod domain_event;
mod error;
mod event;
mod insert;
mod json;
mod json_fault;
mod layout;
mod message_content;
mod outbox;
mod pipeline;
mod record;
mod recorder;
mod repeated;
mod store_failure;

pub use bytes;
pub use time;
pub use uuid;

pub use self::connector::{ConnectorConfig, IncludedMessages, IncludedTables, RowDisposition};
pub use self::domain_event::{DomainEvent, IncomingEvent};
pub use self::error::{Error, StoreFault};
pub use self::event::{
    AggregateId, AggregateType, CausationId, ContentType, CorrelationId, EventBuilder, EventId, EventType, Headers,
    JsonText, OutboxEvent, Payload, Traceparent,
};
pub use self::insert::InsertSql;
pub use self::layout::{
    Column, ColumnType, ColumnValue, EventField, Identifier, Nullability, Row, RowLife, TableLayout,
};
pub use self::message_content::{MessageContent, MessageReader};
pub use self::outbox::Outbox;
pub use self::pipeline::{Loss, Pipeline};
pub use self::record::{
    DecodeHints, Decoded, DecodedEvent, DecodedPayload, Encoded, NotAnEvent, Record, RecordParts, RecordRef, ShortText,
    Utf8Bytes, event_identity,
};
pub use self::recorder::RecordingOutbox;
pub use self::repeated::{Enqueued, Repeated};
pub use self::store_failure::StoreFailure;
