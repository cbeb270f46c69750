use std::process::Output;

use outbox_test_support::{TestEnv, eventually};

use crate::fixture::{Service, builder, program, set_up};

#[tokio::test]
async fn an_empty_database_is_refused_with_all_that_is_missing_and_how_to_make_it() {
    let env = builder().build().await;
    let error = refusal(&env, "all").await;
    for part in [
        "the table \"outbox\".\"outbox_message\" does not exist",
        "the publication ",
        "the replication slot ",
        "the table order_service.orders does not exist",
        "the table order_service.received_event does not exist",
        "consumer_position does not exist",
        "`order-service setup`, with the same settings, makes what is missing",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn a_missing_slot_is_refused_by_what_produces_and_not_by_the_consumer() {
    let env = set_up().await;
    let client = env.client().await;
    client.execute("SELECT pg_drop_replication_slot($1)", &[&env.name()]).await.unwrap();
    for mode in ["all", "api"] {
        let error = refusal(&env, mode).await;
        let slot = format!("the replication slot \"{}\" does not exist", env.name());
        assert!(error.contains(&slot) && error.contains("order-service setup"), "{error}");
        assert!(!error.contains("publication") && !error.contains("the table"), "{error}");
    }

    let mut command = program::of(&env);
    command.args(["--mode", "consumer"]);
    let mut consumer = Service::spawn(command);
    eventually("the consumer runs", async || consumer.entry("consuming")).await;
    consumer.terminate();
    assert!(consumer.ended().await.success());
}

#[tokio::test]
async fn a_missing_publication_is_refused() {
    let env = set_up().await;
    let client = env.client().await;
    client.batch_execute(&format!("DROP PUBLICATION {}", env.name())).await.unwrap();
    let error = refusal(&env, "api").await;
    let publication = format!("the publication \"{}\" does not exist", env.name());
    assert!(error.contains(&publication) && error.contains("order-service setup"), "{error}");
}

#[tokio::test]
async fn a_slot_of_another_database_is_refused_by_name() {
    let other = set_up().await;
    let env = builder().build().await;
    let (mut command, file) = (program::of(&env), program::connector_file(&env));
    command.arg("setup");
    let config = env.pipeline().config().clone().with("slot.name", other.name());
    std::fs::write(&file, config.to_json()).unwrap();
    let output = program::output(command).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains(&format!("is of the database {:?}", other.name())), "{error}");
}

#[tokio::test]
async fn sigterm_ends_the_service_in_good_order_while_a_client_is_connected() {
    let env = set_up().await;
    let mut service = Service::start(&env, "all").await;
    service.order(2).await;
    let _idle = tokio::net::TcpStream::connect(service.url().trim_start_matches("http://")).await.unwrap();
    service.terminate();
    let status = service.ended().await;
    assert!(status.success(), "{status}");
    assert_eq!(service.entry("stopping").unwrap()["signal"], "SIGTERM");
    eventually("the end is logged", async || service.entry("stopped")).await;
}

async fn refusal(env: &TestEnv, mode: &str) -> String {
    let output: Output = program::run(env, &["--mode", mode]).await;
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}
