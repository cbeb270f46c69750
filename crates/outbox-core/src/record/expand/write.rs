use std::collections::HashMap;

use super::super::connect_schema::Schema;
use super::super::java;
use super::super::json_writer::{push_string, push_units};
use super::node::Node;

/// The reason why a document cannot be written.
#[derive(Debug)]
pub(super) enum Unwritable {
    /// A value is not of the type that was inferred for it.
    Mismatch(String),
    /// It is longer than allowed.
    TooLarge,
}

/// Writes a document by its schema: a member that the schema lacks is left out, one that the document lacks is null.
pub(super) fn value(out: &mut String, node: &Node, schema: &Schema, limit: usize) -> Result<(), Unwritable> {
    if out.len() > limit {
        return Err(Unwritable::TooLarge);
    }
    match (node, schema) {
        (Node::Null, schema) if schema.is_optional() => out.push_str("null"),
        (Node::Text(text), schema) if *schema == Schema::STRING => push_string(out, text),
        (Node::Units(units), schema) if *schema == Schema::STRING => push_units(out, units),
        (Node::Bool(value), schema) if *schema == Schema::BOOLEAN => {
            out.push_str(if *value { "true" } else { "false" })
        }
        (Node::Number(text), schema) => number(out, text, schema)?,
        (Node::Array(elements), Schema::Array { item, .. }) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                value(out, element, item, limit)?;
            }
            out.push(']');
        }
        (Node::Object(members), Schema::Struct { fields, .. }) => {
            let members = Members::of(members);
            out.push('{');
            for (index, (name, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                push_string(out, name);
                out.push(':');
                value(out, members.get(name).unwrap_or(&Node::Null), field, limit)?;
            }
            out.push('}');
        }
        (node, schema) => {
            let reason = format!("a {} where the schema inferred for it says {schema:?}", node.kind());
            return Err(Unwritable::Mismatch(reason));
        }
    }
    Ok(())
}

/// An object's members by name: in a list while they are few.
enum Members<'a> {
    Few(&'a [(String, Node)]),
    Many(HashMap<&'a str, &'a Node>),
}

impl<'a> Members<'a> {
    fn of(members: &'a [(String, Node)]) -> Self {
        match members.len() {
            0..=16 => Self::Few(members),
            _ => Self::Many(members.iter().map(|(name, node)| (name.as_str(), node)).collect()),
        }
    }

    fn get(&self, name: &str) -> Option<&'a Node> {
        match self {
            Self::Few(members) => members.iter().find(|(known, _)| known == name).map(|(_, node)| node),
            Self::Many(members) => members.get(name).copied(),
        }
    }
}

fn number(out: &mut String, text: &str, schema: &Schema) -> Result<(), Unwritable> {
    let is_integer = !text.contains(['.', 'e', 'E']);
    match (is_integer, text.parse::<i64>()) {
        (false, _) if *schema == Schema::FLOAT64 => {
            let double = text.parse().unwrap_or(f64::INFINITY);
            let java = java::double_to_string(double);
            if double.is_infinite() { push_string(out, &java) } else { out.push_str(&java) }
        }
        (true, Ok(value)) if *schema == i64_or_i32(value) => out.push_str(&value.to_string()),
        (true, Err(_)) => return Err(Unwritable::Mismatch("an integer beyond 64 bits is no FLOAT64".into())),
        _ => return Err(Unwritable::Mismatch("numbers of one member are of different types".into())),
    }
    Ok(())
}

fn i64_or_i32(value: i64) -> Schema {
    if i32::try_from(value).is_ok() { Schema::INT32 } else { Schema::INT64 }
}
