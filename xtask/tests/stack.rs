//! The servers that `cargo xtask test` has started.

use serde_json::json;
use xtask::stack::{Condition, Service, Stack};

const DEBEZIUM: &str = "io.debezium.connector.postgresql.PostgresConnector";

// One test: its parts would be in each other's way.
#[test]
fn servers_answer_and_can_be_ended_and_started_again() {
    let stack = Stack::connect().unwrap();
    for found in stack.status().unwrap() {
        assert_eq!(found.condition, Condition::Answering, "{}", found.service);
    }

    let answer =
        stack.connect_rest().validate(DEBEZIUM, &json!({ "name": "any", "connector.class": DEBEZIUM })).unwrap();
    assert_ne!(answer["error_count"], 0);

    let before = stack.pid(Service::Postgres).unwrap();
    stack.kill(Service::Postgres).unwrap();
    assert_eq!(stack.pid(Service::Postgres).unwrap(), None);
    stack.start(Service::Postgres).unwrap();
    assert_ne!(stack.pid(Service::Postgres).unwrap(), before);

    stack.pause(Service::Kafka).unwrap();
    stack.resume(Service::Kafka).unwrap();
    for found in stack.status().unwrap() {
        assert_eq!(found.condition, Condition::Answering, "{}", found.service);
    }
}
