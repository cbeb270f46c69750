//! The relay's table of keys holds every one that the real Connect and Debezium list.

use outbox_relay::RelaySettings;
use serde_json::json;
use xtask::stack::Stack;

use crate::configuration::{BINARY_DATA, BYTE_ARRAY, JSON, STRING};

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
