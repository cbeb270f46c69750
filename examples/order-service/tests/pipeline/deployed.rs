use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;
use outbox_core::ConnectorConfig;
use outbox_test_support::{connect, eventually, stack};
use serde_json::Value;
use uuid::Uuid;
use xtask::stack::{Stack, workspace};

use crate::fixture::{Service, blocking, drop_slot, program, psql};

/// The database and the password of the role that Kafka Connect's environment names.
const DATABASE: &str = "outbox_db";
const PASSWORD: &str = "outbox_connector";
const SLOT: &str = "outbox";
const DEBEZIUM: &str = "io.debezium.connector.postgresql.PostgresConnector";

#[tokio::test]
async fn the_checked_in_connector_is_valid_and_runs_with_the_checked_in_role() {
    let stack = stack();
    let admin = connect(&stack.database_url(DATABASE)).await;
    let slot = "SELECT active FROM pg_replication_slots WHERE slot_name = $1";
    let slot = admin.query_opt(slot, &[&SLOT]).await.unwrap().map(|row| row.get::<_, bool>(0));
    assert_ne!(slot, Some(true), "another connector reads the slot {SLOT}: delete it, or run `cargo xtask test`");

    let name = format!("deployed-{}", Uuid::now_v7());
    let outcome = AssertUnwindSafe(run(&stack, &name)).catch_unwind().await;
    let connect_rest = stack.connect_rest();
    blocking(move || connect_rest.delete(&name).unwrap()).await;
    if slot.is_none() {
        drop_slot(&admin, SLOT).await;
    }
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

async fn run(stack: &Stack, name: &str) {
    let file = |name: &str| std::fs::read_to_string(workspace().join("deploy").join(name)).unwrap();
    let mut setup = program::bare();
    setup.arg("setup").env("DATABASE_URL", stack.database_url(DATABASE));
    let setup = program::output(setup).await;
    assert!(setup.status.success(), "{}", String::from_utf8_lossy(&setup.stderr));
    psql::psql(DATABASE, &file("connector-role.sql"), PASSWORD).await;

    let config = ConnectorConfig::from_json(&file("outbox-connector.json")).unwrap();
    let validated: Value = serde_json::from_str(&config.clone().with("name", name).to_json()).unwrap();
    let connect_rest = stack.connect_rest();
    let report = blocking(move || connect_rest.validate(DEBEZIUM, &validated).unwrap()).await;
    assert_eq!(errors(&report), Vec::<String>::new());
    assert_eq!(report["error_count"], 0);

    let (connect_rest, name) = (stack.connect_rest(), name.to_owned());
    let config: Value = serde_json::from_str(&config.to_json()).unwrap();
    blocking(move || {
        connect_rest.put_config(&name, &config).unwrap();
        connect_rest.wait_running(&name, Duration::from_secs(300)).unwrap();
    })
    .await;
    let mut command = program::bare();
    command
        .env("DATABASE_URL", stack.database_url(DATABASE))
        .env("KAFKA_BROKERS", stack.kafka_bootstrap())
        .env("LISTEN", "127.0.0.1:0");
    let service = Service::listening(command).await;
    let order = service.order(2).await["id"].to_string();
    let received = eventually("the order is received", async || {
        let received = service.received().await;
        received.into_iter().find(|event| event["aggregate_id"].as_str() == Some(&*order))
    })
    .await;
    assert_eq!(received["topic"], "outbox.events.order");
}

/// Returns what Kafka Connect has to say against each key.
fn errors(report: &Value) -> Vec<String> {
    let keys = report["configs"].as_array().unwrap().iter().map(|config| &config["value"]);
    keys.filter(|value| !value["errors"].as_array().unwrap().is_empty()).map(ToString::to_string).collect()
}
