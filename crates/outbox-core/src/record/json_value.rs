//! Values as the JsonConverter writes them.

use super::connect_schema::Schema;
use super::expand::{self, Outcome};
use super::json_column::push_column;
use super::json_writer::push_string;
use crate::connector::{SchemaMetadata, Schemas};
use crate::pipeline::Target;
use crate::{ColumnType, ColumnValue, Error, Pipeline, Row};

/// The treatment of a payload at which Debezium's expansion fails the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unexpandable {
    Fails,
    Verbatim,
}

impl Pipeline {
    /// Returns a record's value as the JsonConverter writes it.
    pub(super) fn json_value(
        &self,
        row: &Row,
        (route, metadata): (&str, &SchemaMetadata),
        payload: &ColumnValue,
        schemas: Schemas,
        unexpandable: Unexpandable,
    ) -> Result<Vec<u8>, Error> {
        let (schema, json) = self.payload(payload, schemas, unexpandable)?;
        if !self.router().has_envelope() {
            return Ok(wrapped(json, schema.map(|schema| schema.with(metadata)).as_ref(), schemas));
        }

        let mut fields = vec![("payload".to_owned(), schema.unwrap_or(Schema::STRING))];
        let mut envelope = format!("{{\"payload\":{json}");
        for Target { alias, index, ty, .. } in &self.plan().envelope {
            envelope.push(',');
            push_string(&mut envelope, alias);
            envelope.push(':');
            push_column(&mut envelope, self.emitted(row, *index), *ty, self.json_forms().value);
            let schema = self.schema_of(*index, row.get(*index));
            fields.extend(schema.map(|schema| (alias.clone(), schema)));
        }

        envelope.push('}');
        let version = self.plan().schema_version.and_then(|index| match row.get(index) {
            ColumnValue::Integer(version) => Some(*version),
            _ => None,
        });

        let (table, namespace) = (self.layout().table().as_str(), self.layout().schema().as_str());
        let name = match (self.messages(), self.after_router().schemas_of()) {
            // The schema of a message has no name to derive it from.
            (Some(_), _) => route.to_owned(),
            (None, Some(topic)) => format!("{topic}.{route}.Value"),
            (None, None) => format!("{}.{namespace}.{table}.{route}.Value", self.topic_prefix()),
        };
        let schema = Schema::Struct { name: Some(name), version, optional: false, fields };
        Ok(wrapped(envelope, Some(&schema.with(metadata)), schemas))
    }

    /// Returns the JSON of the payload and its schema. `unexpandable` decides on a document that the router's JSON
    /// expansion cannot write.
    fn payload(
        &self,
        payload: &ColumnValue,
        schemas: Schemas,
        unexpandable: Unexpandable,
    ) -> Result<(Option<Schema>, String), Error> {
        let (ty, limit) = (self.payload_type(), self.largest_expansion());
        let name = &self.router().payload;
        let mut json = String::new();
        push_column(&mut json, payload, ty, self.json_forms().value);

        let kept = |json| Ok((self.schema_of(self.plan().payload, payload), json));
        let ColumnValue::Text(text) = payload else { return kept(json) };
        let outcome = match (self.messages(), self.router().expansion) {
            (Some(messages), _) if ty == ColumnType::Json => expand::nested(text, name, messages.nulls, limit),
            // Numbers are no text that is expanded.
            (_, Some(options)) if ty.is_expandable() => expand::expand(text, name, options, limit),
            _ => return kept(json),
        };

        let failed = match outcome {
            Outcome::Expanded { schema, json } => return Ok((Some(schema), json)),
            Outcome::Kept => return kept(json),
            Outcome::KeptWithoutSchema if !self.router().has_envelope() => return Ok((None, json)),
            Outcome::KeptWithoutSchema => "an empty array has no schema, which an envelope needs".into(),
            Outcome::Fatal(reason) => reason,
        };

        match (unexpandable, schemas) {
            (Unexpandable::Fails, _) => Err(Error::encode(&*self.router().payload, failed)),
            (Unexpandable::Verbatim, Schemas::Disabled) => Ok((None, expand::document(text).to_owned())),
            // No schema describes the document, so it is the text that it is in the table.
            (Unexpandable::Verbatim, Schemas::Enabled) => kept(json),
        }
    }

    pub(super) fn schema_of(&self, index: usize, value: &ColumnValue) -> Option<Schema> {
        let column = self.layout().columns().get(index)?;
        Some(match self.messages() {
            Some(_) => Schema::of_member(column.ty(), value),
            None => Schema::of_column(column, self.forms()),
        })
    }

    pub(super) fn payload_type(&self) -> ColumnType {
        self.layout().columns().get(self.plan().payload).map_or(ColumnType::Text, crate::Column::ty)
    }
}

pub(super) fn wrapped(json: String, schema: Option<&Schema>, schemas: Schemas) -> Vec<u8> {
    if schemas == Schemas::Disabled {
        return json.into_bytes();
    }
    let mut out = String::from("{\"schema\":");
    match schema {
        Some(schema) => schema.push_json(&mut out, None),
        None => out.push_str("null"),
    }
    out.push_str(",\"payload\":");
    out.push_str(&json);
    out.push('}');
    out.into_bytes()
}
