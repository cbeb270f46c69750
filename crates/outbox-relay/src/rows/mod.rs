//! The messages of pgoutput as rows of the outbox tables. No I/O happens here.

mod binding;
mod datum;
mod error;
mod instant;
mod plan;
mod raw;
mod reader;

#[cfg(test)]
mod tests;

pub(crate) use self::binding::mismatch;
#[cfg(test)]
pub(crate) use self::error::BadValue;
pub(crate) use self::error::DecodeError;
pub(crate) use self::plan::{ACCEPTED_LOSSES, layout_columns, over};
pub(crate) use self::raw::RawRow;
pub(crate) use self::reader::{Ignored, OutboxTable, OutboxTables, RowReader, TableRow, WalEvent};
