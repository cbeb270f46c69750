//! For tests of services that consume.
//!
//! - [`Trial`] delivers events to handlers in a transaction that is never committed, without Kafka: once, twice, or
//!   with a crash before the commit.
//! - [`Watch`] waits until a running consumer has handled everything.
//!
//! `outbox-testkit` has the broker, the PostgreSQL and the records for tests with a running consumer.

mod trial;
mod watch;

pub use self::trial::{Delivered, DeliveryFailed, Trial};
pub use self::watch::Watch;
