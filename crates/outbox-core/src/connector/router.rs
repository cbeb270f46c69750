use std::borrow::Cow;

use super::route::{DEFAULT_REGEX, DEFAULT_REPLACEMENT};
use super::{ConnectorConfig, Placed, TopicRoute};
use crate::Error;
use crate::pipeline::Found;

/// The options of Debezium's EventRouter (Debezium, "Outbox Event Router", options of 3.7).
#[derive(Clone, Debug)]
pub(crate) struct RouterConfig {
    pub(crate) prefix: String,
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) payload: String,
    pub(crate) timestamp: Option<String>,
    pub(crate) schema_version: Option<String>,
    pub(crate) route_by: String,
    pub(crate) route: TopicRoute,
    pub(crate) placed: Vec<Placed>,
    pub(crate) missing_column: MissingColumn,
    pub(crate) empty_payload: EmptyPayload,
    pub(crate) expansion: Option<Expansion>,
}

/// `table.field.additional.missing`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MissingColumn {
    Error,
    Ignore,
}

/// `route.tombstone.on.empty.payload`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmptyPayload {
    Record,
    Tombstone,
}

/// `table.expand.json.payload` and the options that go with it
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expansion {
    pub(crate) nulls: NullMembers,
    pub(crate) empty_arrays: EmptyArrays,
    pub(crate) names: MemberNames,
}

/// `field.name.adjustment.mode`: the names of members in the schema of an expanded payload. The value of a member that
/// has another name there is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberNames {
    Kept,
    /// Characters that Avro does not allow become `_`.
    Avro,
}

impl MemberNames {
    fn of(config: &ConnectorConfig, key: &str) -> Result<Self, Error> {
        match config.trimmed(key).unwrap_or("none").to_ascii_lowercase().as_str() {
            "none" => Ok(Self::Kept),
            "avro" => Ok(Self::Avro),
            "avro_unicode" => Err(Error::config(key, "avro_unicode", "the names that it makes are not modelled")),
            other => Err(Error::config(key, other, "it is one of none, avro, avro_unicode")),
        }
    }

    /// Returns the name of a member in the schema.
    pub(crate) fn adjusted(self, name: &str) -> Cow<'_, str> {
        let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let begins_with_digit = name.starts_with(|c: char| c.is_ascii_digit());
        if self == Self::Kept || (!begins_with_digit && name.chars().all(is_kept)) {
            return Cow::Borrowed(name);
        }
        let first = begins_with_digit.then_some('_').into_iter();
        // Java replaces each half of a surrogate pair.
        let replaced = name.chars().flat_map(|c| {
            let (c, count) = if is_kept(c) { (c, 1) } else { ('_', c.len_utf16()) };
            std::iter::repeat_n(c, count)
        });
        Cow::Owned(first.chain(replaced).collect())
    }
}

/// `table.json.payload.null.behavior`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NullMembers {
    Ignore,
    OptionalBytes,
}

/// `table.json.payload.empty.array.behavior`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmptyArrays {
    Ignore,
    OptionalString,
}

impl RouterConfig {
    /// Reads the options of the EventRouter of that name.
    pub(crate) fn of(config: &ConnectorConfig, name: &str, found: &mut Found) -> Option<Self> {
        let prefix = format!("transforms.{name}.");
        let key = |option: &str| format!("{prefix}{option}");
        let old = key("table.fields.additional.error.on.missing");
        if let Some(value) = config.get(&old) {
            let reason = "Debezium ignores it since 3.6; use table.field.additional.missing";
            found.add(Error::config(old, value, reason));
        }
        let text = |option, default: &str| config.trimmed(&key(option)).unwrap_or(default).to_owned();
        let optional = |option| config.trimmed(&key(option)).filter(|column| !column.is_empty()).map(str::to_owned);
        let choice = |option: &str, options: [&str; 2]| -> Result<usize, Error> {
            let Some(value) = config.trimmed(&key(option)) else { return Ok(0) };
            let known = options.iter().position(|name| name.eq_ignore_ascii_case(value));
            known.ok_or_else(|| Error::config(key(option), value, format!("it is one of {}", options.join(", "))))
        };

        let nulls = found.take(choice("table.json.payload.null.behavior", ["ignore", "optional_bytes"]));
        let arrays = found.take(choice("table.json.payload.empty.array.behavior", ["ignore", "optional_string"]));
        let route = found.take(TopicRoute::new(
            (&key("route.topic.regex"), &key("route.topic.replacement")),
            &text("route.topic.regex", DEFAULT_REGEX),
            &text("route.topic.replacement", DEFAULT_REPLACEMENT),
        ));

        let placed = found.take(Placed::list(config, &key("table.fields.additional.placement")));
        let missing = found.take(choice("table.field.additional.missing", ["error", "ignore"]));
        let tombstone = found.take(config.boolean(&key("route.tombstone.on.empty.payload"), false));
        let expands = found.take(config.boolean(&key("table.expand.json.payload"), false));
        let names = match expands {
            Some(true) => found.take(MemberNames::of(config, &key("field.name.adjustment.mode"))),
            _ => Some(MemberNames::Kept),
        };
        let expansion = Expansion {
            names: names?,
            nulls: if nulls? == 0 { NullMembers::Ignore } else { NullMembers::OptionalBytes },
            empty_arrays: if arrays? == 0 { EmptyArrays::Ignore } else { EmptyArrays::OptionalString },
        };

        Some(Self {
            id: text("table.field.event.id", "id"),
            key: text("table.field.event.key", "aggregateid"),
            payload: text("table.field.event.payload", "payload"),
            timestamp: optional("table.field.event.timestamp"),
            schema_version: optional("table.field.event.schema.version"),
            route_by: text("route.by.field", "aggregatetype"),
            route: route?,
            placed: placed?,
            missing_column: if missing? == 0 { MissingColumn::Error } else { MissingColumn::Ignore },
            empty_payload: if tombstone? { EmptyPayload::Tombstone } else { EmptyPayload::Record },
            expansion: expands?.then_some(expansion),
            prefix,
        })
    }

    /// Returns the full key of an option, for messages.
    pub(crate) fn key_of(&self, option: &str) -> String {
        format!("{}{option}", self.prefix)
    }

    /// Returns whether an option names the column.
    pub(crate) fn names(&self, column: &str) -> bool {
        self.columns().any(|name| name == column)
    }

    /// Returns the columns that options name.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        let required = [&self.id, &self.key, &self.payload, &self.route_by].into_iter();
        let optional = [&self.timestamp, &self.schema_version].into_iter().flatten();
        required.chain(optional).chain(self.placed.iter().map(|placed| &placed.column)).map(String::as_str)
    }

    pub(crate) fn has_envelope(&self) -> bool {
        self.placed.iter().any(|placed| placed.placement == super::Placement::Envelope)
    }
}
