use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::Record;
use super::connect_schema::Schema;
use super::expand::{self, Outcome};
use super::instant;
use super::json_writer::push_string;
use crate::connector::{EmptyPayload, KeyConverter, Schemas, ValueConverter};
use crate::pipeline::Target;
use crate::{ColumnType, ColumnValue, Error, Nullability, Pipeline, Row};

impl Pipeline {
    /// The record that Debezium's EventRouter makes of an inserted row.
    ///
    /// The headers `__debezium.context.*` (`extended.headers.enabled`) are the connector's own and are left out. Two
    /// things depend on what a connector has seen before or on Java's hash codes and are given as for the first
    /// row: the name of an envelope's schema, and the order of members in expanded arrays of unlike objects. Defaults of
    /// columns are not part of the schemas written here.
    ///
    /// # Errors
    /// [`Error::is_unencodable`] where the connector's task would fail, [`Error::is_invalid_event`] where the topic's
    /// name is not legal.
    pub fn encode(&self, row: &Row) -> Result<Record, Error> {
        let plan = self.plan();
        let ColumnValue::Text(route) = row.get(plan.route_by) else {
            return Err(Error::encode(&*self.router().route_by, "the routed value is NULL"));
        };
        let mut record = Record::new(self.topic_of_route(route)?);
        record.key = self.key(row);
        record.timestamp = plan.timestamp.and_then(|index| match row.get(index) {
            ColumnValue::Instant(at) => Some(instant::micros(*at) / 1_000),
            _ => None,
        });
        record.partition = plan.partition.and_then(|index| match row.get(index) {
            ColumnValue::Integer(partition) => Some(*partition),
            _ => None,
        });
        record.headers.push(("id".into(), header(row.get(plan.id), ColumnType::Uuid)));
        for target in &plan.headers {
            record.headers.push((target.alias.clone(), header(row.get(target.index), target.ty)));
        }
        record.value = self.value(row, route)?;
        Ok(record)
    }

    fn key(&self, row: &Row) -> Option<Bytes> {
        let text = header(row.get(self.plan().key), ColumnType::Text)?;
        let KeyConverter::Json(schemas) = self.key_converter() else { return Some(text) };
        let column = self.layout().columns().get(self.plan().key)?;
        let mut json = String::new();
        push_column(&mut json, row.get(self.plan().key), column.ty());
        Some(wrapped(json, Some(&Schema::of_column(column.ty(), false)), schemas))
    }

    fn value(&self, row: &Row, route: &str) -> Result<Option<Bytes>, Error> {
        let payload = row.get(self.plan().payload);
        let is_empty = match payload {
            ColumnValue::Null => true,
            ColumnValue::Text(text) => text.trim_matches(|c| c <= ' ').is_empty(),
            _ => false,
        };
        if is_empty && self.router().empty_payload == EmptyPayload::Tombstone {
            return Ok(None);
        }
        match (self.value_converter(), payload) {
            (ValueConverter::String | ValueConverter::Bytes, ColumnValue::Text(text)) => {
                Ok(Some(Bytes::from(text.clone())))
            }
            (ValueConverter::String | ValueConverter::Bytes, ColumnValue::Bytes(bytes)) => Ok(Some(bytes.clone())),
            (ValueConverter::String | ValueConverter::Bytes, _) => Ok(None),
            (ValueConverter::Json(schemas), payload) => self.json_value(row, route, payload, schemas).map(Some),
        }
    }

