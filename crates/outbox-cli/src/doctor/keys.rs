use outbox_core::ConnectorConfig;
use outbox_relay::RelaySettings;

use super::check::{Check, Status};

/// A key of a connector that causes harm unless it has one of these values.
struct Harmful {
    key: &'static str,
    /// The value that counts without the key.
    default: &'static str,
    safe: &'static [&'static str],
    status: Status,
    harm: &'static str,
}

const HARMFUL: &[Harmful] = &[
    Harmful {
        key: "publication.autocreate.mode",
        default: "all_tables",
        safe: &["disabled", "no_tables"],
        status: Status::Warning,
        harm: "Debezium may create or change the publication, with more tables and operations than the outbox's inserts",
    },
    Harmful {
        key: "flush.lsn.source",
        default: "true",
        safe: &["true"],
        status: Status::Failed,
        harm: "Debezium never confirms the slot, so PostgreSQL keeps all WAL",
    },
    Harmful {
        key: "lsn.flush.mode",
        default: "connector",
        safe: &["connector", "connector_and_driver"],
        status: Status::Failed,
        harm: "Debezium never confirms the slot, so PostgreSQL keeps all WAL",
    },
    Harmful {
        key: "producer.override.acks",
        default: "all",
        safe: &["all", "-1"],
        status: Status::Failed,
        harm: "a broker that fails loses events that Debezium has confirmed",
    },
    Harmful {
        key: "producer.override.enable.idempotence",
        default: "true",
        safe: &["true"],
        status: Status::Warning,
        harm: "a request that is sent again may duplicate events and change their order",
    },
    Harmful {
        key: "producer.override.partitioner.ignore.keys",
        default: "false",
        safe: &["false"],
        status: Status::Failed,
        harm: "events of one aggregate go to different partitions and lose their order",
    },
];

/// Checks the connector's keys without its table: harmful values and unknown keys.
pub(super) fn check(config: &ConnectorConfig) -> Vec<Check> {
    let name = "connector keys";
    let harmful = HARMFUL.iter().filter_map(|harmful| {
        let Harmful { key, default, safe, status, harm } = *harmful;
        let value = config.get(key).map_or(default, str::trim);
        let is_safe = safe.iter().any(|safe| safe.eq_ignore_ascii_case(value));
        let found = || Check::new(name, status, format!("{key} is {value}: {harm}"));
        let first = safe.first().copied().unwrap_or_default();
        (!is_safe).then(|| found().remedy(format!("set {key}={first}")))
    });
    let mut checks: Vec<_> = harmful.collect();

    let unknown: Vec<_> = config.iter().map(|(key, _)| key).filter(|key| !is_known(config, key)).collect();
    if !unknown.is_empty() {
        let found = format!(
            "{}: neither Kafka Connect nor Debezium nor a transformation of this configuration knows it, so it has no effect",
            unknown.join(", ")
        );
        checks.push(
            Check::warning(name, found)
                .remedy("correct or remove it; options of a transformation begin with transforms.NAME."),
        );
    }
    if checks.is_empty() {
        checks.push(Check::ok(name, "each key has an effect, and none harms"));
    }

    checks
}

/// Returns whether a key is an option of Kafka Connect, Debezium, the EventRouter, or a class that is not modelled.
fn is_known(config: &ConnectorConfig, key: &str) -> bool {
    let is_of = |prefix: &str| key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    let class = |key: &str| config.get(key).map(str::trim).unwrap_or_default();
    let is_foreign = |class: &str| {
        !class.is_empty() && !class.starts_with("org.apache.kafka.") && !class.ends_with(".BinaryDataConverter")
    };
    if ["key.converter", "value.converter"].iter().any(|name| is_of(name) && is_foreign(class(name))) {
        return true;
    }

    let transforms = class("transforms").split(',').map(str::trim).filter(|name| !name.is_empty());
    let (routers, others): (Vec<_>, Vec<_>) =
        transforms.partition(|name| class(&format!("transforms.{name}.type")).ends_with(".EventRouter"));
    others.iter().any(|name| is_of(&format!("transforms.{name}")))
        || routers.iter().chain(&[""]).any(|router| RelaySettings::effect_of_key(key, router).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(entries: &[(&str, &str)]) -> Vec<(Status, String)> {
        let base = ConnectorConfig::recommended(&outbox_core::TableLayout::recommended());
        let config = entries.iter().fold(base, |config, (key, value)| config.with(*key, *value));
        check(&config).into_iter().map(|check| (check.status, check.found)).collect()
    }

    #[test]
    fn the_recommended_configuration_is_free_of_findings() {
        assert_eq!(findings(&[]), [(Status::Ok, "each key has an effect, and none harms".to_owned())]);
    }

    #[test]
    fn options_with_a_wrong_prefix_are_unknown_and_those_of_other_transformations_are_not() {
        let found = findings(&[
            ("transforms", "outbox, mask"),
            ("transforms.mask.type", "org.apache.kafka.connect.transforms.MaskField$Value"),
            ("transforms.mask.fields", "a"),
            ("transforms.outbux.table.field.event.id", "id"),
            ("database.server.name", "server"),
        ]);
        let [(Status::Warning, text)] = &found[..] else { panic!("{found:?}") };
        assert!(text.contains("transforms.outbux.table.field.event.id") && !text.contains("mask"), "{text}");
    }

    #[test]
    fn a_harmful_value_is_named_with_its_consequence() {
        let found = findings(&[("producer.override.acks", "1"), ("publication.autocreate.mode", "filtered")]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found.iter().any(|(status, text)| *status == Status::Failed && text.contains("acks is 1")),
            "{found:?}"
        );
    }
}
