//! The changes that transformations make to a value that is a struct.

use super::connect_schema::Schema;
use super::expand::Unexpandable;
use super::json_writer::push_string;
use crate::Error;
use crate::connector::ValueChange;

/// Applies the changes to a value. Debezium's task fails if it is no struct; a payload that is written as it was stored
/// stays so.
pub(super) fn changed(
    (mut schema, mut json): (Option<Schema>, String),
    changes: &[ValueChange<'_>],
    unexpandable: Unexpandable,
) -> Result<(Option<Schema>, String), Error> {
    for change in changes {
        if let ValueChange::Schema(metadata) = change {
            schema = schema.map(|schema| schema.with(metadata));
            continue;
        }
        let Some(Schema::Struct { name, version, fields, .. }) = schema else {
            return match unexpandable {
                Unexpandable::Verbatim => Ok((schema, json)),
                Unexpandable::Fails => {
                    Err(Error::encode("transforms", "a transformation needs a struct, and the value is none"))
                }
            };
        };
        let values: Vec<String> = members(&json).into_iter().map(str::to_owned).collect();
        let (fields, values) = match change {
            ValueChange::Schema(_) => (fields, values),
            ValueChange::Fields(replaced) => {
                let kept = fields.into_iter().zip(values).filter_map(|((field, schema), value)| {
                    let name = replaced.name_of(&field)?.to_owned();
                    Some(((name, schema), value))
                });
                kept.unzip()
            }
            ValueChange::Text { field, is_optional, text } => with_text((fields, values), field, *is_optional, text),
        };

        if fields.iter().enumerate().any(|(index, (name, _))| fields.iter().take(index).any(|(other, _)| other == name))
        {
            return Err(Error::encode("transforms", "a transformation makes two fields of one name"));
        }
        json = object(&fields, &values);
        // Kafka Connect makes the new struct a required one.
        schema = Some(Schema::Struct { name, version, optional: false, fields });
    }
    Ok((schema, json))
}

type Fields = Vec<(String, Schema)>;

fn with_text(
    (mut fields, mut values): (Fields, Vec<String>),
    field: &str,
    is_optional: bool,
    text: &str,
) -> (Fields, Vec<String>) {
    let schema = match Schema::STRING {
        Schema::Scalar { kind, name, parameters, default, .. } => {
            Schema::Scalar { kind, optional: is_optional, name, parameters, default }
        }
        other => other,
    };
    let mut json = String::new();
    push_string(&mut json, text);
    fields.push((field.to_owned(), schema));
    values.push(json);
    (fields, values)
}

fn object(fields: &[(String, Schema)], values: &[String]) -> String {
    let mut json = String::from("{");
    for (index, ((name, _), value)) in fields.iter().zip(values).enumerate() {
        if index > 0 {
            json.push(',');
        }
        push_string(&mut json, name);
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    json
}

/// Returns the values of the members of an object that was written without spaces, in their order.
fn members(json: &str) -> Vec<&str> {
    let (mut members, mut depth, mut start) = (Vec::new(), 0_usize, None);
    let (mut is_text, mut is_escaped) = (false, false);

    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => depth += 1,
            // The first colon of a member; a value has others one level deeper.
            b':' if depth == 1 => start = Some(at + 1),
            b',' | b'}' if depth == 1 => {
                members.extend(start.take().and_then(|start| json.get(start..at)));
                depth -= usize::from(byte == b'}');
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::SchemaMetadata;

    fn value() -> (Option<Schema>, String) {
        let fields = vec![("a".to_owned(), Schema::INT32), ("b".to_owned(), Schema::STRING)];
        let schema = Schema::Struct { name: Some("n".into()), version: None, optional: true, fields };
        (Some(schema), r#"{"a":1,"b":"x"}"#.to_owned())
    }

    fn text(field: &str) -> ValueChange<'_> {
        ValueChange::Text { field, is_optional: false, text: "t\"".into() }
    }

    #[test]
    fn texts_are_the_last_fields() {
        let metadata = SchemaMetadata { name: Some("m".into()), version: None };
        let changes = [text("c"), ValueChange::Schema(&metadata)];
        let (schema, json) = changed(value(), &changes, Unexpandable::Fails).unwrap();
        let mut written = String::new();
        schema.unwrap().push_json(&mut written, None);

        assert_eq!(json, r#"{"a":1,"b":"x","c":"t\""}"#);
        assert!(written.ends_with(r#"{"type":"string","optional":false,"field":"c"}],"optional":false,"name":"m"}"#));
    }

    #[test]
    fn values_that_stop_the_connector_are_errors() {
        assert!(changed(value(), &[text("a")], Unexpandable::Fails).unwrap_err().is_unencodable());
        let kept = || (Some(Schema::STRING), "\"x\"".to_owned());
        assert!(changed(kept(), &[text("c")], Unexpandable::Fails).unwrap_err().is_unencodable());
        assert_eq!(changed(kept(), &[text("c")], Unexpandable::Verbatim).unwrap(), kept());
    }

    #[test]
    fn members_of_an_object_are_found() {
        assert_eq!(
            members(r#"{"a":1,"b,:":"x}\",:","c":{"d":[1,{"e":2}]},"f":null}"#),
            ["1", r#""x}\",:""#, r#"{"d":[1,{"e":2}]}"#, "null"]
        );
        assert!(members("{}").is_empty());
    }
}
