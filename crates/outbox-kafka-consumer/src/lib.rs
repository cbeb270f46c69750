//! Consumes the records that Debezium's EventRouter (or a stand-in) writes: decodes them by the
//! [`Pipeline`](outbox_core::Pipeline) and runs handlers, each in a PostgreSQL transaction that also moves the
//! position. So the effect of a record and the fact that it was read cannot disagree.
//!
//! ```no_run
//! use outbox_core::{DomainEvent, Pipeline};
//! use outbox_kafka_consumer::{Consumer, HandlerResult, Received, deadpool_postgres::{Pool, Transaction}, with};
//!
//! #[derive(serde::Deserialize)]
//! struct OrderCreated {
//!     order_id: i64,
//!     quantity: i32,
//! }
//!
//! impl DomainEvent for OrderCreated {
//!     const AGGREGATE_TYPE: &'static str = "order";
//!     const EVENT_TYPE: &'static str = "OrderCreated";
//!
//!     fn aggregate_id(&self) -> String {
//!         self.order_id.to_string()
//!     }
//! }
//!
//! async fn reserve(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
//!     let (id, quantity) = (event.event().order_id, event.event().quantity);
//!     tx.execute("INSERT INTO reservation VALUES ($1, $2) ON CONFLICT DO NOTHING", &[&id, &quantity]).await?;
//!     Ok(())
//! }
//!
//! # async fn example(pool: Pool) -> Result<(), outbox_kafka_consumer::Error> {
//! let consumer = Consumer::builder(["127.0.0.1:9092"])
//!     .pipeline(Pipeline::recommended())
//!     .group("stock")
//!     .store(pool)
//!     .on(reserve)
//!     .build()?;
//! consumer.run(async { _ = tokio::signal::ctrl_c().await }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Delivery
//! - A record's effect and its position commit together, in the handler's transaction, and the position only moves from
//!   where this consumer found it. So no record takes effect twice, also where two consumers of one group run.
//! - The pipeline before it is at least once: the same event may be in the topic twice, as two records with one id. A
//!   handler has to take an event that it has seen, for instance by `ON CONFLICT DO NOTHING` on the event's id.
//! - The records of a partition, and with them the events of an aggregate, are handled one after the other. A handler
//!   that fails is tried again, with growing delays, until it succeeds: its partition waits, others go on.

mod consumer;
mod error;
mod group;
mod handler;
mod kafka;
mod policy;
mod protocol;
mod received;
mod registry;
mod runtime;
mod source;
mod store;

pub use deadpool_postgres;
pub use outbox_core;
pub use outbox_pg::Statements;

pub use self::consumer::{Builder, Consumer};
pub use self::error::Error;
pub use self::group::{Group, Held, HeldState, Horizon};
pub use self::handler::{Handler, HandlerError, HandlerResult, OutsideHandler, RawHandler, With, with};
pub use self::policy::{Misfit, OnFailure, PositionLost, Start};
pub use self::protocol::{FailureKind, RetryPolicy};
pub use self::received::Received;
pub use self::store::migrations;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
