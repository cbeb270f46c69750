//! Consumes the records that Debezium's EventRouter (or a stand-in) writes: decodes them by the
//! [`Pipeline`](outbox_core::Pipeline) and runs handlers in PostgreSQL transactions, so that the effect of every event
//! happens exactly once, in order per aggregate.
//!
//! ```no_run
//! use outbox_core::{IncomingEvent, Pipeline};
//! use outbox_kafka_consumer::{Consumer, HandlerResult, Received, deadpool_postgres::{Pool, Transaction}};
//!
//! #[derive(serde::Deserialize)]
//! struct OrderCreated {
//!     order_id: i64,
//!     quantity: i32,
//! }
//!
//! impl IncomingEvent for OrderCreated {
//!     const AGGREGATE_TYPE: &'static str = "order";
//!     const EVENT_TYPE: &'static str = "OrderCreated";
//! }
//!
//! async fn reserve(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
//!     let (id, quantity) = (event.event().order_id, event.event().quantity);
//!     tx.execute("INSERT INTO reservation VALUES ($1, $2)", &[&id, &quantity]).await?;
//!     Ok(())
//! }
//!
//! # async fn example(pool: Pool) -> Result<(), Box<dyn std::error::Error>> {
//! let consumer = Consumer::builder(["127.0.0.1:9092"])
//!     .pipeline(Pipeline::recommended())
//!     .group("stock")
//!     .pool(pool.clone())
//!     .on(reserve)
//!     .build()?;
//! consumer.migrations().apply(&mut *pool.get().await?).await?; // once, at deployment
//! consumer.run(async { _ = tokio::signal::ctrl_c().await }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Consumer::run`] ends with an error if the consumer's [tables](Consumer::migrations) are missing, have another
//! version, or do not grant the role its privileges.
//!
//! With the feature `sqlx`, store and handlers are on a pool of sqlx instead: see the module `sqlx`.
//!
//! # Delivery
//! - The handler's statements commit together with the fact that its event was handled. An event that comes twice takes
//!   effect once, through crashes, take-overs and lost answers.
//! - The events of an aggregate are handled one after the other. Several aggregates' events share a transaction, and
//!   several transactions run at a time.
//! - An event that fails is tried again as the [`RetryPolicy`] says, and becomes a dead letter in the end. Meanwhile
//!   the later events of its key wait, and others continue. [`Group`] lists the held events.
//! - A record that cannot be read at all stops its partition and is reported, unless a [`RecordPolicy`] says otherwise.
//!
//! The page `docs/consumer.md` of the repository says how, and what to do when something is stopped.

// Modules are private, and this file lists what is public.
#![allow(unreachable_pub)]

mod brokers;
mod consumer;
mod driver;
mod error;
mod group;
mod handler;
mod kafka;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod measured;
mod native;
mod policy;
mod protocol;
mod received;
mod registry;
mod runtime;
mod source;
mod store;
pub mod testing;

pub use deadpool_postgres;
pub use outbox_core;
pub use outbox_kafka;
pub use outbox_pg::{Migrations, StatementCaching};

pub use self::consumer::{Builder, Consumer};
#[cfg(feature = "sqlx")]
pub use self::driver::Sqlx;
pub use self::driver::{Driver, NoTransaction, TokioPostgres, set_tcp_deadlines};
pub use self::error::Error;
pub use self::group::{
    EventState, FailedEvent, FailedEventFilter, Group, MovePolicy, PartitionStatus, Pause, PauseTarget, Request,
    RequestAction, RequestOutcome,
};
#[cfg(feature = "sqlx")]
pub use self::handler::sqlx;
pub use self::handler::{
    BatchHandler, Configured, Handler, HandlerError, HandlerPolicy, HandlerResult, Layer, Next, RawHandler,
    SideEffectHandler, SideEffectLayer, SideEffectNext, With, savepoint, with,
};
pub use self::policy::{
    CircuitBreaker, DeadLetterMode, InitialOffset, Isolation, OnOffsetOutOfRange, Reader, RecordPolicy,
};
pub use self::protocol::{FailedAttempt, FailureKind, RetryPolicy};
pub use self::received::Received;
pub use self::store::migrations;
