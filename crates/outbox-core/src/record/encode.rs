use std::borrow::Cow;

use super::column_text::{text, text_bytes};
use super::instant;
use super::json_column::push_column;
use super::json_value::{Unexpandable, wrapped};
use super::struct_text::{into_bytes, java_text};
use super::{Record, RecordRef};
use crate::connector::{
    BinaryForm, EmptyPayload, HeaderConverter, KeyConverter, Passage, SchemaMetadata, Schemas, ValueConverter,
    ValueForms,
};
use crate::{Column, ColumnType, ColumnValue, Error, Pipeline, Row};

impl Pipeline {
    /// Returns the record that Debezium's EventRouter makes of an inserted row.
    ///
    /// The headers `__debezium.context.*` (`extended.headers.enabled`) are the connector's own and are left out. What
    /// depends on the connector's machine or on what it has seen before is given as for the first row on a recent
    /// Java: the name of an envelope's schema, the order of members in expanded arrays of unlike objects, and the
    /// digits of expanded numbers (Java before 19 writes some with a digit too many).
    ///
    /// # Errors
    /// [`Error::is_unencodable`] if the connector's task would fail, [`Error::is_invalid_event`] if the topic's name is
    /// not legal, [`Error::is_filtered`] if a transformation drops the record.
    pub fn encode(&self, row: &Row) -> Result<Record, Error> {
        self.encode_ref(row).map(RecordRef::into_owned)
    }

    /// Encodes as [`encode`](Self::encode) does, and borrows from the row.
    pub(crate) fn encode_ref<'a>(&'a self, row: &'a Row) -> Result<RecordRef<'a>, Error> {
        self.record(row, Unexpandable::Fails)
    }

