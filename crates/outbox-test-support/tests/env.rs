//! The parts that a test environment sets up, and their removal.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use outbox_core::OutboxEvent;
use outbox_core::record::Record;
use outbox_test_support::{TestEnv, connect, connect_kafka, eventually, stack};

#[tokio::test]
async fn an_environment_without_parts_needs_no_server() {
    let env = TestEnv::builder().build().await;
    assert_eq!(env.topic(), format!("{}.order", env.name()));
    assert_eq!(env.pipeline().slot().as_str(), env.name());
    assert_eq!(env.config().get("database.hostname"), Some("${env:OUTBOX_DB_HOST}"));
}

#[tokio::test]
async fn the_parts_belong_together() {
    let env = TestEnv::builder().slot().topic(2).build().await;
    assert_eq!(env.config().get("database.dbname"), Some(env.name()));
    let event = |key: &str| OutboxEvent::builder("order", key, "OrderCreated").json("{}").build().unwrap();
    env.enqueue(&[event("1"), event("2")]).await;
    env.enqueue_each(&[event("3")]).await;
    assert_eq!(env.rows().await, 3);
    env.slot_becomes("NOT active").await;

    let mut record = Record::new(env.topic());
    record.value = Some("one".into());
    for partition in [1, 0, 1] {
        env.produce(partition, record.clone()).await;
    }
    let read = env.records(env.topic(), 3).await;
    let places: Vec<_> = read.iter().map(|found| (found.partition, found.offset, found.value())).collect();
    assert_eq!(places, [(0, 0, "one"), (1, 0, "one"), (1, 1, "one")]);
    assert_eq!(env.ends(env.topic()).await, [1, 2]);
    assert!(env.read("missing").await.is_empty());
}

/// Counts the databases, slots, roles and topics that bear a name.
async fn left_of(name: &str) -> usize {
    let sql = "SELECT 1 FROM pg_database WHERE datname = $1 UNION ALL
               SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 UNION ALL
               SELECT 1 FROM pg_roles WHERE rolname = $1";
    let rows = connect(&stack().postgres_url()).await.query(sql, &[&name]).await.unwrap();
    let topics = connect_kafka(&stack().kafka_bootstrap()).await.list_topics().await.unwrap();
    rows.len() + topics.iter().filter(|topic| topic.name.contains(name)).count()
}

/// The variable that lets the next test fail.
const FAIL: &str = "OUTBOX_TEST_FAILS";

#[tokio::test]
async fn a_test_that_fails_on_request() {
    let env = TestEnv::builder().database().build().await;
    let unknown = env.client().await.batch_execute("SELECT no_such_column").await;
    assert!(unknown.is_err() && std::env::var_os(FAIL).is_none(), "on purpose");
}

#[test]
fn a_test_that_fails_prints_what_the_servers_logged_of_it() {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["a_test_that_fails_on_request", "--exact"]).env(FAIL, "1");
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{printed}");
    assert!(printed.contains("no_such_column"), "{printed}");
}

#[tokio::test]
async fn nothing_is_left_of_a_test_that_panics() {
    let (sender, name) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let env = TestEnv::builder().slot().topic(1).build().await;
            let client = env.client().await;
            client.batch_execute(&format!("CREATE ROLE {}", env.name())).await.unwrap();
            assert_eq!(left_of(env.name()).await, 4);
            sender.send(env.name().to_owned()).unwrap();
            panic!("on purpose");
        });
    });
    assert!(test.join().is_err());

    let name = name.recv().unwrap();
    eventually("everything is removed", async || left_of(&name).await == 0).await;
}
