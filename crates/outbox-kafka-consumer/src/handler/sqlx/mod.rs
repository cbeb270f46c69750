//! Handlers in the transactions of sqlx, with the store on the service's [`PgPool`](::sqlx::PgPool).
//!
//! [`Consumer::sqlx_builder`](crate::Consumer::sqlx_builder) makes a consumer of them. Everything that a consumer on
//! tokio-postgres promises holds here too: both run the same store.
//!
//! ```no_run
//! use outbox_core::{IncomingEvent, Pipeline};
//! use outbox_kafka_consumer::{Consumer, HandlerResult, Received};
//! use sqlx::{Executor as _, PgPool, Postgres, Transaction};
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
//! async fn reserve(tx: &mut Transaction<'_, Postgres>, event: Received<OrderCreated>) -> HandlerResult {
//!     let insert = sqlx::query("INSERT INTO reservation VALUES ($1, $2)");
//!     insert.bind(event.event().order_id).bind(event.event().quantity).execute(&mut **tx).await?;
//!     Ok(())
//! }
//!
//! # async fn example(pool: PgPool) -> Result<(), Box<dyn std::error::Error>> {
//! let consumer = Consumer::sqlx_builder(["127.0.0.1:9092"])
//!     .pipeline(Pipeline::recommended())
//!     .group("stock")
//!     .pool(pool.clone())
//!     .on(reserve)
//!     .build()?;
//! pool.execute(sqlx::AssertSqlSafe(consumer.migrations().apply_script())).await?; // once, at deployment
//! consumer.run(async { _ = tokio::signal::ctrl_c().await }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Savepoints
//! `tx.begin()` of [`Acquire`](::sqlx::Acquire) begins a transaction within the handler's, which is a savepoint. Commit
//! it or roll it back before the handler returns. If PostgreSQL refuses the savepoint because an earlier statement
//! failed, sqlx rolls the whole transaction back. Return the error of `begin` then.
//!
//! # The pool
//! sqlx sends a statement after the answer to the one before, so a transaction takes more round trips than on
//! tokio-postgres. The pool needs a connection for each transaction that runs at a time, and one more; the leases have
//! one that is not the pool's.

mod function;
mod layer;

use ::sqlx::{Postgres, Transaction};
use outbox_core::IncomingEvent;
use serde::de::DeserializeOwned;

pub use self::layer::{Layer, Next};
use super::{HandlerPolicy, HandlerResult};
use crate::Received;

/// A handler of the events of one type, in a transaction of sqlx.
///
/// Every `async fn(&mut Transaction<'_, Postgres>, Received<E>) -> HandlerResult` is a handler, and so is
/// [`with`](crate::with)`(state, f)` for an `async fn(&State, &mut Transaction<'_, Postgres>, Received<E>) ->
/// HandlerResult`. The guarantees of a [`Handler`](crate::Handler) apply here, too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of events",
    note = "a handler is an `async fn(&mut Transaction<'_, Postgres>, Received<E>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, handler)`"
)]
pub trait Handler<Marker = ()>: Send + Sync + 'static {
    /// The event that it handles.
    type Event: IncomingEvent + DeserializeOwned + Send + 'static;

    /// Handles one event within the transaction.
    fn handle(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        event: Received<Self::Event>,
    ) -> impl Future<Output = HandlerResult> + Send;

    /// Returns the settings that differ from the builder's; none by default.
    fn policy(&self) -> HandlerPolicy {
        HandlerPolicy::new()
    }
}

/// A handler of many events of one type at once, in a transaction of sqlx.
///
/// Every `async fn(&mut Transaction<'_, Postgres>, Vec<Received<E>>) -> HandlerResult` is one, and so is
/// [`with`](crate::with)`(state, f)`. The guarantees of a [`BatchHandler`](crate::BatchHandler) apply here, too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of batches of events",
    note = "it is an `async fn(&mut Transaction<'_, Postgres>, Vec<Received<E>>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, handler)`"
)]
pub trait BatchHandler<Marker = ()>: Send + Sync + 'static {
    /// The event that it handles.
    type Event: IncomingEvent + DeserializeOwned + Send + 'static;

    /// Handles the events within the transaction.
    fn handle(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        events: Vec<Received<Self::Event>>,
    ) -> impl Future<Output = HandlerResult> + Send;

    /// Returns the settings that differ from the builder's; none by default.
    fn policy(&self) -> HandlerPolicy {
        HandlerPolicy::new()
    }
}

/// A handler that reads the payloads of events itself, in a transaction of sqlx.
///
/// Every `async fn(&mut Transaction<'_, Postgres>, Received<()>) -> HandlerResult` is one, and so is
/// [`with`](crate::with)`(state, f)`. The guarantees of a [`RawHandler`](crate::RawHandler) apply here, too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no raw handler of events",
    note = "it is an `async fn(&mut Transaction<'_, Postgres>, Received<()>) -> HandlerResult` whose future is `Send`",
    note = "with state before it, register `with(state, handler)`"
)]
pub trait RawHandler<Marker = ()>: Send + Sync + 'static {
    /// Handles one event within the transaction.
    fn handle(
        &self,
        tx: &mut Transaction<'_, Postgres>,
        event: Received<()>,
    ) -> impl Future<Output = HandlerResult> + Send;

    /// Returns the settings that differ from the builder's; none by default.
    fn policy(&self) -> HandlerPolicy {
        HandlerPolicy::new()
    }
}
