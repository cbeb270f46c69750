//! The relay's table of keys holds every one that the real Connect and Debezium list.

use std::collections::BTreeSet;

use outbox_core::ConnectorConfig;
use outbox_relay::RelaySettings;
use serde_json::json;
use xtask::stack::Stack;

use crate::configuration::{BINARY_DATA, BYTE_ARRAY, JSON, STRING};

/// Debezium lists it as a boolean, and takes anything.
const UNCHECKED: &str = "internal.legacy.snapshot.max.threads";

const CONNECTOR: &str = "io.debezium.connector.postgresql.PostgresConnector";

#[test]
fn every_key_that_connect_lists_is_known() {
    let connect = Stack::connect().unwrap().connect_rest();
    let mut listed = 0;

    for converter in [STRING, JSON, BYTE_ARRAY, BINARY_DATA] {
        let config = json!({
            "name": "keys",
            "connector.class": CONNECTOR,
            "key.converter": converter,
            "value.converter": converter,
            "predicates": "p",
            "predicates.p.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
            "topic.creation.groups": "other",
            "topic.creation.default.partitions": "1",
            "topic.creation.default.replication.factor": "1",
            "transforms": "route",
            "transforms.route.type": "io.debezium.transforms.outbox.EventRouter",
        });
        let answer = connect.validate(CONNECTOR, &config).unwrap();
        for key in answer["configs"].as_array().unwrap() {
            let key = key["definition"]["name"].as_str().unwrap();
            assert!(RelaySettings::effect_of_key(key, "route").is_some(), "{key} is not in the table");
            listed += 1;
        }
    }
    assert!(listed > 4 * 180, "{listed}");
}

/// The relay rejects the numbers and booleans that Debezium rejects.
#[test]
fn values_of_other_types_are_rejected_by_both() {
    let connect = Stack::connect().unwrap().connect_rest();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs/files/19-near-recommended-expanded.json");
    let json = std::fs::read_to_string(folder).unwrap();
    let config = ConnectorConfig::from_json(&json).unwrap().with("name", "typed");
    let validate = |config: &ConnectorConfig| {
        let answer = connect.validate(CONNECTOR, &serde_json::to_value(config).unwrap()).unwrap();
        answer["configs"].as_array().unwrap().clone()
    };
    let listed = validate(&config);
    let typed = listed.iter().filter_map(|key| {
        let (name, kind) = (key["definition"]["name"].as_str()?, key["definition"]["type"].as_str()?);
        // It stands for a family of keys.
        let is_typed = ["INT", "LONG", "SHORT", "DOUBLE", "BOOLEAN"].contains(&kind) && !name.contains('(');
        (is_typed && name != UNCHECKED).then_some(name)
    });
    let typed: BTreeSet<&str> = typed.collect();
    assert!(typed.len() > 60, "{typed:?}");

    for value in ["x", "-1", "1.5", "yes"] {
        let changed = typed.iter().fold(config.clone(), |config, key| config.with(*key, value));
        let rejected = validate(&changed);
        let rejected = rejected.iter().filter(|key| !key["value"]["errors"].as_array().unwrap().is_empty());
        let rejected: BTreeSet<&str> = rejected.filter_map(|key| key["value"]["name"].as_str()).collect();
        let check = RelaySettings::builder(changed, ["127.0.0.1:9092"]).check();
        let by_relay: BTreeSet<&str> = check.rejected().iter().map(|finding| finding.key()).collect();
        let accepted: Vec<_> = typed.iter().filter(|key| rejected.contains(*key) && !by_relay.contains(*key)).collect();
        assert!(accepted.is_empty(), "{value}: the relay accepts {accepted:?}");
    }
    for changes in [
        &[("topic.prefix", "a b")][..],
        &[("predicates", "p")],
        &[("message.prefix.include.list", "a"), ("message.prefix.exclude.list", "b")],
        &[("skipped.operations", "u,z")],
        &[("message.key.columns", "public.outbox")],
        &[("message.key.columns", "public.outbox:a,,b")],
        &[("snapshot.mode", "custom")],
        &[("snapshot.include.collection.list", "(")],
        &[("table.include.list", "public.(")],
        &[("max.batch.size", "100"), ("max.queue.size", "100")],
    ] {
        let changed = changes.iter().fold(config.clone(), |config, (key, value)| config.with(*key, *value));
        // The connection fails as well.
        let is_other =
            |key: &&serde_json::Value| !key["value"]["name"].as_str().is_some_and(|key| key.starts_with("database."));
        let is_rejected = |key: &serde_json::Value| !key["value"]["errors"].as_array().unwrap().is_empty();
        assert!(validate(&changed).iter().filter(is_other).any(is_rejected), "Debezium accepts {changes:?}");
        let check = RelaySettings::builder(changed, ["127.0.0.1:9092"]).check();
        assert!(!check.is_accepted(), "the relay accepts {changes:?}");
    }
}
