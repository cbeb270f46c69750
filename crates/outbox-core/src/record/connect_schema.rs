use std::fmt::Write as _;

use super::json_column::push_column;
use super::json_writer::push_string;
use super::temporal::Temporal;
use crate::connector::{BinaryForm, DecimalForm, IntervalForm, SchemaMetadata, ValueForms};
use crate::{Column, ColumnType, ColumnValue, Nullability};

/// A Kafka Connect schema, as far as outbox records have one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Schema {
    Scalar {
        kind: &'static str,
        optional: bool,
        name: Option<&'static str>,
        parameters: Option<Box<Parameters>>,
        default: Option<Box<str>>,
    },
    /// `io.debezium.data.VariableScaleDecimal`, a struct of the scale and the digits.
    VariableScale {
        optional: bool,
    },
    Array {
        item: Box<Self>,
        optional: bool,
    },
    Struct {
        name: Option<String>,
        version: Option<i32>,
        optional: bool,
        fields: Vec<(String, Self)>,
    },
}

/// The parameters of a logical type. Few schemas have some, so they are boxed: an expansion's limit counts the size of
/// each schema.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameters(Vec<(&'static str, String)>);

/// Returns Connect's name of the type that Debezium gives to a column.
pub(crate) fn connect_type(column: &Column, forms: ValueForms) -> &'static str {
    match Schema::of_column(column, forms) {
        Schema::Scalar { kind, .. } => kind,
        Schema::Array { .. } => "array",
        Schema::Struct { .. } | Schema::VariableScale { .. } => "struct",
    }
}

/// Returns whether the schema of a column is known in full.
pub(crate) fn has_known_schema(column: &Column, forms: ValueForms) -> bool {
    let is_known = |ty| match ty {
        ColumnType::Enum => column.labels().is_some(),
        ColumnType::Bits => column.length().is_some(),
        ColumnType::Decimal(_) => forms.decimal != DecimalForm::Precise || column.precision().is_some(),
        _ => true,
    };
    match column.ty() {
        ColumnType::Array(element) => is_known(*element),
        ty => is_known(ty),
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
        Self::Scalar { kind, optional: true, name: None, parameters: None, default: None }
    }

    /// Creates the schema that Debezium gives to a column.
    pub(super) fn of_column(column: &Column, forms: ValueForms) -> Self {
        let optional = column.nullability() == Nullability::Nullable;
        if let ColumnType::Array(element) = column.ty() {
            let is_enum = column.labels().is_some();
            return Self::Array { item: Box::new(Self::of_type(*element, column, forms, !is_enum)), optional };
        }
        let mut schema = Self::of_type(column.ty(), column, forms, optional);
        if let Self::Scalar { default, .. } = &mut schema {
            *default = column.default(forms).map(|value| {
                let mut json = String::new();
                push_column(&mut json, value, column.ty(), forms);
                json.into_boxed_str()
            });
        }
        schema
    }

    /// Creates the schema of a column's values, or of their elements.
    fn of_type(ty: ColumnType, column: &Column, forms: ValueForms, optional: bool) -> Self {
        if ty == ColumnType::Numeric && forms.decimal == DecimalForm::Precise {
            return Self::VariableScale { optional };
        }

        let is_enum = ty == ColumnType::Enum || (ty == ColumnType::Text && column.labels().is_some());
        let (kind, name) = match ty {
            _ if is_enum => ("string", Some("io.debezium.data.Enum")),
            ColumnType::Uuid => ("string", Some("io.debezium.data.Uuid")),
            ColumnType::Text | ColumnType::Varchar(_) => ("string", None),
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
            ColumnType::Bits => ("bytes", Some("io.debezium.data.Bits")),
            ty if ty.is_decimal() && forms.decimal == DecimalForm::Text => ("string", None),
            ty if ty.is_decimal() && forms.decimal == DecimalForm::Double => ("double", None),
            ty if ty.is_decimal() => ("bytes", Some("org.apache.kafka.connect.data.Decimal")),
            ColumnType::Timestamptz => ("string", Some("io.debezium.time.ZonedTimestamp")),
            // Of the others there are no records.
            ty => Temporal::of(ty, forms.time).map_or(("bytes", None), |temporal| {
                let (kind, name) = temporal.schema(ty);
                (kind, Some(name))
            }),
        };
        let parameters = name.and_then(|_| parameters(ty, column));
        Self::Scalar { kind, optional, name, parameters, default: None }
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
            Self::Scalar { optional, .. }
            | Self::VariableScale { optional }
            | Self::Array { optional, .. }
            | Self::Struct { optional, .. } => *optional,
        }
    }

    /// Writes the schema as the JsonConverter does: type, fields or items, optional, name, version, doc, parameters,
    /// default, field.
    pub(super) fn push_json(&self, out: &mut String, field: Option<&str>) {
        let (name, version) = self.push_type(out);
        _ = write!(out, ",\"optional\":{}", self.is_optional());
        if let Some(name) = name {
            out.push_str(",\"name\":");
            push_string(out, name);
        }
        if let Some(version) = version {
            _ = write!(out, ",\"version\":{version}");
        }

        match self {
            Self::VariableScale { .. } => out.push_str(",\"doc\":\"Variable scaled decimal\""),
            Self::Scalar { parameters, default, .. } => {
                if let Some(parameters) = parameters {
                    push_parameters(out, parameters);
                }
                if let Some(default) = default {
                    _ = write!(out, ",\"default\":{default}");
                }
            }
            Self::Array { .. } | Self::Struct { .. } => {}
        }

        if let Some(field) = field {
            out.push_str(",\"field\":");
            push_string(out, field);
        }
        out.push('}');
    }

    /// Writes the type with its fields or items, and returns the name and the version.
    fn push_type(&self, out: &mut String) -> (Option<&str>, Option<i32>) {
        match self {
            Self::Scalar { kind, name, .. } => {
                _ = write!(out, "{{\"type\":\"{kind}\"");
                (*name, name.map(|_| 1))
            }
            Self::VariableScale { .. } => {
                out.push_str(
                    "{\"type\":\"struct\",\"fields\":[{\"type\":\"int32\",\"optional\":false,\"field\":\"scale\"},\
                     {\"type\":\"bytes\",\"optional\":false,\"field\":\"value\"}]",
                );
                (Some("io.debezium.data.VariableScaleDecimal"), Some(1))
            }
            Self::Array { item, .. } => {
                out.push_str("{\"type\":\"array\",\"items\":");
                item.push_json(out, None);
                (None, None)
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
                (name.as_deref(), *version)
            }
        }
    }
}