    fn json_value(&self, row: &Row, route: &str, payload: &ColumnValue, schemas: Schemas) -> Result<Bytes, Error> {
        let columns = self.layout().columns();
        let schema_of = |index: usize| {
            columns
                .get(index)
                .map(|column| Schema::of_column(column.ty(), column.nullability() == Nullability::Nullable))
        };
        let (mut schema, mut json) = (schema_of(self.plan().payload), String::new());
        let outcome = match (self.router().expansion, payload) {
            (Some(options), ColumnValue::Text(text)) => expand::expand(text, &self.router().payload, options),
            _ => Outcome::Kept,
        };
        match outcome {
            Outcome::Expanded { schema: inferred, json: expanded } => (schema, json) = (Some(inferred), expanded),
            Outcome::Kept => push_column(&mut json, payload, ColumnType::Json),
            Outcome::KeptWithoutSchema if self.router().has_envelope() => {
                return Err(Error::encode(
                    &*self.router().payload,
                    "an empty array has no schema, which an envelope needs",
                ));
            }
            Outcome::KeptWithoutSchema => {
                schema = None;
                push_column(&mut json, payload, ColumnType::Json);
            }
            Outcome::Fatal(reason) => return Err(Error::encode(&*self.router().payload, reason)),
        }
        if !self.router().has_envelope() {
            return Ok(wrapped(json, schema.as_ref(), schemas));
        }
        let mut fields = vec![("payload".to_owned(), schema.unwrap_or(Schema::STRING))];
        let mut envelope = format!("{{\"payload\":{json}");
        for Target { alias, index, ty, .. } in &self.plan().envelope {
            envelope.push(',');
            push_string(&mut envelope, alias);
            envelope.push(':');
            push_column(&mut envelope, row.get(*index), *ty);
            fields.extend(schema_of(*index).map(|schema| (alias.clone(), schema)));
        }
        envelope.push('}');
        let version = self.plan().schema_version.and_then(|index| match row.get(index) {
            ColumnValue::Integer(version) => Some(*version),
            _ => None,
        });
        let (table, namespace) = (self.layout().table().as_str(), self.layout().schema().as_str());
        let name = format!("{}.{namespace}.{table}.{route}.Value", self.topic_prefix());
        let schema = Schema::Struct { name: Some(name), version, optional: false, fields };
        Ok(wrapped(envelope, Some(&schema), schemas))
    }
}

/// A header as Connect's SimpleHeaderConverter writes it.
fn header(value: &ColumnValue, ty: ColumnType) -> Option<Bytes> {
    match value {
        ColumnValue::Null => None,
        ColumnValue::Text(text) => Some(Bytes::from(text.clone())),
        ColumnValue::Bytes(bytes) => Some(Bytes::from(BASE64_STANDARD.encode(bytes))),
        ColumnValue::Uuid(uuid) => Some(Bytes::from(uuid.to_string())),
        ColumnValue::Integer(number) => Some(Bytes::from(number.to_string())),
        ColumnValue::Boolean(value) => Some(Bytes::from(value.to_string())),
        ColumnValue::Instant(at) => Some(Bytes::from(instant_text(*at, ty))),
    }
}

/// A column's value as the JsonConverter writes it.
fn push_column(out: &mut String, value: &ColumnValue, ty: ColumnType) {
    let text = header(value, ty).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let is_bare = matches!(value, ColumnValue::Integer(_) | ColumnValue::Boolean(_))
        || matches!(value, ColumnValue::Instant(_) if ty != ColumnType::Timestamptz);
    match text {
        None => out.push_str("null"),
        Some(text) if is_bare => out.push_str(&text),
        Some(text) => push_string(out, &text),
    }
}

fn instant_text(at: time::OffsetDateTime, ty: ColumnType) -> String {
    match ty {
        ColumnType::TimestampMillis => (instant::micros(at) / 1_000).to_string(),
        ColumnType::TimestampMicros => instant::micros(at).to_string(),
        _ => instant::zoned(at),
    }
}

fn wrapped(json: String, schema: Option<&Schema>, schemas: Schemas) -> Bytes {
    if schemas == Schemas::Disabled {
        return Bytes::from(json);
    }
    let mut out = String::from("{\"schema\":");
    match schema {
        Some(schema) => schema.push_json(&mut out, None),
        None => out.push_str("null"),
    }
    out.push_str(",\"payload\":");
    out.push_str(&json);
    out.push('}');
    Bytes::from(out)
}
