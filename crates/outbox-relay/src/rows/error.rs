use std::sync::Arc;

use super::raw::RawRow;
use crate::Lsn;
use crate::position::Position;
use outbox_wal::Malformed;

/// Why messages of pgoutput cannot be made into rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DecodeError {
    #[error("PostgreSQL sent what pgoutput's protocol does not know, after the commit {after}")]
    Malformed { after: Lsn, source: Malformed },
    #[error("a message of pgoutput came out of place, after the commit {after}: {what}")]
    OutOfPlace { after: Lsn, what: &'static str },
    /// A row of a table that the configuration includes, and that the relay does not read.
    #[error(
        "a row was inserted into {table} after the commit {after}, which table.include.list includes, and the relay \
             reads {outbox} only: name only this table in the list, and run another relay with another slot for {table}"
    )]
    OtherIncluded { after: Lsn, table: Box<str>, outbox: Box<str> },
    /// The configuration does not suit the table as it was. Each of its rows tells so.
    #[error("row {index} of the commit {}: the outbox table, as it was then, does not suit the configuration",
        at.commit, index = at.index)]
    Table { at: Position, source: Arc<outbox_core::Error>, raw: RawRow },
    /// One value is at fault; rows after it can be read.
    #[error("row {index} of the commit {}: column {column:?}: {reason}", at.commit, index = at.index)]
    Value { at: Position, column: Box<str>, reason: BadValue, raw: RawRow },
    /// The values are not what the table allows; rows after it can be read.
    #[error("row {index} of the commit {} does not fit the outbox table", at.commit, index = at.index)]
    Row { at: Position, source: outbox_core::Error, raw: RawRow },
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BadValue {
    #[error("an infinite date is no instant")]
    Infinite,
    #[error("the instant is outside the years -9999 to 9999")]
    OutOfRange,
    #[error("the value is not in its type's text form")]
    Form,
    #[error("the value is missing or not text")]
    NotText,
}

impl DecodeError {
    /// The row that it is about; reading can go on after that row.
    pub(crate) fn row(&self) -> Option<Position> {
        match self {
            Self::Table { at, .. } | Self::Value { at, .. } | Self::Row { at, .. } => Some(*at),
            Self::Malformed { .. } | Self::OutOfPlace { .. } | Self::OtherIncluded { .. } => None,
        }
    }

    /// The text of that row, which is no part of what the error says.
    pub(crate) fn take_raw(&mut self) -> RawRow {
        match self {
            Self::Table { raw, .. } | Self::Value { raw, .. } | Self::Row { raw, .. } => std::mem::take(raw),
            Self::Malformed { .. } | Self::OutOfPlace { .. } | Self::OtherIncluded { .. } => RawRow::default(),
        }
    }
}
