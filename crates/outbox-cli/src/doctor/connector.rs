use outbox_core::{ConnectorConfig, Identifier, Pipeline};
use outbox_net::ErrorChain;
use outbox_relay::{CheckStatus, Relay, RelaySettings, ServerCheck};
use tokio_postgres::Client;

use super::check::{Check, Checks, Status};
use crate::exit::Failure;
use crate::kafka::KafkaOptions;
use crate::model::ModelOptions;
use crate::postgres::DatabaseOptions;

const NAME: &str = "connector configuration";

/// The maker of the outbox table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableOrigin {
    /// The table is as `outbox migrate` makes it.
    Migrations,
    /// Other programs made the table, and write it.
    Others,
}

/// Checks the connector's configuration against the table. Returns the pipeline of both if there is one.
///
/// A configuration that does not fit a table of `outbox migrate` may fit the one that the database has.
pub(super) async fn check(
    model: &ModelOptions,
    config: &ConnectorConfig,
    client: Option<&Client>,
    checks: &mut Checks,
) -> Option<(Pipeline, TableOrigin)> {
    checks.extend(key_checks(config));
    let error = match Pipeline::new(config.clone(), model.layout()) {
        Ok(pipeline) => {
            checks.add(Check::ok(NAME, "it fits the table, and loses nothing"));
            checks.extend(habits(config));
            return Some((pipeline, TableOrigin::Migrations));
        }
        Err(error) => error,
    };
    let existing = match client {
        Some(client) => model.existing(client, config).await.unwrap_or_default(),
        None => None,
    };

    let (losses, pipeline) = match existing {
        Some(existing) => (existing.check().err(), existing.pipeline()),
        None => (None, Err(error)),
    };
    let of = |status, error: &outbox_core::Error| -> Vec<Check> {
        faults(error).into_iter().map(|one| Check::new(NAME, status, one)).collect()
    };

    match &pipeline {
        Err(error) => checks.extend(of(Status::Failed, error)),
        // Debezium writes such records, and consumers must be prepared for them.
        Ok(_) => losses.iter().for_each(|error| checks.extend(of(Status::Warning, error))),
    }
    checks.extend(habits(config));

    match pipeline {
        Ok(pipeline) => {
            let table = pipeline.layout().qualified_name();
            checks.add(Check::ok(NAME, format!("it fits the table {table}, which outbox migrate did not make")));
            Some((pipeline, TableOrigin::Others))
        }
        Err(_) => {
            let remedy = "outbox config generate connector prints one that fits, outbox connector diff what differs";
            checks.add(
                Check::skipped("database", "table, publication and slot need a configuration that fits").remedy(remedy),
            );
            None
        }
    }
}

/// Returns the contradictions of an error, one by one. The text of the first one also contains the others.
fn faults(error: &outbox_core::Error) -> Vec<String> {
    let mut faults: Vec<_> = error.contradictions().map(|one| ErrorChain::new(one).to_string()).collect();
    let second = faults.get(1).map(|second| format!("; {second}"));
    if let (Some(first), Some(second)) = (faults.first_mut(), second)
        && let Some(end) = first.find(&second)
    {
        first.truncate(end);
    }
    faults
}

/// Checks the settings for a connector's start, its stop, and the time between events.
fn habits(config: &ConnectorConfig) -> [Check; 3] {
    [heartbeats(config), slot(config), snapshot(config)]
}

/// Returns the pipeline of the recommended configuration, which is checked if no other one is given.
pub(super) fn assumed(model: &ModelOptions, checks: &mut Checks) -> Result<(Pipeline, TableOrigin), Failure> {
    let found = "none is given, so slot, publication and topics are assumed to be those of the recommended one";
    checks.add(Check::skipped(NAME, found).remedy("give --connector NAME or --connector-config FILE"));
    Ok((model.pipeline()?, TableOrigin::Migrations))
}

/// Checks that the slot moves while only other tables are written.
fn heartbeats(config: &ConnectorConfig) -> Check {
    let name = "connector heartbeats";
    let millis = config.get("heartbeat.interval.ms").and_then(|value| value.trim().parse::<u64>().ok());
    if millis.is_none_or(|millis| millis == 0) {
        let found = "heartbeat.interval.ms is 0: while the outbox is quiet, the WAL of other tables is kept";
        return Check::warning(name, found).remedy("set heartbeat.interval.ms and heartbeat.action.query");
    }

    if config.get("heartbeat.action.query").is_none_or(|query| query.trim().is_empty()) {
        let found = "there is no heartbeat.action.query: with other databases on the server, the WAL is kept";
        return Check::warning(name, found)
            .remedy("set heartbeat.action.query, as outbox config generate connector has it");
    }

    if let Some(prefix) = heartbeat_message(config) {
        let topic = format!("{}.message", config.get("topic.prefix").unwrap_or_default().trim());
        let found = format!("each heartbeat's message {prefix} becomes a record of the topic {topic}");
        return Check::warning(name, found).remedy(format!("set message.prefix.exclude.list={prefix}"));
    }
    Check::ok(name, "the slot moves while the outbox is quiet")
}

