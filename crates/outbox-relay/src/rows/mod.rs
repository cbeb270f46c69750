//! The messages of pgoutput as rows of the outbox tables. No I/O happens here.

mod catalog;
mod datum;
mod error;
mod instant;
mod messages;
mod raw;
mod reader;

#[cfg(test)]
mod tests;

pub(crate) use self::catalog::{OutboxTable, OutboxTables};
#[cfg(test)]
pub(crate) use self::error::BadValue;
pub(crate) use self::error::DecodeError;
pub(crate) use self::raw::RawRow;
pub(crate) use self::reader::{Ignored, RowReader, TableRow, WalEvent};
