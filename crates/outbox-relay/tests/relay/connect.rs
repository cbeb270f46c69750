//! The configuration from a running Kafka Connect.

use std::error::Error as _;

use outbox_relay::RelaySettings;
use serde_json::{Map, Value};
use xtask::stack::Stack;

use crate::fixture::RelayEnv;

fn json(config: &outbox_core::ConnectorConfig) -> Value {
    config.iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
}

#[tokio::test]
async fn a_connectors_configuration_is_taken_from_connect_with_its_placeholders() {
    let fixture = RelayEnv::new(1).await;
    let stack = Stack::connect().unwrap();
    let (rest, name) = (stack.connect_rest(), fixture.name().to_owned());
    // A variable that every process has; the worker leaves it as it is where it has no provider of that name.
    let config = json(&fixture.config.clone().with("topic.creation.default.cleanup.policy", "${env:CARGO_PKG_NAME}"));
    // Without a task from its first moment, as the relay holds the slot.
    let created = rest.create_stopped(&name, &config);
    let url = format!("{}/connectors/{name}", stack.connect_url());
    let found = RelaySettings::from_connect(&url, ["127.0.0.1:9092"]).await;
    let missing = RelaySettings::from_connect(&format!("{url}_missing"), ["127.0.0.1:9092"]).await;
    rest.delete(&name).unwrap();
    created.unwrap();

    let settings = found.unwrap().build().unwrap();
    assert_eq!(settings.slot().as_str(), name);
    assert_eq!(settings.topic_creation().unwrap().configs()["cleanup.policy"], "outbox-relay");
    let missing = missing.unwrap_err().to_string();
    assert!(missing.contains(&format!("no connector {name}_missing")) && missing.contains(&name), "{missing}");
}

#[tokio::test]
async fn a_worker_that_is_not_there_is_said_with_what_to_do() {
    let port = xtask::stack::free_port().unwrap();
    let url = format!("http://127.0.0.1:{port}/connectors/outbox");
    let error = RelaySettings::from_connect(&url, ["127.0.0.1:9092"]).await.unwrap_err();
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}: it does not answer")), "{error}");
    assert!(error.source().unwrap().to_string().contains("refused"), "{error:?}");
}
