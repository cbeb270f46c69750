use super::super::connect_schema::Schema;
use super::node::Node;
use crate::connector::{EmptyArrays, Expansion, NullMembers};

/// An array's elements differ in type, or a member has no name: the expansion is given up.
#[derive(Debug, PartialEq)]
pub(super) struct NotHomogeneous;

/// The schema of a document; `None` where the router sees none (null, an empty array).
///
/// It and what it calls lie on the stack once for every level of nesting, so each of them does little.
pub(super) fn schema(key: Option<&str>, node: &Node, options: Expansion) -> Result<Option<Schema>, NotHomogeneous> {
    match node {
        Node::Array(elements) if !elements.is_empty() => element_schema(key, elements, options).map(array),
        Node::Object(members) => struct_schema(key, members, options).map(Some),
        leaf => Ok(leaf_schema(leaf, options)),
    }
}

fn array(item: Schema) -> Option<Schema> {
    Some(Schema::Array { item: Box::new(item) })
}

fn leaf_schema(node: &Node, options: Expansion) -> Option<Schema> {
    match node {
        Node::Text(_) | Node::Units(_) => Some(Schema::STRING),
        Node::Bool(_) => Some(Schema::BOOLEAN),
        Node::Number(text) => Some(number(text)),
        Node::Null => (options.nulls == NullMembers::OptionalBytes).then_some(Schema::BYTES),
        Node::Array(_) if options.empty_arrays == EmptyArrays::OptionalString => array(Schema::STRING),
        Node::Array(_) | Node::Object(_) => None,
    }
}

fn struct_schema(key: Option<&str>, members: &[(String, Node)], options: Expansion) -> Result<Schema, NotHomogeneous> {
    let mut fields = Vec::new();
    for (name, value) in members {
        if let Some(field) = schema(Some(&path(key, name)), value, options)? {
            if name.is_empty() {
                return Err(NotHomogeneous);
            }
            fields.push((name.clone(), field));
        }
    }
    Ok(Schema::Struct { name: key.map(str::to_owned), version: None, optional: true, fields })
}

fn path(key: Option<&str>, name: &str) -> String {
    match key {
        Some(key) if !key.trim().is_empty() => format!("{key}.{name}"),
        _ => name.to_owned(),
    }
}

fn number(text: &str) -> Schema {
    if text.contains(['.', 'e', 'E']) {
        return Schema::FLOAT64;
    }
    match text.parse::<i64>() {
        Ok(value) if i32::try_from(value).is_ok() => Schema::INT32,
        Ok(_) => Schema::INT64,
        Err(_) => Schema::FLOAT64,
    }
}

fn element_schema(key: Option<&str>, elements: &[Node], options: Expansion) -> Result<Schema, NotHomogeneous> {
    let sample = elements.iter().find(|element| **element != Node::Null).unwrap_or(&Node::Null);
    if !elements.iter().all(|element| is_alike(sample, element)) {
        return Err(NotHomogeneous);
    }
    match sample {
        Node::Object(_) => merged_schema(key, elements, options),
        _ => schema(None, sample, options)?.ok_or(NotHomogeneous),
    }
}

fn is_alike(sample: &Node, element: &Node) -> bool {
    match (sample, element) {
        (_, Node::Null) => true,
        (Node::Number(a), Node::Number(b)) => number(a) == number(b),
        _ => sample.kind() == element.kind(),
    }
}

fn merged_schema(key: Option<&str>, elements: &[Node], options: Expansion) -> Result<Schema, NotHomogeneous> {
    let mut distinct: Vec<Schema> = Vec::new();
    for element in elements.iter().filter(|element| **element != Node::Null) {
        if let Some(schema) = schema(key, element, options)?
            && !distinct.contains(&schema)
        {
            distinct.push(schema);
        }
    }
    // Debezium merges in the order of a Java hash set, which differs from run to run; here it is the document's.
    distinct.into_iter().reduce(merge).ok_or(NotHomogeneous)
}

fn merge(left: Schema, right: Schema) -> Schema {
    match (left, right) {
        (Schema::Struct { name, mut fields, .. }, Schema::Struct { fields: others, .. }) => {
            for (name, schema) in others {
                match fields.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) if *known == Schema::BYTES && schema != Schema::BYTES => *known = schema,
                    Some(_) => {}
                    None => fields.push((name, schema)),
                }
            }
            Schema::Struct { name, version: None, optional: false, fields }
        }
        (left, _) => left,
    }
}
