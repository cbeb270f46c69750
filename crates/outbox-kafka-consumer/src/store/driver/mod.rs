//! The PostgreSQL drivers under the store: one connection, transaction, row and error type for all of them.
//!
//! Every statement of the store is written once. Its parameters are those of tokio-postgres, in PostgreSQL's binary
//! form, which sqlx sends as well.

mod command;
mod connection;
mod error;
mod executor;
mod pool;
mod row;
#[cfg(feature = "sqlx")]
mod sqlx;
mod transaction;

pub use self::command::Command;
pub use self::connection::Connection;
pub use self::error::PgError;
pub use self::executor::{Executor, in_time};
pub use self::pool::Pool;
pub use self::row::Row;
#[cfg(feature = "sqlx")]
pub use self::sqlx::depth;
pub use self::transaction::Transaction;
