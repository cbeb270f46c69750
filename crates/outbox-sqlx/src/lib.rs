#![doc = include_str!("../README.md")]

mod idempotent;
mod outbox;
mod param;
mod store;

pub use outbox_core;
pub use outbox_core::{Enqueued, OnDuplicate, StatementCaching};
pub use sqlx;

pub use self::idempotent::IdempotentOutbox;
pub use self::outbox::SqlxOutbox;
pub use self::store::StoreFailure;
