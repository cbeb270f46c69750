use super::route::{DEFAULT_REGEX, DEFAULT_REPLACEMENT};
use super::{ConnectorConfig, Placed, TopicRoute};
use crate::Error;

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

const EVENT_ROUTER: &str = "io.debezium.transforms.outbox.EventRouter";

impl RouterConfig {
    pub(crate) fn of(config: &ConnectorConfig) -> Result<Self, Error> {
        let transforms = config.trimmed("transforms").unwrap_or_default();
        let names: Vec<_> = transforms.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let [name] = names.as_slice() else {
            let reason = "an outbox pipeline has the EventRouter and no other transformation";
            return Err(Error::config("transforms", transforms, reason));
        };
        let prefix = format!("transforms.{name}.");
        let key = |option: &str| format!("{prefix}{option}");
        let class = config.trimmed(&key("type")).unwrap_or_default();
        if class != EVENT_ROUTER {
            return Err(Error::config(key("type"), class, format!("it is {EVENT_ROUTER}")));
        }
        let old = key("table.fields.additional.error.on.missing");
        if let Some(value) = config.get(&old) {
            return Err(Error::config(old, value, "Debezium ignores it since 3.6; use table.field.additional.missing"));
        }
        if let Some(mode) = config.trimmed(&key("field.name.adjustment.mode")).filter(|mode| *mode != "none") {
            return Err(Error::config(
                key("field.name.adjustment.mode"),
                mode,
                "with it, renamed members of a payload lose their values",
            ));
        }
        let text = |option, default: &str| config.trimmed(&key(option)).unwrap_or(default).to_owned();
        let optional = |option| config.trimmed(&key(option)).filter(|column| !column.is_empty()).map(str::to_owned);
        let choice = |option: &str, default, options: [&str; 2]| -> Result<usize, Error> {
            let Some(value) = config.trimmed(&key(option)) else { return Ok(default) };
            let known = options.iter().position(|name| name.eq_ignore_ascii_case(value));
            known.ok_or_else(|| Error::config(key(option), value, format!("it is one of {}", options.join(", "))))
        };
        let expansion = Expansion {
            nulls: match choice("table.json.payload.null.behavior", 0, ["ignore", "optional_bytes"])? {
                0 => NullMembers::Ignore,
                _ => NullMembers::OptionalBytes,
            },
            empty_arrays: match choice("table.json.payload.empty.array.behavior", 0, ["ignore", "optional_string"])? {
                0 => EmptyArrays::Ignore,
                _ => EmptyArrays::OptionalString,
            },
        };
        Ok(Self {
            id: text("table.field.event.id", "id"),
            key: text("table.field.event.key", "aggregateid"),
            payload: text("table.field.event.payload", "payload"),
            timestamp: optional("table.field.event.timestamp"),
            schema_version: optional("table.field.event.schema.version"),
            route_by: text("route.by.field", "aggregatetype"),
            route: TopicRoute::new(
                (&key("route.topic.regex"), &key("route.topic.replacement")),
                &text("route.topic.regex", DEFAULT_REGEX),
                &text("route.topic.replacement", DEFAULT_REPLACEMENT),
            )?,
            placed: Placed::list(config, &key("table.fields.additional.placement"))?,
            missing_column: match choice("table.field.additional.missing", 0, ["error", "ignore"])? {
                0 => MissingColumn::Error,
                _ => MissingColumn::Ignore,
            },
            empty_payload: match config.boolean(&key("route.tombstone.on.empty.payload"), false)? {
                true => EmptyPayload::Tombstone,
                false => EmptyPayload::Record,
            },
            expansion: config.boolean(&key("table.expand.json.payload"), false)?.then_some(expansion),
            prefix,
        })
    }

    /// The full key of an option, for messages.
    pub(crate) fn key_of(&self, option: &str) -> String {
        format!("{}{option}", self.prefix)
    }

    pub(crate) fn has_envelope(&self) -> bool {
        self.placed.iter().any(|placed| placed.placement == super::Placement::Envelope)
    }
}
