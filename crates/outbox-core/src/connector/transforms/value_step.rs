use std::borrow::Cow;
use std::collections::BTreeMap;

use super::options::{class, is_struct, listed};
use super::schema_metadata::SchemaMetadata;
use crate::Error;
use crate::connector::ConnectorConfig;

/// The change that a transformation makes to values, which are structs.
#[derive(Clone, Debug)]
pub(super) enum ValueStep {
    SetSchema(SchemaMetadata),
    Replace(ReplacedFields),
    Insert(InsertedField),
}

/// Kafka Connect's `ReplaceField$Value`.
#[derive(Clone, Debug)]
pub(crate) struct ReplacedFields {
    excluded: Vec<String>,
    /// The fields that stay; all if it is empty.
    included: Vec<String>,
    renamed: BTreeMap<String, String>,
}

/// Kafka Connect's `InsertField$Value` with a static value or the topic.
#[derive(Clone, Debug)]
pub(super) struct InsertedField {
    name: String,
    is_optional: bool,
    /// The static value; the topic if there is none.
    text: Option<String>,
}

/// A change of one record's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ValueChange<'a> {
    /// The schema gets this name and version.
    Schema(&'a SchemaMetadata),
    /// Fields are left out and renamed.
    Fields(&'a ReplacedFields),
    /// A text is added as the last field.
    Text { field: &'a str, is_optional: bool, text: Cow<'a, str> },
}

impl PartialEq for ReplacedFields {
    fn eq(&self, other: &Self) -> bool {
        (&self.excluded, &self.included, &self.renamed) == (&other.excluded, &other.included, &other.renamed)
    }
}

impl Eq for ReplacedFields {}

impl ValueStep {
    /// Returns the change of the value of a record in a topic.
    pub(super) fn change(&self, topic: &str) -> ValueChange<'_> {
        match self {
            Self::SetSchema(metadata) => ValueChange::Schema(metadata),
            Self::Replace(fields) => ValueChange::Fields(fields),
            Self::Insert(InsertedField { name, is_optional, text }) => ValueChange::Text {
                field: name,
                is_optional: *is_optional,
                text: text.as_deref().map_or_else(|| Cow::Owned(topic.to_owned()), Cow::Borrowed),
            },
        }
    }
}

impl ReplacedFields {
    /// Reads a ReplaceField on the values of a router.
    pub(super) fn of(config: &ConnectorConfig, router: &str, name: &str) -> Result<Self, Error> {
        value_of_struct(config, router, name)?;
        let list = |option: &str| {
            let names = listed(config, &format!("transforms.{name}.{option}"));
            names.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let renamed = list("renames").into_iter().map(|pair| match pair.split(':').collect::<Vec<_>>()[..] {
            [from, to] => Ok((from.to_owned(), to.to_owned())),
            _ => {
                let reason = "Kafka Connect rejects it: each is a field's name, a colon and the new name";
                Err(Error::config(format!("transforms.{name}.renames"), pair, reason))
            }
        });
        Ok(Self { excluded: list("exclude"), included: list("include"), renamed: renamed.collect::<Result<_, _>>()? })
    }

    /// Returns the new name of a field, if it stays.
    pub(crate) fn name_of<'a>(&'a self, field: &'a str) -> Option<&'a str> {
        let is_in = |names: &[String]| names.iter().any(|name| name == field);
        let stays = !is_in(&self.excluded) && (self.included.is_empty() || is_in(&self.included));
        stays.then(|| self.renamed.get(field).map_or(field, String::as_str))
    }
}

impl InsertedField {
    /// Reads an InsertField on the values of a router.
    pub(super) fn of(config: &ConnectorConfig, router: &str, name: &str) -> Result<Vec<Self>, Error> {
        value_of_struct(config, router, name)?;
        let key = |option: &str| format!("transforms.{name}.{option}");
        for option in ["offset.field", "partition.field", "timestamp.field"] {
            if let Some(field) = config.trimmed(&key(option)) {
                let reason = "only static.field and topic.field are modelled";
                return Err(Error::config(key(option), field, reason));
            }
        }

        let field = |option: &str, text: Option<String>| {
            let spec = config.trimmed(&key(option))?;
            let (name, is_optional) = match spec.strip_suffix('!') {
                Some(name) => (name, false),
                None => (spec.strip_suffix('?').unwrap_or(spec), true),
            };
            Some(Self { name: name.to_owned(), is_optional, text })
        };
        let text = config.get(&key("static.value")).map(str::to_owned);
        if text.is_none() && config.trimmed(&key("static.field")).is_some() {
            return Err(Error::config(key("static.value"), "", "Kafka Connect rejects static.field without it"));
        }

        // Kafka Connect adds them in this order.
        let fields: Vec<_> = [field("topic.field", None), field("static.field", text)].into_iter().flatten().collect();
        match fields.is_empty() {
            true => Err(Error::config(key("type"), class(config, name), "Kafka Connect rejects it without a field")),
            false => Ok(fields),
        }
    }
}

/// Checks that a transformation is of values, and that a router makes them structs.
fn value_of_struct(config: &ConnectorConfig, router: &str, name: &str) -> Result<(), Error> {
    let refuse = |reason: &str| Err(Error::config(format!("transforms.{name}.type"), class(config, name), reason));
    if class(config, name).ends_with("$Key") {
        return refuse("Debezium's task fails at it, because keys of events are no structs");
    }
    if !is_struct(config, router) {
        return refuse(
            "Debezium's task fails at it, because values are no structs: they are with table.expand.json.payload=true, or \
             with a column in the envelope",
        );
    }
    Ok(())
}
