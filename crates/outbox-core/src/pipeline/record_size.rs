use std::borrow::Cow;

use super::Pipeline;
use super::contradictions::RECORD_LIMIT;
use crate::connector::{HeaderConverter, KeyConverter, ValueConverter};
use crate::{ColumnType, ColumnValue, Error, EventField, RecordRef, Row};

/// The bytes that Kafka's producer counts for a batch of one record besides key, value and headers
/// (`AbstractRecords.estimateSizeInBytesUpperBound`).
const BATCH_AND_RECORD: usize = 61 + 21;

/// The headers that are added later: the relay's position, Debezium's `__debezium.context.*`, and the name of a replay.
const ADDED_HEADERS: usize = 1_024;

/// The longest number of a `jsonb` column by its shortest text: `1e999`.
const JSONB_GROWTH: usize = 201;

/// A control character as the JsonConverter writes it: `\u0001`.
const JSON_GROWTH: usize = 6;

/// The bytes that a column takes in the schema that the JsonConverter writes, apart from its name.
const SCHEMA: usize = 512;

/// The part of a payload that is expanded by [`Pipeline::encode`], whatever the limit of a record is.
const LARGEST_EXPANSION: usize = 16 << 20;

impl Pipeline {
    pub(crate) fn largest_expansion(&self) -> usize {
        self.record_limit().max(LARGEST_EXPANSION)
    }

    /// Checks that the record of a row that enqueue stores is one that the connector's producer takes.
    pub(super) fn keep_to_limit(&self, row: &Row) -> Result<(), Error> {
        if self.size_bound(row).is_some_and(|bound| bound <= self.record_limit()) {
            return Ok(());
        }

        let stored = self.as_stored(row)?;
        let record = match self.encode_ref(&stored) {
            Ok(record) => record,
            // No record is written, so its size does not matter.
            Err(error) if error.is_filtered() => return Ok(()),
            Err(error) if error.is_unencodable() => {
                let size = bytes(row.get(self.plan().payload));
                let rule = "the connector's task fails at its JSON expansion, at every start again";
                return Err(Error::rule("payload", &format!("({size} bytes)"), rule));
            }
            Err(error) => return Err(error),
        };
        let size = size(&record);

        if size > self.record_limit() {
            let (field, length) = self.largest_part(row, &record);
            let rule = self.limit_rule(&format!("the record has {size} bytes"));
            return Err(Error::rule(field, &format!("({length} bytes)"), rule));
        }
        Ok(())
    }

    fn limit_rule(&self, size: &str) -> String {
        format!(
            "with key, headers and everything that the connector adds, {size}, and this pipeline takes {}: \
             raise {RECORD_LIMIT} and the topic's max.message.bytes, or send less",
            self.record_limit()
        )
    }

    /// Returns the size that the row's record has at most, by the lengths of the columns alone; `None` if the payload
    /// decides.
    fn size_bound(&self, row: &Row) -> Option<usize> {
        let is_text = matches!(row.get(self.plan().payload), ColumnValue::Text(_));
        let is_nested = self.layout().columns().get(self.plan().payload).map(crate::Column::ty)
            == Some(ColumnType::Json)
            && self.messages().is_some();
        if is_text && (self.router().expansion.is_some() || is_nested) {
            return None;
        }
        if self.header_converter() != HeaderConverter::Text || self.after_router().has_other_headers() {
            return None;
        }

        let plan = self.plan();
        let value_growth = match self.value_converter() {
            ValueConverter::Json(_) => JSON_GROWTH,
            ValueConverter::String | ValueConverter::Bytes => 1,
        };
        let key_growth = match self.key_converter() {
            KeyConverter::Json(_) => JSON_GROWTH,
            KeyConverter::String | KeyConverter::Bytes | KeyConverter::Number(_) => 1,
        };
        let part = |index: usize, growth: usize| self.length_bound(row, index).saturating_mul(growth);

        // The schema name of an envelope contains the name of the topic.
        let mut total = BATCH_AND_RECORD + ADDED_HEADERS + 2 * SCHEMA * JSON_GROWTH;
        let mut add = |bytes: usize| total = total.saturating_add(bytes);
        add(part(plan.key, key_growth));
        add(part(plan.payload, value_growth));
        add(part(plan.id, 1) + 16);
        add(part(plan.route_by, JSON_GROWTH));
        for target in plan.headers.iter() {
            add(part(target.index, 1) + target.alias.len() + 16);
        }

        for target in &plan.envelope {
            add(part(target.index, JSON_GROWTH).saturating_add(2 * JSON_GROWTH * target.alias.len() + SCHEMA));
        }
        Some(total)
    }

    fn length_bound(&self, row: &Row, index: usize) -> usize {
        let length = bytes(self.emitted(row, index));
        match self.layout().columns().get(index).map(crate::Column::ty) {
            Some(ColumnType::Jsonb) => length.saturating_mul(JSONB_GROWTH),
            // As text it is base64 or hexadecimal.
            Some(ColumnType::Bytea) if index != self.plan().payload || self.writes_bytes_as_text() => 2 * length + 4,
            _ => length,
        }
    }

    fn writes_bytes_as_text(&self) -> bool {
        self.value_converter() != ValueConverter::Bytes
    }

    /// Returns the row as the connector reads it: PostgreSQL prints `jsonb` in its own way.
    fn as_stored<'a>(&self, row: &'a Row) -> Result<Cow<'a, Row>, Error> {
        let mut stored = Cow::Borrowed(row);
        for (index, column) in self.layout().columns().iter().enumerate() {
            let (ColumnType::Jsonb, ColumnValue::Text(text)) = (column.ty(), row.get(index)) else { continue };
            let Some(printed) = crate::json::printed_by_jsonb(text, self.record_limit()) else {
                let field = column.field().map_or(column.name().as_str(), |field| field.name());
                let rule = self.limit_rule("as jsonb prints it, this part alone is larger");
                return Err(Error::rule(field, &format!("({} bytes)", text.len()), rule));
            };
            stored.to_mut().set(index, ColumnValue::Text(printed));
        }
        Ok(stored)
    }

    /// Returns the larger of the two parts of an event that may be large, and its length as it was given.
    fn largest_part(&self, row: &Row, record: &RecordRef<'_>) -> (&'static str, usize) {
        let headers = self.layout().columns().iter().position(|column| column.field() == Some(EventField::Headers));
        let headers = headers.map_or(0, |index| bytes(row.get(index)));
        if headers > record.value.as_ref().map_or(0, |value| value.len()) {
            return (EventField::Headers.name(), headers);
        }
        (EventField::Payload.name(), bytes(row.get(self.plan().payload)))
    }
}

/// Returns the size of a record as Kafka's producer counts it, at most.
fn size(record: &RecordRef<'_>) -> usize {
    // A length takes 5 bytes at most.
    let part = |bytes: &Option<Cow<'_, [u8]>>| bytes.as_ref().map_or(0, |bytes| bytes.len()) + 5;
    let headers = record.headers.iter().map(|(name, value)| name.len() + 5 + part(value)).sum::<usize>();
    BATCH_AND_RECORD + ADDED_HEADERS + part(&record.key) + part(&record.value) + headers
}

/// Returns the length of a value as text, or more.
fn bytes(value: &ColumnValue) -> usize {
    match value {
        ColumnValue::Text(text) => text.len(),
        ColumnValue::Bytes(bytes) => bytes.len(),
        ColumnValue::Null => 0,
        _ => 40,
    }
}
