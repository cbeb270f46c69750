use std::fmt::Write as _;

use super::json_column::push_column;
use super::json_writer::push_string;
use super::temporal::Temporal;
use crate::connector::{BinaryForm, DecimalForm, IntervalForm, SchemaMetadata, ValueForms};
use crate::{Column, ColumnType, ColumnValue, Nullability};

/// A Kafka Connect schema, as far as outbox records have one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Schema {
    Scalar { kind: &'static str, optional: bool, name: Option<&'static str>, default: Option<String> },
    Array { item: Box<Self> },
    Struct { name: Option<String>, version: Option<i32>, optional: bool, fields: Vec<(String, Self)> },
}

/// Returns Connect's name of the type that Debezium gives to a column.
pub(crate) fn connect_type(column: &Column, forms: ValueForms) -> &'static str {
    match Schema::of_column(column, forms) {
        Schema::Scalar { kind, .. } => kind,
        Schema::Array { .. } => "array",
        Schema::Struct { .. } => "struct",
    }
}

impl Schema {
    pub(super) const STRING: Self = Self::optional("string");
    pub(super) const BOOLEAN: Self = Self::optional("boolean");
    pub(super) const INT32: Self = Self::optional("int32");
    pub(super) const INT64: Self = Self::optional("int64");
    pub(super) const FLOAT64: Self = Self::optional("double");
    pub(super) const BYTES: Self = Self::optional("bytes");

    const fn optional(kind: &'static str) -> Self {
        Self::Scalar { kind, optional: true, name: None, default: None }
    }

    /// Creates the schema that Debezium gives to a column.
    pub(super) fn of_column(column: &Column, forms: ValueForms) -> Self {
        let (kind, name) = match column.ty() {
            ColumnType::Uuid => ("string", Some("io.debezium.data.Uuid")),
            ColumnType::Text | ColumnType::Varchar(_) => ("string", None),
            // Its labels, which are part of the schema, are not known here: see `contradictions::in_forms`.
            ColumnType::Enum => ("string", Some("io.debezium.data.Enum")),
            ColumnType::Json | ColumnType::Jsonb => ("string", Some("io.debezium.data.Json")),
            ColumnType::Bytea if forms.binary == BinaryForm::Bytes => ("bytes", None),
            ColumnType::Bytea => ("string", None),
            ColumnType::Xml => ("string", Some("io.debezium.data.Xml")),
            ColumnType::Tsvector => ("string", Some("io.debezium.data.Tsvector")),
            ColumnType::Ltree => ("string", Some("io.debezium.data.Ltree")),
            ColumnType::Hstore => ("string", Some("io.debezium.data.Json")),
            ColumnType::Timetz => ("string", Some("io.debezium.time.ZonedTime")),
            ColumnType::Interval => match forms.interval {
                IntervalForm::Numeric => ("int64", Some("io.debezium.time.MicroDuration")),
                IntervalForm::Text => ("string", Some("io.debezium.time.Interval")),
            },
            ColumnType::Smallint => ("int16", None),
            ColumnType::Integer => ("int32", None),
            ColumnType::Bigint => ("int64", None),
            ColumnType::Real => ("float", None),
            ColumnType::Double => ("double", None),
            ColumnType::Boolean | ColumnType::Bit => ("boolean", None),
            ty if ty.is_decimal() && forms.decimal == DecimalForm::Text => ("string", None),
            ty if ty.is_decimal() && forms.decimal == DecimalForm::Double => ("double", None),
            ColumnType::Timestamptz => ("string", Some("io.debezium.time.ZonedTimestamp")),
            // The others are in headers only.
            ty => Temporal::of(ty, forms.time).map_or(("bytes", None), |temporal| {
                let (kind, name) = temporal.schema(ty);
                (kind, Some(name))
            }),
        };
        let default = column.default().map(|value| {
            let mut json = String::new();
            push_column(&mut json, value, column.ty(), forms);
            json
        });
        Self::Scalar { kind, optional: column.nullability() == Nullability::Nullable, name, default }
    }

    /// Returns the schema that is inferred for a member of a message.
    pub(super) fn of_member(ty: ColumnType, value: &ColumnValue) -> Self {
        match (ty, value) {
            (_, ColumnValue::Null) => Self::BYTES,
            (ColumnType::Integer, _) => Self::INT32,
            (ColumnType::Bigint, _) => Self::INT64,
            (ColumnType::Double, _) => Self::FLOAT64,
            (ColumnType::Boolean, _) => Self::BOOLEAN,
            _ => Self::STRING,
        }
    }

    /// Returns the schema with another name and version, if it is that of a struct.
    pub(super) fn with(self, metadata: &SchemaMetadata) -> Self {
        match self {
            Self::Struct { name, version, optional, fields } => Self::Struct {
                name: metadata.name.clone().or(name),
                version: metadata.version.or(version),
                optional,
                fields,
            },
            other => other,
        }
    }

    pub(super) fn is_optional(&self) -> bool {
        match self {
            Self::Scalar { optional, .. } | Self::Struct { optional, .. } => *optional,
            Self::Array { .. } => true,
        }
    }

    /// Writes the schema as the JsonConverter does: type, fields or items, optional, name, version,
    /// default, field.
    pub(super) fn push_json(&self, out: &mut String, field: Option<&str>) {
        let (name, version, default) = match self {
            Self::Scalar { kind, name, default, .. } => {
                _ = write!(out, "{{\"type\":\"{kind}\"");
                (*name, name.map(|_| 1), default.as_deref())
            }
            Self::Array { item } => {
                out.push_str("{\"type\":\"array\",\"items\":");
                item.push_json(out, None);
                (None, None, None)
            }
            Self::Struct { name, version, fields, .. } => {
                out.push_str("{\"type\":\"struct\",\"fields\":[");
                for (index, (name, schema)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    schema.push_json(out, Some(name));
                }
                out.push(']');
                (name.as_deref(), *version, None)
            }
        };
        _ = write!(out, ",\"optional\":{}", self.is_optional());
        if let Some(name) = name {
            out.push_str(",\"name\":");
            push_string(out, name);
        }

        if let Some(version) = version {
            _ = write!(out, ",\"version\":{version}");
        }

        if let Some(default) = default {
            _ = write!(out, ",\"default\":{default}");
        }

        if let Some(field) = field {
            out.push_str(",\"field\":");
            push_string(out, field);
        }
        out.push('}');
    }
}
