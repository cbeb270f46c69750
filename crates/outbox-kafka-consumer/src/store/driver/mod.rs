//! The PostgreSQL drivers under the store: one connection, transaction, row and error type for all of them.
//!
//! Every statement of the store is written once. Its parameters are those of tokio-postgres, in PostgreSQL's binary
//! form, which sqlx sends as well.

mod connection;
mod error;
mod link;
mod pool;
mod row;
#[cfg(feature = "sqlx")]
mod sqlx;
mod transaction;

pub(crate) use self::connection::Connection;
pub(crate) use self::error::PgError;
pub(super) use self::link::{Link, Step, in_time};
pub(crate) use self::pool::Pool;
pub(crate) use self::row::Row;
#[cfg(feature = "sqlx")]
pub(crate) use self::sqlx::depth;
pub(crate) use self::transaction::Transaction;
