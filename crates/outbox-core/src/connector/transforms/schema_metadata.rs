use super::class;
use crate::Error;
use crate::connector::{ConnectorConfig, Placed, Placement};

/// The name and version that Kafka Connect's `SetSchemaMetadata$Value` gives to the schema of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaMetadata {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<i32>,
}

impl SchemaMetadata {
    pub(super) fn of(config: &ConnectorConfig, router: &str, name: &str) -> Result<Self, Error> {
        let key = |option: &str| format!("transforms.{name}.{option}");
        if class(config, name).ends_with("$Key") {
            return Err(Error::config(
                key("type"),
                class(config, name),
                "Debezium's task fails at it, because keys of events are no structs",
            ));
        }
        if !is_struct(config, router) {
            let reason = "Debezium's task fails at it, because values are no structs: they are with \
                          table.expand.json.payload=true, or with a column in the envelope";
            return Err(Error::config(key("type"), class(config, name), reason));
        }

        let version = config.trimmed(&key("schema.version"));
        let number = version.map(|version| {
            version.parse().map_err(|_| Error::config(key("schema.version"), version, "it is not a number of 32 bits"))
        });
        let metadata = Self { name: config.get(&key("schema.name")).map(str::to_owned), version: number.transpose()? };
        if metadata == Self::default() {
            let reason = "Kafka Connect rejects it without schema.name and schema.version";
            return Err(Error::config(key("type"), class(config, name), reason));
        }
        Ok(metadata)
    }

    /// Replaces what a later transformation sets.
    pub(super) fn replace(&mut self, later: &Self) {
        self.name = later.name.clone().or(self.name.take());
        self.version = later.version.or(self.version);
    }
}

/// Returns whether the router makes values structs.
fn is_struct(config: &ConnectorConfig, router: &str) -> bool {
    let expands = config.boolean(&format!("transforms.{router}.table.expand.json.payload"), false).unwrap_or(false);
    let placed = Placed::list(config, &format!("transforms.{router}.table.fields.additional.placement"));
    expands || placed.iter().flatten().any(|placed| placed.placement == Placement::Envelope)
}
