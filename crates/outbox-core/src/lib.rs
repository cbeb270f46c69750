//! Events, the enqueue API and the one model of a Debezium outbox pipeline. No I/O happens here.
//!
//! - [`OutboxEvent`] is an event as a producer builds it; [`DomainEvent`](trait@DomainEvent) is its typed form, shared
//!   with the consumer: `#[derive(DomainEvent)]` on a struct, or on an enum of an aggregate's events.
//! - [`Outbox`] is where a service puts events, within its own transaction. `outbox-pg` and `outbox-sqlx` implement it
//!   on PostgreSQL; [`RecordingOutbox`] is for tests.
//! - [`Pipeline`] is a connector's configuration ([`ConnectorConfig`]) and the table that it reads ([`TableLayout`]),
//!   free of contradictions. It encodes a row as Debezium's EventRouter does and decodes every form of record.
//!
//! ```
//! use outbox_core::{Decoded, DomainEvent, OutboxEvent, Pipeline};
//!
//! #[derive(DomainEvent, serde::Serialize)]
//! #[event(aggregate_type = "order")]
//! struct OrderCreated {
//!     #[event(aggregate_id)]
//!     order_id: i64,
//!     quantity: i32,
//! }
//!
//! let pipeline = Pipeline::recommended();
//! let event = OutboxEvent::of(&OrderCreated { order_id: 42, quantity: 2 }).build()?;
//!
//! let row = pipeline.row(&event)?; // what `enqueue` stores
//! let record = pipeline.encode(&row)?; // what Debezium and the relay write
//! assert_eq!(record.topic, "outbox.events.order");
//! assert_eq!(record.key.as_deref(), Some(&b"42"[..]));
//!
//! let Decoded::Event(found) = pipeline.decode(record)? else { panic!("the record is an event") };
//! assert_eq!(found.id, event.id().as_uuid());
//! # Ok::<(), outbox_core::Error>(())
//! ```
//!
//! # Errors
//!
//! [`Error`] is one opaque type. [`Error::is_invalid_event`] means that an event breaks a rule: nothing was sent.
//! [`Error::is_configuration`] means that configuration and table contradict each other, and [`Error::contradictions`]
//! lists all contradictions. If the store failed, the source is a [`StoreFailure`].
//!
//! # Features
//!
//! - `derive`, on by default: the macros `DomainEvent` and `IncomingEvent`.
//! - `tracing-opentelemetry`: takes the traceparent of an event from the current span, and continues a trace in a
//!   handler.

mod connector;
mod domain_event;
mod error;
mod event;
mod insert;
mod json;
mod json_fault;
mod layout;
mod message_content;
mod on_duplicate;
mod outbox;
mod pipeline;
mod record;
mod recorder;
mod statement_caching;
mod store_failure;

pub use bytes;
#[cfg(feature = "derive")]
pub use outbox_derive::{DomainEvent, IncomingEvent};
pub use time;
pub use uuid;

pub use self::connector::{
    ConnectorConfig, DroppedBy, HeartbeatRecord, IncludedMessages, IncludedTables, RowDisposition,
};
pub use self::domain_event::{DomainEvent, EventKind, IncomingEvent};
pub use self::error::{Error, StoreFault};
pub use self::event::{
    AggregateId, AggregateType, CausationId, ContentType, CorrelationId, EventBuilder, EventId, EventType, Headers,
    JsonText, OutboxEvent, Payload, RecordKey, Traceparent, Tracestate,
};
pub use self::insert::InsertSql;
pub use self::layout::{
    Column, ColumnType, ColumnValue, EventField, Identifier, Nullability, Row, RowLife, TableLayout,
};
pub use self::message_content::{MessageContent, MessageReader};
pub use self::on_duplicate::{Enqueued, OnDuplicate};
pub use self::outbox::Outbox;
pub use self::pipeline::{Loss, Pipeline, PipelineBuilder};
pub use self::record::{
    DecodeHints, Decoded, DecodedEvent, DecodedPayload, Encoded, NotAnEvent, Record, RecordParts, RecordRef, ShortText,
    Utf8Bytes, event_identity,
};
pub use self::recorder::RecordingOutbox;
pub use self::statement_caching::StatementCaching;
pub use self::store_failure::StoreFailure;
