//! The environment of a test: a database, an outbox, a replication slot and topics that no other test uses.
//!
//! [`TestEnv::builder`] sets up the parts that a test needs, on the servers of `cargo xtask stack up` or on others.
//! Dropping the environment removes everything, also if the test panics. A missing server panics with the remedy.
//!
//! ```no_run
//! use outbox_core::OutboxEvent;
//! use outbox_test_support::{TestEnv, eventually};
//!
//! # async fn test() {
//! let env = TestEnv::builder().slot().topic(3).build().await;
//! env.enqueue(&[OutboxEvent::builder("order", "1", "OrderCreated").build().unwrap()]).await;
//!
//! // Start here what the test is about.
//! let records = env.records(env.topic(), 1).await;
//! assert_eq!(records[0].key(), "1");
//! eventually("the slot is free", async || env.slot_is("NOT active").await).await;
//! # }
//! ```
//!
//! # Parts
//!
//! | call of the builder | what the test gets |
//! | --- | --- |
//! | `database()` | an empty database on the shared server: [`TestEnv::url`], [`TestEnv::client`], [`TestEnv::pool`] |
//! | `outbox()` | the same with the outbox table and its publication: [`TestEnv::outbox`], [`TestEnv::enqueue`] |
//! | `slot()` | the same with a replication slot: [`TestEnv::slot_is`], [`TestEnv::confirmed`] |
//! | `topic(partitions)` | the topic of the aggregate type `order`: [`TestEnv::topic`], [`TestEnv::records`] |
//! | `layout(…)`, `config(…)` | another table, another configuration of the connector |
//! | `postgres(url)`, `brokers(address)` | other servers than the shared ones |
//!
//! A slot includes the outbox, and the outbox the database. Each name on the servers begins with [`TestEnv::name`].
//! What a test creates itself has such a name as well, so that it is removed.
//!
//! # Waiting
//!
//! [`eventually`] repeats an observation until it holds. A test never sleeps and hopes. If the state does not come, the
//! panic names it, with the last observation:
//!
//! ```no_run
//! # async fn test(env: outbox_test_support::TestEnv) {
//! outbox_test_support::eventually("two rows are stored", async || match env.rows().await {
//!     2 => Ok(()),
//!     other => Err(format!("there are {other}")),
//! })
//! .await;
//! # }
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "it serves tests only"
)]

mod builder;
mod connector;
mod database;
mod env;
mod eventually;
mod topics;

pub use self::builder::TestEnvBuilder;
pub use self::connector::Connector;
pub use self::database::{connect, pool};
pub use self::env::TestEnv;
pub use self::eventually::{Observation, eventually};
pub use self::topics::{StoredRecord, connect_kafka, stored, to_rskafka};

use xtask::stack::Stack;

/// Returns the servers that all tests share.
///
/// # Panics
/// Panics if no servers were started.
#[must_use]
pub fn stack() -> Stack {
    Stack::connect().unwrap_or_else(|error| panic!("this test needs real servers: {error}"))
}
