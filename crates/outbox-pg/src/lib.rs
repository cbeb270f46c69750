//! The transactional outbox on tokio-postgres and deadpool-postgres.
//!
//! ```no_run
//! use outbox_core::{OutboxEvent, Pipeline};
//! use outbox_pg::{Migrations, PgOutbox, tokio_postgres::{Client, Error}};
//!
//! # async fn example(mut client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! let pipeline = Pipeline::recommended();
//! Migrations::outbox(&pipeline).apply(&mut client).await?; // once, at deployment
//! outbox_pg::create_slot(&client, &pipeline).await?; // before the first event
//!
//! let outbox = PgOutbox::new(pipeline);
//! let tx = client.transaction().await?;
//! tx.execute("INSERT INTO orders (id, quantity) VALUES (42, 2)", &[]).await?;
//! let event = OutboxEvent::builder("order", "42", "OrderCreated").json(r#"{"quantity":2}"#).build()?;
//! outbox.enqueue(&tx, &event).await?;
//! tx.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`PgOutbox`] puts events into the caller's transaction, [`IdempotentOutbox`] at most once.
//! - [`RetriedTransaction`] repeats a transaction after a serialization failure or a deadlock, and reports whether it
//!   was committed.
//! - [`Migrations`] makes and keeps the table and the publication, [`create_slot`] the replication slot.
//! - [`Republish`] publishes rows of a kept table again, such as those that a lost slot has left out.
//! - [`OutboxWorker`] runs maintenance and monitoring in the background of a service.
//! - [`Maintenance`] keeps the table bounded, and [`PartitionRange`] keeps a table in partitions from failing a
//!   transaction.
//! - [`Readiness`] reports what is missing before the first event is written, [`PipelineMonitor`] reports the state of
//!   the running pipeline.
//! - [`connector_role_sql`], [`application_role_sql`] and [`maintainer_role_sql`] are the SQL of three roles with no
//!   privilege too many, [`connector_role_sql_on`] has it for managed servers, and [`Privileges`] checks them.
//!   [`uninstall_sql`] removes an outbox.
//!
//! # Delivery
//!
//! `Ok` from `enqueue` means that the event is part of the transaction. It is published if, and only if, the
//! transaction commits. `enqueue` accepts a transaction of tokio-postgres or deadpool-postgres; a connection does not
//! compile.
//!
//! # Features
//!
//! - `deadpool`, on by default: transactions and statement caches of deadpool-postgres, and [`OutboxWorker`] on its
//!   pool. Without it the crate works on tokio-postgres alone.
//! - `sqlx`: migrations, slot, readiness, privileges, maintenance, health and replay on connections of sqlx, by the
//!   methods whose names end in `_sqlx`, and [`OutboxWorker::sqlx_builder`]. `outbox-sqlx` has the outbox itself.
//!
//! # Errors
//!
//! `enqueue` returns an error of `outbox-core`: [`Error::is_not_ready`] and the other predicates of [`Error`] belong to
//! the functions for operation. Each error says what to do.

mod driver;
mod enqueue;
mod error;
mod health;
mod history;
mod idempotent;
mod maintenance;
mod migration;
#[cfg(feature = "sqlx")]
mod on_sqlx;
mod ownership;
mod partition_range;
mod privileges;
mod readiness;
mod republish;
mod session;
mod slot;
mod sql_text;
mod statement;
mod store_failure;
mod transaction;
#[cfg(any(feature = "deadpool", feature = "sqlx"))]
mod worker;

#[cfg(feature = "sqlx")]
pub use ::sqlx;
#[cfg(feature = "deadpool")]
pub use deadpool_postgres;
pub use outbox_core;
pub use outbox_core::uuid;
pub use outbox_core::{Enqueued, OnDuplicate, StatementCaching};
pub use tokio_postgres;

pub use self::driver::{PgClient, PgTransaction};
pub use self::enqueue::PgOutbox;
pub use self::error::Error;
pub use self::health::{Indicator, IndicatorStatus, Measure, PipelineHealth, PipelineMonitor, Thresholds};
pub use self::idempotent::IdempotentOutbox;
pub use self::maintenance::{Deferred, Maintenance, MaintenanceOutcome, MaintenanceReport};
pub use self::migration::{Applied, Migration, MigrationPlan, Migrations, uninstall_sql};
pub use self::partition_range::PartitionRange;
pub use self::privileges::{
    Platform, PrivilegeProblem, Privileges, Roles, application_role_sql, connector_role_sql, connector_role_sql_on,
    maintainer_role_sql,
};
pub use self::readiness::{Problem, Readiness};
pub use self::republish::{Replay, ReplayProgress, Republish};
pub use self::slot::{SlotCreation, SlotOptions, create_slot};
pub use self::store_failure::StoreFailure;
pub use self::transaction::{Attempt, RetriedTransaction, TransactionError, TransactionFuture};
#[cfg(any(feature = "deadpool", feature = "sqlx"))]
pub use self::worker::{OutboxWorker, WorkerBuilder, WorkerStatus};
