use std::cell::Cell;
use std::collections::HashMap;

use super::super::connect_schema::Schema;
use super::node::Node;
use crate::connector::{EmptyArrays, Expansion, MemberNames, NullMembers};

/// The reason why there is no schema.
#[derive(Debug, PartialEq)]
pub(super) enum Unfit {
    /// An array's elements differ in type, or a member has no name: the expansion is abandoned.
    NotHomogeneous,
    /// The schema would take more memory than is allowed.
    TooLarge,
}

/// The rules by which a schema is inferred: the options, and how many bytes it may still take. Each nested struct is
/// named by its whole path, so a small document can have a schema of any size.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) options: Expansion,
    pub(super) left: &'a Cell<usize>,
}

impl Rules<'_> {
    fn charge(self, bytes: usize) -> Result<(), Unfit> {
        self.left.set(self.left.get().checked_sub(bytes + std::mem::size_of::<Schema>()).ok_or(Unfit::TooLarge)?);
        Ok(())
    }
}

/// Returns the schema of a document; `None` if the router finds none (null, an empty array).
///
/// It is recursive for each level of nesting, so each function has a small stack frame.
pub(super) fn schema(key: Option<&str>, node: &Node, rules: Rules<'_>) -> Result<Option<Schema>, Unfit> {
    match node {
        Node::Array(elements) if !elements.is_empty() => element_schema(key, elements, rules).map(array),
        Node::Object(members) => struct_schema(key, members, rules).map(Some),
        leaf => Ok(leaf_schema(leaf, rules.options)),
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

fn struct_schema(key: Option<&str>, members: &[(String, Node)], rules: Rules<'_>) -> Result<Schema, Unfit> {
    rules.charge(key.map_or(0, str::len))?;
    let mut fields = Vec::new();

    for (name, value) in members {
        if let Some(field) = field_schema(key, name, value, rules)? {
            if name.is_empty() {
                return Err(Unfit::NotHomogeneous);
            }
            rules.charge(name.len())?;
            let name = rules.options.names.adjusted(name);
            if rules.options.names != MemberNames::Kept && fields.iter().any(|(known, _)| *known == name) {
                return Err(Unfit::NotHomogeneous);
            }
            fields.push((name.into_owned(), field));
        }
    }
    Ok(Schema::Struct { name: key.map(str::to_owned), version: None, optional: true, fields })
}

fn field_schema(key: Option<&str>, name: &str, value: &Node, rules: Rules<'_>) -> Result<Option<Schema>, Unfit> {
    match value {
        Node::Array(_) | Node::Object(_) => {
            let name = rules.options.names.adjusted(name);
            schema(Some(&path(key, &name)), value, rules)
        }
        leaf => Ok(leaf_schema(leaf, rules.options)),
    }
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

fn element_schema(key: Option<&str>, elements: &[Node], rules: Rules<'_>) -> Result<Schema, Unfit> {
    let sample = elements.iter().find(|element| **element != Node::Null).unwrap_or(&Node::Null);
    if !elements.iter().all(|element| is_alike(sample, element)) {
        return Err(Unfit::NotHomogeneous);
    }
    match sample {
        Node::Object(_) => merged_schema(key, elements, rules),
        _ => schema(None, sample, rules)?.ok_or(Unfit::NotHomogeneous),
    }
}

fn is_alike(sample: &Node, element: &Node) -> bool {
    match (sample, element) {
        (_, Node::Null) => true,
        (Node::Number(a), Node::Number(b)) => number(a) == number(b),
        _ => sample.kind() == element.kind(),
    }
}

/// Returns the schema of an array's elements, with the fields of all of them if they are objects. Elements that are
/// equal or ignored do not count against the limit.
fn merged_schema(key: Option<&str>, elements: &[Node], rules: Rules<'_>) -> Result<Schema, Unfit> {
    let objects = elements.iter().filter(|element| **element != Node::Null);
    let mut schemas = objects.filter_map(|node| schema(key, node, rules).transpose());
    let first = schemas.next().ok_or(Unfit::NotHomogeneous)??;
    // Debezium merges in the order of a Java hash set, which differs from run to run; here it is the document's.
    let mut merged: Option<Fields> = None;
    loop {
        let left = rules.left.get();
        let Some(other) = schemas.next().transpose()? else { break };
        let is_kept = match other {
            other if other == first => false,
            Schema::Struct { fields, .. } => merged.get_or_insert_with(|| Fields::of(&first)).add(fields),
            _ => false,
        };
        if !is_kept {
            rules.left.set(left);
        }
    }

    Ok(match (first, merged) {
        (Schema::Struct { name, .. }, Some(merged)) => {
            Schema::Struct { name, version: None, optional: false, fields: merged.all }
        }
        (first, _) => first,
    })
}

/// The fields of unlike objects, in the order in which they are found.
struct Fields {
    all: Vec<(String, Schema)>,
    places: HashMap<String, usize>,
}

impl Fields {
    fn of(schema: &Schema) -> Self {
        let mut fields = Self { all: Vec::new(), places: HashMap::new() };
        if let Schema::Struct { fields: first, .. } = schema {
            fields.add(first.clone());
        }
        fields
    }

    /// Returns whether there is a new field among them.
    fn add(&mut self, others: Vec<(String, Schema)>) -> bool {
        let before = self.all.len();
        for (name, schema) in others {
            match self.places.get(&name).and_then(|place| self.all.get_mut(*place)) {
                Some((_, known)) if *known == Schema::BYTES => *known = schema,
                Some(_) => {}
                None => {
                    self.places.insert(name.clone(), self.all.len());
                    self.all.push((name, schema));
                }
            }
        }
        self.all.len() > before
    }
}
