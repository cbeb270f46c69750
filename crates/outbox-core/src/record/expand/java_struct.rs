use super::super::connect_schema::Schema;
use super::super::java::{self, push_struct};
use super::node::Node;
use super::write::{self, Unwritable};

/// Writes a document by its schema as Java's `Struct.toString` does.
pub(super) fn value(out: &mut String, node: &Node, schema: &Schema, limit: usize) -> Result<(), Unwritable> {
    // The JSON shows whether the document fits the schema.
    write::value(&mut String::new(), node, schema, limit)?;
    push(out, node, schema);
    Ok(())
}

/// Appends a node by its schema.
fn push(out: &mut String, node: &Node, schema: &Schema) {
    match (node, schema) {
        (Node::Null, _) => out.push_str("null"),
        (Node::Bool(value), _) => out.push_str(if *value { "true" } else { "false" }),
        (Node::Text(text), _) => out.push_str(text),
        // The serializer writes half of a surrogate pair so.
        (Node::Units(units), _) => {
            out.extend(char::decode_utf16(units.iter().copied()).map(|unit| unit.unwrap_or('?')));
        }
        (Node::Number(number), schema) if *schema == Schema::FLOAT64 => {
            out.push_str(&java::double_to_string(number.parse().unwrap_or(f64::INFINITY)));
        }
        (Node::Number(number), _) => {
            out.push_str(&number.parse().map_or(number.clone(), |value: i64| value.to_string()))
        }
        (Node::Array(elements), Schema::Array { item, .. }) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push(out, element, item);
            }
            out.push(']');
        }
        (Node::Object(members), Schema::Struct { fields, .. }) => {
            let member = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, value)| value);
            let fields = fields.iter().filter_map(|(name, schema)| {
                let value = member(name).filter(|value| **value != Node::Null)?;
                Some((name.as_str(), move |out: &mut String| push(out, value, schema)))
            });
            push_struct(out, fields);
        }
        (Node::Array(_) | Node::Object(_), _) => {}
    }
}
