//! The messages of pgoutput as rows of the outbox tables. No I/O happens here.

mod catalog;
mod datum;
mod error;
mod messages;
mod reader;

#[cfg(test)]
mod tests;

pub use self::catalog::{OutboxTable, OutboxTables, TableRow};

#[cfg(test)]
pub use self::error::BadValue;
pub use self::error::{DecodeError, RawRow};
pub use self::reader::{Ignored, RowReader, WalEvent};
