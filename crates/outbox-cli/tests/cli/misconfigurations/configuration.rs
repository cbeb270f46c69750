//! The connector's configuration, which needs no server to be read.

use outbox_core::ConnectorConfig;
use outbox_test_support::TestEnv;
use serde_json::Value;

use super::warns;
use crate::doctor::fails;
use crate::fixture::{TempFile, run};

/// Runs the doctor without any server, and returns the findings of a status.
async fn found(config: &ConnectorConfig, name: &str, status: &str) -> Vec<String> {
    let file = TempFile::new(&format!("configuration-{name}.json"), &config.to_json());
    let nowhere = "postgres://nobody@127.0.0.1:1/none";
    let ran =
        run(&["doctor", "--output", "json", "--connector-config", file.path()], &[("DATABASE_URL", nowhere)]).await;
    let checks = ran.json(1)["checks"].as_array().unwrap().clone();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let checks = checks.iter().filter(|check| check["status"] == status);
    checks
        .map(|check| format!("{}: {} -> {}", text(check, "name"), text(check, "found"), text(check, "remedy")))
        .collect()
}

fn recommended() -> ConnectorConfig {
    ConnectorConfig::recommended(&outbox_core::TableLayout::recommended())
}

#[tokio::test]
async fn keys_that_lose_events_or_stop_a_task_are_found() {
    const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
    const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
    const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
    const EXPAND: &str = "transforms.outbox.table.expand.json.payload";

    // The changes, and a text of what is found.
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("topic.prefix", "")], "topic.prefix"),
        (&[("plugin.name", "decoderbufs")], "plugin.name"),
        (&[("errors.tolerance", "all")], "errors.tolerance"),
        (&[("event.processing.failure.handling.mode", "warn")], "event.processing.failure.handling.mode"),
        (&[("skipped.operations", "c,u")], "skipped.operations"),
        (&[("snapshot.mode", "initial_only")], "snapshot.mode"),
        (&[("slot.drop.on.stop", "true")], "slot.drop.on.stop"),
        (&[("slot.name", "Not A Slot")], "slot.name"),
        (&[("flush.lsn.source", "false")], "keeps all WAL"),
        (&[("lsn.flush.mode", "manual")], "keeps all WAL"),
        (&[("producer.override.acks", "1")], "producer.override.acks"),
        (&[("producer.override.partitioner.ignore.keys", "true")], "lose their order"),
        (&[("table.include.list", "outbox.other")], "table.include.list"),
        (&[("table.exclude.list", "outbox.*")], "table.exclude.list"),
        (&[("schema.include.list", "public")], "schema.include.list"),
        (&[("schema.exclude.list", "outbox")], "schema.exclude.list"),
        (&[("transforms", "router")], "transforms"),
        (&[("transforms.outbox.predicate", "other"), ("predicates", "")], "predicate"),
        (&[("transforms.outbox.route.by.field", "kind")], "route.by.field"),
        (&[("transforms.outbox.table.field.event.key", "key")], "table.field.event.key"),
        (&[("transforms.outbox.table.field.event.payload", "body")], "table.field.event.payload"),
        (&[("value.converter", BYTES)], "value.converter"),
        (&[("value.converter", STRING), (EXPAND, "true")], "value.converter"),
        (&[("value.converter", JSON), (EXPAND, "true")], "table.expand.json.payload"),
        (&[("binary.handling.mode", "hex"), ("value.converter", BYTES)], "value.converter"),
    ];

    for (number, (changes, text)) in cases.iter().enumerate() {
        let config = changes.iter().fold(recommended(), |config, (key, value)| config.with(*key, *value));
        let failed = found(&config, &format!("lossy-{number}"), "failed").await;
        let is_found = |one: &String| one.starts_with("connector ") && one.contains(text);
        assert!(failed.iter().any(is_found), "{changes:?}: {failed:#?}");
        assert!(failed.iter().all(|one| !one.contains("; connector configuration: ")), "each by itself: {failed:#?}");
    }
}

#[tokio::test]
async fn keys_that_keep_wal_publish_again_or_have_no_effect_are_found() {
    let quiet = recommended().without("heartbeat.interval.ms");
    let snapshot = recommended().without("snapshot.mode");
    let creating = recommended().with("publication.autocreate.mode", "filtered");
    let misplaced = recommended().with("transforms.router.table.field.event.id", "id");
    let unknown = recommended().with("database.server.name", "outbox-server");
    let beating = recommended().without("message.prefix.exclude.list");

    for (name, config, text) in [
        ("quiet", quiet, "connector heartbeats: heartbeat.interval.ms is 0"),
        ("snapshot", snapshot, "connector snapshot: snapshot.mode is initial"),
        ("beating", beating, "connector heartbeats: each heartbeat's message outbox-heartbeat becomes a record of"),
        ("creating", creating, "connector keys: publication.autocreate.mode is filtered"),
        ("misplaced", misplaced, "connector keys: transforms.router.table.field.event.id: "),
        ("unknown", unknown, "connector keys: database.server.name: "),
    ] {
        let warnings = found(&config, name, "warning").await;
        assert!(warnings.iter().any(|one| one.starts_with(text)), "{text} is not among {warnings:#?}");
    }
}

/// The configuration of many guides, which was made for Debezium 1.x.
#[tokio::test]
async fn the_configuration_that_guides_copy_is_found_with_all_of_its_faults() {
    let copied = r#"{
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": "postgres", "database.port": "5432", "database.user": "postgres",
        "database.password": "postgres", "database.dbname": "outbox_db", "database.server.name": "outbox-server",
        "table.include.list": "outbox.outbox_message", "plugin.name": "pgoutput", "tombstones.on.delete": "false",
        "transforms": "outbox", "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.by.field": "aggregate_type",
        "transforms.outbox.route.topic.replacement": "outbox.events.${routedByValue}",
        "transforms.outbox.table.field.event.key": "aggregate_id",
        "transforms.outbox.field.event.timestamp": "created_at",
        "transforms.outbox.table.fields.additional.placement": "event_type:header:event_type"
    }"#;
    let copied = ConnectorConfig::from_json(copied).unwrap();
    let failed = found(&copied, "copied", "failed").await;
    assert!(failed.iter().any(|one| one.contains("topic.prefix")), "{failed:#?}");

    let warnings = found(&copied, "copied-warnings", "warning").await;
    let unknown = warnings.iter().find(|one| one.starts_with("connector keys: database.server.name")).unwrap();
    assert!(unknown.contains("transforms.outbox.field.event.timestamp"), "{unknown}");
}

#[tokio::test]
async fn findings_of_the_configuration_stand_next_to_those_of_the_servers() {
    let env = TestEnv::builder().slot().build().await;
    let broken = env.config().clone().with("slot.drop.on.stop", "true").with("publication.autocreate.mode", "filtered");
    let file = TempFile::config(&env, "-option", &broken);
    fails(&env, &["--connector-config", file.path()], "slot.drop.on.stop").await;
    let file = TempFile::config(&env, "-option", &env.config().clone().without("heartbeat.action.query"));
    warns(&env, &["--connector-config", file.path()], "there is no heartbeat.action.query").await;
}
