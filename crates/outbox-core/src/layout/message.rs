//! Events without a table: logical decoding messages, whose content is a JSON object of the columns.

use std::fmt::Write as _;

use super::{Column, ColumnType, ColumnValue, Identifier, Row, RowLife, TableLayout};
use crate::connector::{RouterConfig, RowSource, Transforms};
use crate::pipeline::Found;
use crate::record::instant;
use crate::{ConnectorConfig, Error, MessageContent};

/// The names of a layout that was read from a message.
const READ: (&str, &str) = ("logical decoding", "message");

impl TableLayout {
    /// Returns an outbox without a table ([`RowLife::Message`]) with the parts of the
    /// [`recommended`](Self::recommended) table.
    ///
    /// Its messages have the prefix `outbox.outbox_message`; [`named`](Self::named) changes it.
    #[must_use]
    pub fn messages() -> Self {
        Self::recommended().with_row_life(RowLife::Message)
    }

    /// Returns the prefix of the logical decoding messages, `schema.table`, if there is no table.
    #[must_use]
    pub fn message_prefix(&self) -> Option<String> {
        let (schema, table) = (self.schema.as_str(), self.table.as_str());
        (!self.row_life.has_table()).then(|| format!("{schema}.{table}"))
    }

    /// Returns whether the layout is that of a message that others emit.
    pub(crate) fn is_of_message(&self) -> bool {
        !self.row_life.has_table() && (self.schema.as_str(), self.table.as_str()) == READ
    }

    /// Returns what the connector reads: the rows of the table, or messages.
    pub(crate) fn source(&self) -> RowSource<'_> {
        match self.row_life {
            RowLife::Message => RowSource::Messages,
            _ => RowSource::Table(self.schema.as_str(), self.table.as_str()),
        }
    }

    /// Creates the layout of a message that others emit: those of its members that the EventRouter's options name.
    /// Types and absent members are those of this message, as `DecodeLogicalDecodingMessageContent` infers them.
    ///
    /// # Errors
    /// As [`from_router`](Self::from_router).
    pub fn from_message(config: &ConnectorConfig, content: &MessageContent) -> Result<Self, Error> {
        let mut found = Found::default();
        let name = Transforms::of(config, RowSource::Messages, &mut found).router;
        let Some(router) = name.and_then(|name| RouterConfig::of(config, name, &mut found)) else {
            found.into_result()?;
            return Err(Error::config("transforms", "", "no EventRouter sees logical decoding messages"));
        };
        let (schema, table) = (Identifier::known(READ.0), Identifier::known(READ.1));

        let layout = Self::of_options(config, &router, (schema, table), content.columns())?;
        Ok(Self { row_life: RowLife::Message, ..layout })
    }

    /// Returns the content of a row's message.
    pub(crate) fn content(&self, row: &Row) -> String {
        // Room for quotes, colons and commas; texts have more escapes than identifiers.
        let size = |value: &ColumnValue| match value {
            ColumnValue::Text(text) => text.len() + text.len() / 8,
            _ => 40,
        };
        let names = self.columns.iter().map(|column| column.name.as_str().len() + 8).sum::<usize>();
        let mut content = String::with_capacity(names + row.values().iter().map(size).sum::<usize>());
        for (column, value) in self.columns.iter().zip(row.values()).filter(|(column, _)| column.is_filled()) {
            content.push(if content.is_empty() { '{' } else { ',' });
            push_string(&mut content, column.name.as_str());
            content.push(':');
            push_value(&mut content, column.ty, value);
        }

        content.push_str(if content.is_empty() { "{}" } else { "}" });
        content
    }
}

fn push_value(content: &mut String, ty: ColumnType, value: &ColumnValue) {
    match value {
        // The payload is nested instead of a text. JSON is ASCII except in its strings.
        ColumnValue::Text(json) if ty.is_json() => push_escaped(content, json, |byte| !byte.is_ascii()),
        // JSON has neither the plus sign nor the leading zeros that a `bigint` may be given with.
        ColumnValue::Text(number) if ty == ColumnType::Bigint => match number.parse::<i64>() {
            Ok(number) => _ = write!(content, "{number}"),
            Err(_) => push_string(content, number),
        },
        ColumnValue::Text(text) => push_string(content, text),
        ColumnValue::Uuid(id) => _ = write!(content, "\"{id}\""),
        ColumnValue::Integer(number) => _ = write!(content, "{number}"),
        ColumnValue::Boolean(value) => _ = write!(content, "{value}"),
        // No member is of a type with these values, see `contradictions::in_messages`.
        ColumnValue::Null | ColumnValue::Bytes(_) | ColumnValue::Instant(_) => content.push_str("null"),
    }
}

/// Writes a JSON string in ASCII: Debezium reads the content in the default charset of Kafka Connect's JVM, which is
/// ASCII on Java 17 without a locale.
fn push_string(content: &mut String, text: &str) {
    content.push('"');
    push_escaped(content, text, |byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\'));
    content.push('"');
}

/// Appends text to a JSON string, and escapes the characters whose first byte `is_escaped` selects.
fn push_escaped(content: &mut String, text: &str, is_escaped: impl Fn(u8) -> bool) {
    let mut rest = text;
    while let Some((plain, escaped)) = rest.bytes().position(&is_escaped).and_then(|at| rest.split_at_checked(at)) {
        content.push_str(plain);
        let mut chars = escaped.chars();

        match chars.next() {
            Some('"') => content.push_str("\\\""),
            Some('\\') => content.push_str("\\\\"),
            Some('\n') => content.push_str("\\n"),
            Some(other) => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    _ = write!(content, "\\u{unit:04x}");
                }
            }
            None => {}
        }
        rest = chars.as_str();
    }
    content.push_str(rest);
}

impl Column {
    /// Converts a column of a table into a member of a message.
    pub(super) fn into_member(mut self) -> Self {
        self.ty = match self.ty {
            ColumnType::Json | ColumnType::Jsonb | ColumnType::Varchar(_) | ColumnType::Enum => ColumnType::Text,
            ty if ty.is_instant() => ColumnType::Text,
            ty => ty,
        };
        if let Some(ColumnValue::Instant(at)) = self.fallback_value() {
            let text = instant::zoned(*at);
            self = self.fallback(text);
        }
        self.default = None;
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_is_read_back(text in any::<String>()) {
            let mut content = String::new();
            push_string(&mut content, &text);
            prop_assert!(content.is_ascii());
            prop_assert_eq!(serde_json::from_str::<String>(&content).unwrap(), text);
        }
    }
}
