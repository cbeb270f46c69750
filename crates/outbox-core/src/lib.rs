//! Events, the enqueue API and the one model of a Debezium outbox pipeline. No I/O happens here.
//!
//! - [`OutboxEvent`] is an event as a producer builds it; [`DomainEvent`](trait@DomainEvent) is its typed form, shared
//!   with the consumer: `#[derive(DomainEvent)]` on a struct, or on an enum of an aggregate's events.
//! - [`Outbox`] enqueues events in a transaction of the service. `outbox-pg` and `outbox-sqlx` implement it on
//!   PostgreSQL; [`RecordingOutbox`] is for tests.
//! - [`Pipeline`] is a connector's configuration ([`ConnectorConfig`]) and the table that it reads ([`TableLayout`]),
//!   free of contradictions. It encodes a row as Debezium's EventRouter does and decodes every form of record.
//!
//! ```
//! use outbox_core::record::Decoded;
//! use outbox_core::{DomainEvent, OutboxEvent, Pipeline};
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
//! let event = OutboxEvent::from_event(&OrderCreated { order_id: 42, quantity: 2 }).build()?;
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
//! # Modules
//!
//! A producer needs the items of the root. [`event`] has the parts of an event, [`layout`] the columns of a table of
//! your own, [`record`] what consumers and connectors read and write, [`connector`] how configurations choose rows, and
//! [`sql`] what an adapter for another driver needs.
//!
//! # Errors
//!
//! [`Error`] is one opaque type. [`Error::is_invalid_event`] means that an event breaks a rule: nothing was sent.
//! [`Error::is_configuration`] means that configuration and table contradict each other, and [`Error::contradictions`]
//! lists all contradictions. If the store failed, the source is a [`sql::StoreFailure`].
//!
//! # Features
//!
//! - `derive`, on by default: the macros `DomainEvent` and `IncomingEvent`.
//! - `tracing-opentelemetry`: takes the traceparent of an event from the current span, and continues a trace in a
//!   handler.

/// The parts of a connector's configuration that decide which rows and messages become records.
pub mod connector;
mod domain_event;
mod error;
/// The parts of an event, each with the rule that it keeps.
pub mod event;
mod json;
mod json_fault;
/// The columns of an outbox table, and the values of a row.
pub mod layout;
mod on_duplicate;
mod outbox;
mod pipeline;
/// Records of Kafka: how a row becomes one, and how one is decoded.
pub mod record;
mod recorder;
/// The SQL of enqueue, and the causes of its failures, for crates that send it by a driver.
pub mod sql;
mod statement_caching;

pub use bytes;
#[cfg(feature = "derive")]
pub use outbox_derive::{DomainEvent, IncomingEvent};
pub use time;
pub use uuid;

pub use self::connector::ConnectorConfig;
pub use self::domain_event::{DomainEvent, EventKind, IncomingEvent};
pub use self::error::{Error, StoreFault};
pub use self::event::{EventBuilder, EventId, OutboxEvent, Payload};
pub use self::layout::{Identifier, RowLife, TableLayout};
pub use self::on_duplicate::{Enqueued, OnDuplicate};
pub use self::outbox::Outbox;
pub use self::pipeline::{Loss, Pipeline, PipelineBuilder};
pub use self::recorder::RecordingOutbox;
pub use self::statement_caching::StatementCaching;

// The modules of this crate name its items by `crate::`, whichever module exports them.
use self::connector::{DroppedBy, RowDisposition};
use self::event::{AggregateType, Headers, Traceparent, Tracestate};
use self::layout::{Column, ColumnType, ColumnValue, EventField, Nullability, Row};
use self::record::{DecodedEvent, DecodedPayload, MessageContent, Record, RecordRef, ShortText};
