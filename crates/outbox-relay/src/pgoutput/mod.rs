//! The output of PostgreSQL's plugin pgoutput, protocol version 1 (PostgreSQL, "Logical Replication Message
//! Formats"): bytes to messages, and messages to the rows of one table. No I/O happens here.

mod binding;
mod datum;
mod error;
mod fields;
mod instant;
mod message;
mod raw;
mod rows;
mod tuple;

#[cfg(test)]
mod encoder;
#[cfg(test)]
mod tests;

pub(crate) use self::binding::{column_type, mismatch};
#[cfg(test)]
pub(crate) use self::error::BadValue;
pub(crate) use self::error::DecodeError;
pub(crate) use self::raw::RawRow;
pub(crate) use self::rows::{Ignored, RowReader, WalEvent};
