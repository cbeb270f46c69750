use std::fmt;

use outbox_wal::{Tuple, TupleData};

/// A row as it came: each column's text. `Debug` reports no value.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct RawRow(Vec<(Box<str>, Option<Box<str>>)>);

impl RawRow {
    pub(super) fn new(names: &[Box<str>], row: Tuple<'_>) -> Self {
        let text = |data| match data {
            TupleData::Text(text) => Some(String::from_utf8_lossy(text).into()),
            TupleData::Null | TupleData::Unchanged | TupleData::Binary(_) => None,
        };
        Self(names.iter().cloned().zip(row.data().map(text)).collect())
    }

    /// Returns the members of a message, or its whole content if that is not a JSON object.
    pub(super) fn of_message(content: &[u8]) -> Self {
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

    /// Returns the text of a column; none if it is NULL or not there.
    pub(crate) fn get(&self, column: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| **name == *column).and_then(|(_, text)| text.as_deref())
    }

    /// Returns an object of texts, in the table's order of columns.
    pub(crate) fn to_json(&self) -> String {
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