/// Returns the prefix of the message that the heartbeat's query emits, if the connector reads it.
fn heartbeat_message(config: &ConnectorConfig) -> Option<String> {
    let (_, arguments) = config.get("heartbeat.action.query")?.split_once("pg_logical_emit_message")?;
    let prefix = arguments.split('\'').nth(1)?;
    // Without a list, all messages are included.
    let list = "message.prefix.include.list";
    let listed = config.clone().with(list, config.get(list).unwrap_or(".*"));
    let is_included = listed.included_messages().is_ok_and(|included| included.contains(prefix));
    is_included.then(|| prefix.to_owned())
}

/// Checks that a stopped connector keeps its slot.
fn slot(config: &ConnectorConfig) -> Check {
    let name = "connector slot";
    match config.get("slot.drop.on.stop").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        true => Check::failed(name, "slot.drop.on.stop is true: each stop loses the events until the next start")
            .remedy("set slot.drop.on.stop=false"),
        false => Check::ok(name, "a stopped connector keeps its slot"),
    }
}

/// Checks that a connector without offsets begins at its slot, and not with all rows.
fn snapshot(config: &ConnectorConfig) -> Check {
    let name = "connector snapshot";
    let mode = config.get("snapshot.mode").map_or("initial", str::trim);
    let remedy = "set snapshot.mode=no_data; outbox replay run publishes rows again";

    match mode.to_ascii_lowercase().as_str() {
        "no_data" | "never" => Check::ok(name, "a connector without offsets begins at its slot"),
        "initial_only" => {
            let found = "snapshot.mode is initial_only: after the rows of the first start, no event is published";
            Check::failed(name, found).remedy(remedy)
        }
        _ => {
            let found = format!("snapshot.mode is {mode}: without its offsets, the connector publishes all rows again");
            Check::warning(name, found).remedy(remedy)
        }
    }
}

/// Returns the role that the connector logs in as, unless a placeholder stands for it.
pub(super) fn role(config: &ConnectorConfig) -> Option<Identifier> {
    let user = config.get("database.user").filter(|user| !user.contains("${"))?;
    Identifier::new(user).ok()
}

/// Returns the topics that the relay's checks have found in the table, and those that are named.
pub(super) fn topics(checks: &[Check], named: &[String]) -> Vec<String> {
    let found = checks.iter().filter_map(|check| check.name.strip_prefix("topic ")).map(str::to_owned);
    found.chain(named.iter().cloned()).collect()
}

/// Checks PostgreSQL and Kafka as the relay does before it starts: topics, sizes, ACLs, clocks.
pub(super) async fn servers(
    config: &ConnectorConfig,
    database: &DatabaseOptions,
    kafka: &KafkaOptions,
    topics: &[String],
) -> Vec<Check> {
    let brokers = match kafka.brokers() {
        Ok(Some(brokers)) => brokers,
        Ok(None) => return vec![Check::skipped("kafka", "no brokers are named").remedy("give --brokers HOST:PORT")],
        Err(failure) => return vec![Check::failed("kafka", failure.to_string())],
    };

    let security = match kafka.security() {
        Ok(security) => security,
        Err(failure) => return vec![Check::failed("kafka", failure.to_string()).remedy("check --kafka-config")],
    };
    let checked = async {
        let (config, password) = database.place(config).await.map_err(|failure| failure.to_string())?;
        let settings = RelaySettings::builder(config, brokers).postgres_password(password);
        let settings = settings.build().map_err(|e| ErrorChain::new(&e).to_string())?;
        let mut relay = Relay::new(settings).map_err(|e| ErrorChain::new(&e).to_string())?;
        if let Some(security) = security {
            relay = relay.kafka_security(security);
        }
        Ok::<_, String>(relay.check(topics).await)
    };

    match checked.await {
        Ok(found) => found.iter().map(of_server).collect(),
        Err(reason) => {
            let check =
                Check::skipped("kafka", format!("the relay, whose checks these are, cannot be set up: {reason}"));
            vec![check.remedy("outbox relay check FILE lists everything that the relay rejects")]
        }
    }
}

/// Converts a check of the relay into one of the doctor.
fn of_server(check: &ServerCheck) -> Check {
    let status = match check.status() {
        CheckStatus::Ok => Status::Ok,
        CheckStatus::Warning => Status::Warning,
        CheckStatus::Skipped => Status::Skipped,
        _ => Status::Failed,
    };

    // The names of topics keep their case.
    let name = match check.name() {
        "Kafka" => "kafka",
        "PostgreSQL" => "postgresql",
        name => name,
    };
    let found = Check::new(name, status, check.detail());

    match check.remedy() {
        Some(remedy) => found.remedy(remedy),
        None => found,
    }
}

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
fn key_checks(config: &ConnectorConfig) -> Vec<Check> {
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
        key_checks(&config).into_iter().map(|check| (check.status, check.found)).collect()
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
