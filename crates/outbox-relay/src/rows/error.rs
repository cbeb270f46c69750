use std::fmt;
use std::sync::Arc;

use crate::Lsn;
use crate::position::Position;
use outbox_wal::{Malformed, Tuple, TupleData};

/// The reason why messages of pgoutput cannot be made into rows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
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
             would write it as a change event, which the relay does not write: leave {table} out of table.include.list, and \
             read it with another connector (docs/replace-debezium.md)"
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
    /// A message that is no event; messages after it can be read.
    #[error("message {index} of the commit {} cannot be read", at.commit, index = at.index)]
    Message { at: Position, source: Arc<outbox_core::Error>, raw: RawRow },
    /// One value is invalid; rows after it can be read.
    #[error("row {index} of the commit {}: column {column:?}: {reason}", at.commit, index = at.index)]
    Value { at: Position, column: Box<str>, reason: BadValue, raw: RawRow },
    /// The table does not allow the values; rows after it can be read.
    #[error("row {index} of the commit {} does not fit the outbox table", at.commit, index = at.index)]
    Row { at: Position, source: outbox_core::Error, raw: RawRow },
}

/// The fault of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadValue {
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
    pub fn row(&self) -> Option<Position> {
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
    pub fn forbidden_in(&self) -> Option<Lsn> {
        match self {
            Self::Update { commit, .. } | Self::NotRouted { commit, .. } => Some(*commit),
            _ => None,
        }
    }

    /// Returns the text of that row, which is not part of the error's message.
    pub fn take_raw(&mut self) -> RawRow {
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

/// A row as it came: each column's text. `Debug` reports no value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RawRow(Vec<(Box<str>, Option<Box<str>>)>);

impl RawRow {
    pub fn new(names: &[Box<str>], row: Tuple<'_>) -> Self {
        let text = |data| match data {
            TupleData::Text(text) => Some(String::from_utf8_lossy(text).into()),
            TupleData::Null | TupleData::Unchanged | TupleData::Binary(_) => None,
        };
        Self(names.iter().cloned().zip(row.data().map(text)).collect())
    }

    /// Returns the members of a message, or its whole content if that is not a JSON object.
    pub fn of_message(content: &[u8]) -> Self {
        let text = |value: serde_json::Value| match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text.into()),
            other => Some(other.to_string().into()),
        };
        Self(match serde_json::from_slice(content) {
            Ok(serde_json::Value::Object(members)) => {
                members.into_iter().map(|(name, value)| (name.into(), text(value))).collect()
            }
            _ => vec![("content".into(), Some(String::from_utf8_lossy(content).into()))],
        })
    }

    /// Returns the text of a column; `None` if it is NULL or not there.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| **name == *column).and_then(|(_, text)| text.as_deref())
    }

    /// Returns an object of texts, in the table's order of columns.
    pub fn to_json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let members = self.0.iter().map(|(name, text)| {
            let value = text.as_deref().map_or_else(|| "null".to_owned(), quoted);
            format!("{}:{value}", quoted(name))
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

impl fmt::Debug for RawRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
