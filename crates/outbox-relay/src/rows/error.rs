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
    /// The first row of a table that the configuration includes, and that is new to the reader.
    #[error("a row was inserted into a new table with the OID {oid}, which the configuration includes")]
    NewTable { oid: u32 },
    /// A change in a table that the configuration includes, and whose rows the router does not see.
    #[error(
        "a row of {table} was changed, which the configuration includes and the router's predicate does not match: Debezium \
             would write it as a change event, which the relay does not write: leave {table} out of table.include.list"
    )]
    NotRouted { commit: Lsn, table: Box<str> },
    /// An UPDATE of the outbox table, at which the relay stops by configuration.
    #[error(
        "a row of {table} was updated, and table.op.invalid.behavior is fatal: set it to warn to ignore updates, or \
             stop updating rows of the table"
    )]
    Update { commit: Lsn, table: Box<str> },
    /// The configuration does not suit the table as it was. Each of its rows is this error.
    #[error("row {index} of the commit {}: the outbox table, as it was then, does not suit the configuration",
        at.commit, index = at.index)]
    Table { at: Position, source: Arc<outbox_core::Error>, raw: RawRow },
    /// A message that is none of an event; messages after it can be read.
    #[error("message {index} of the commit {} cannot be read", at.commit, index = at.index)]
    Message { at: Position, source: Arc<outbox_core::Error>, raw: RawRow },
    /// One value is at fault; rows after it can be read.
    #[error("row {index} of the commit {}: column {column:?}: {reason}", at.commit, index = at.index)]
    Value { at: Position, column: Box<str>, reason: BadValue, raw: RawRow },
    /// The values are not what the table allows; rows after it can be read.
    #[error("row {index} of the commit {} does not fit the outbox table", at.commit, index = at.index)]
    Row { at: Position, source: outbox_core::Error, raw: RawRow },
}

/// The fault of a value.
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
    /// Returns the row that it is about; reading can continue after that row.
    pub(crate) fn row(&self) -> Option<Position> {
        match self {
            Self::Table { at, .. } | Self::Message { at, .. } | Self::Value { at, .. } | Self::Row { at, .. } => {
                Some(*at)
            }
            Self::Malformed { .. }
            | Self::OutOfPlace { .. }
            | Self::NewTable { .. }
            | Self::NotRouted { .. }
            | Self::Update { .. } => None,
        }
    }

    /// Returns the commit of the transaction before which the relay stops, if a change in it is the reason.
    pub(crate) fn forbidden_in(&self) -> Option<Lsn> {
        match self {
            Self::Update { commit, .. } | Self::NotRouted { commit, .. } => Some(*commit),
            _ => None,
        }
    }

    /// Returns the text of that row, which is no part of what the error says.
    pub(crate) fn take_raw(&mut self) -> RawRow {
        match self {
            Self::Table { raw, .. } | Self::Message { raw, .. } | Self::Value { raw, .. } | Self::Row { raw, .. } => {
                std::mem::take(raw)
            }
            Self::Malformed { .. }
            | Self::OutOfPlace { .. }
            | Self::NewTable { .. }
            | Self::NotRouted { .. }
            | Self::Update { .. } => RawRow::default(),
        }
    }
}