    /// Encodes as [`encode`](Self::encode) does, but a payload that Debezium could not expand is written as it was
    /// stored: instead of the expanded one if the record has no schema, as text if it has one. The record borrows what
    /// it can from the row. The error next to it says why Debezium makes no such record; there is none if it makes the
    /// same.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), for reasons other than the payload's expansion.
    pub fn encode_lossless<'a>(&'a self, row: &'a Row) -> Result<(RecordRef<'a>, Option<Error>), Error> {
        match self.encode_ref(row) {
            Err(reason) if reason.is_unencodable() && self.infers_schemas() => {
                self.record(row, Unexpandable::Verbatim).map(|record| (record, Some(reason)))
            }
            outcome => outcome.map(|record| (record, None)),
        }
    }

    /// Returns whether payloads are JSON whose schema Debezium infers.
    fn infers_schemas(&self) -> bool {
        self.router().expansion.is_some() || self.messages().is_some()
    }

    /// Returns the record of a row after the transformations that follow the router. The value is encoded last, because
    /// their outcome decides on its schema.
    fn record<'a>(&'a self, row: &'a Row, unexpandable: Unexpandable) -> Result<RecordRef<'a>, Error> {
        let plan = self.plan();
        let route = &*self.route(row)?;
        // One more may be added.
        let leading = self.after_router().leading();
        let mut headers = Vec::with_capacity(leading.len() + plan.headers.len() + 2);
        headers.extend(leading.iter().map(|header| (header.name.as_str(), Some(Cow::Borrowed(&*header.value)))));
        headers.push(("id", self.header(row, plan.id)));
        headers.extend(plan.headers.iter().map(|target| (target.alias.as_str(), self.header(row, target.index))));

        let mut record = RecordRef {
            topic: self.router().route.topic(route)?,
            partition: plan.partition.and_then(|index| match row.get(index) {
                ColumnValue::Integer(partition) => Some(*partition),
                _ => None,
            }),
            key: self.key(row),
            value: None,
            headers,
            timestamp: self.timestamp(row)?,
        };
        let metadata = match self.after_router().apply(&mut record, self.has_null_value(row))? {
            Passage::Passed(metadata) => metadata,
            Passage::Dropped(by) => return Err(Error::dropped(by)),
        };

        record.value = self.value(row, (route, &metadata), unexpandable)?;
        record.topic = Self::legal_topic(record.topic)?;
        Ok(record)
    }

    /// Returns the value by which the row is routed. The router asks for the column in a way that knows no default.
    pub(crate) fn route<'a>(&'a self, row: &'a Row) -> Result<Cow<'a, str>, Error> {
        let column = self.layout().columns().get(self.plan().route_by);
        let ty = column.map_or(ColumnType::Text, Column::ty);
        let route = text(row.get(self.plan().route_by), ty, self.forms());
        route.ok_or_else(|| Error::encode(&*self.router().route_by, "the routed value is NULL"))
    }

    fn header<'a>(&'a self, row: &'a Row, index: usize) -> Option<Cow<'a, [u8]>> {
        let (value, column) = (self.emitted(row, index), self.layout().columns().get(index)?);
        let HeaderConverter::Json(schemas) = self.header_converter() else {
            return text_bytes(value, column.ty(), self.forms());
        };
        Some(self.json_of((index, value), column, (schemas, self.json_forms().header)).into())
    }

    fn json_of(
        &self,
        (index, value): (usize, &ColumnValue),
        column: &Column,
        (schemas, forms): (Schemas, ValueForms),
    ) -> Vec<u8> {
        let mut json = String::new();
        push_column(&mut json, value, column.ty(), forms);
        wrapped(json, self.schema_of(index, value).as_ref(), schemas)
    }

    /// Returns milliseconds, cut off towards zero. The router asks for the column in a way that knows no default.
    pub(crate) fn timestamp(&self, row: &Row) -> Result<Option<i64>, Error> {
        let at = self.plan().timestamp.map(|index| row.get(index));
        let Some(ColumnValue::Instant(at)) = at else { return Ok(None) };
        match instant::micros(*at) / 1_000 {
            // Connect's word for no timestamp.
            -1 => Ok(None),
            before if before < 0 => {
                let column = self.router().timestamp.as_deref().unwrap_or_default();
                Err(Error::encode(column, "a record's timestamp cannot lie before 1970"))
            }
            millis => Ok(Some(millis)),
        }
    }

    fn key<'a>(&'a self, row: &'a Row) -> Option<Cow<'a, [u8]>> {
        let index = self.plan().key;
        let (key, column) = (self.emitted(row, index), self.layout().columns().get(index)?);
        match (self.key_converter(), key) {
            (KeyConverter::Json(schemas), key) => {
                Some(self.json_of((index, key), column, (schemas, self.json_forms().key)).into())
            }
            (KeyConverter::Bytes, ColumnValue::Bytes(bytes)) => Some(Cow::Borrowed(bytes)),
            (KeyConverter::Bytes, _) => None,
            (KeyConverter::String, key) => java_text(key, column.ty(), self.forms()).map(into_bytes),
            (KeyConverter::Number(number), key) => number.write(&text(key, column.ty(), self.forms())?).map(Cow::Owned),
        }
    }

    /// Returns whether the router gives the record no value, whatever the converter makes of that.
    fn has_null_value(&self, row: &Row) -> bool {
        let payload = self.emitted(row, self.plan().payload);
        let is_tombstone = self.router().empty_payload == EmptyPayload::Tombstone && self.is_empty(payload);
        is_tombstone || (*payload == ColumnValue::Null && !self.router().has_envelope())
    }

    fn is_empty(&self, payload: &ColumnValue) -> bool {
        match payload {
            ColumnValue::Null => true,
            ColumnValue::Text(text) => text.trim_matches(|c| c <= ' ').is_empty(),
            ColumnValue::Bytes(bytes) => bytes.is_empty() && self.forms().binary != BinaryForm::Bytes,
            _ => false,
        }
    }

    /// Returns the value of the record as the value converter writes it, or `None` for a tombstone.
    fn value<'a>(
        &'a self,
        row: &'a Row,
        (route, metadata): (&str, &SchemaMetadata),
        unexpandable: Unexpandable,
    ) -> Result<Option<Cow<'a, [u8]>>, Error> {
        let payload = self.emitted(row, self.plan().payload);
        if self.router().empty_payload == EmptyPayload::Tombstone && self.is_empty(payload) {
            return Ok(None);
        }
        match (self.value_converter(), payload) {
            (ValueConverter::Json(schemas), payload) => {
                self.json_value(row, (route, metadata), payload, schemas, unexpandable).map(|json| Some(json.into()))
            }
            (ValueConverter::String, payload) if self.router().has_envelope() || self.router().expansion.is_some() => {
                self.text_value(row, payload, unexpandable)
            }
            (_, ColumnValue::Text(text)) if self.payload_type().is_expandable() => {
                Ok(Some(Cow::Borrowed(text.as_bytes())))
            }
            (ValueConverter::String, scalar) => {
                Ok(java_text(scalar, self.payload_type(), self.forms()).map(into_bytes))
            }
            (ValueConverter::Bytes, ColumnValue::Bytes(bytes)) => Ok(Some(Cow::Borrowed(bytes))),
            (ValueConverter::Bytes, _) => Ok(None),
        }
    }
}