/// Returns the parameters of the schema of a logical type, if it has some.
fn parameters(ty: ColumnType, column: &Column) -> Option<Box<Parameters>> {
    let parameters = match ty {
        ColumnType::Enum | ColumnType::Text => vec![("allowed", column.labels()?.to_owned())],
        ColumnType::Bits => vec![("length", column.length()?.to_string())],
        ColumnType::Money => vec![("scale", "2".to_owned())],
        ColumnType::Decimal(_) => {
            let precision = column.precision().map(|digits| ("connect.decimal.precision", digits.to_string()));
            [("scale", column.scale().to_string())].into_iter().chain(precision).collect()
        }
        _ => return None,
    };
    Some(Box::new(Parameters(parameters)))
}

fn push_parameters(out: &mut String, Parameters(parameters): &Parameters) {
    out.push_str(",\"parameters\":{");
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        push_string(out, value);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identifier;

    fn schema(ty: ColumnType, describe: impl FnOnce(Column) -> Column) -> String {
        let column = Column::foreign(Identifier::new("c").unwrap(), ty, Nullability::NotNull);
        let mut json = String::new();
        Schema::of_column(&describe(column), ValueForms::default()).push_json(&mut json, None);
        json
    }

    #[test]
    fn parameters_are_those_of_the_catalog() {
        // numeric(8, 2)
        const MODIFIER: i32 = (8 << 16 | 2) + 4;
        let name = "org.apache.kafka.connect.data.Decimal";
        let parameters = r#""parameters":{"scale":"2","connect.decimal.precision":"8"}"#;

        assert_eq!(
            schema(ColumnType::Decimal(2), |column| column.type_modifier(MODIFIER)),
            format!(r#"{{"type":"bytes","optional":false,"name":"{name}","version":1,{parameters}}}"#)
        );
        assert_eq!(
            schema(ColumnType::Array(&ColumnType::Decimal(0)), |column| column.type_modifier(MODIFIER)),
            format!(
                r#"{{"type":"array","items":{{"type":"bytes","optional":true,"name":"{name}","version":1,{parameters}}},"optional":false}}"#
            )
        );
        assert_eq!(
            schema(ColumnType::Enum, |column| column.enum_labels(["new", "old"])),
            r#"{"type":"string","optional":false,"name":"io.debezium.data.Enum","version":1,"parameters":{"allowed":"new,old"}}"#
        );
        assert_eq!(
            schema(ColumnType::Bits, |column| column.type_modifier(4)),
            r#"{"type":"bytes","optional":false,"name":"io.debezium.data.Bits","version":1,"parameters":{"length":"4"}}"#
        );
    }

    #[test]
    fn schemas_without_their_parameters_are_unknown() {
        let forms = ValueForms::default();
        for ty in
            [ColumnType::Enum, ColumnType::Bits, ColumnType::Decimal(2), ColumnType::Array(&ColumnType::Decimal(0))]
        {
            let column = Column::foreign(Identifier::new("c").unwrap(), ty, Nullability::NotNull);
            assert!(!has_known_schema(&column, forms), "{ty:?}");
            assert!(has_known_schema(&column.type_modifier(10 << 16).enum_labels(["a"]), forms), "{ty:?}");
        }
    }
}
