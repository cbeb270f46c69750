use std::process::Stdio;

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::outbox_kafka::{Cluster, NewTopic, Settings};
use outbox_test_support::{TestEnv, eventually, stack};
use rskafka::client::partition::UnknownTopicHandling;

use crate::consumer::Stock;
use crate::doctor::{fails, findings};
use crate::fixture::{TempFile, order, program};

/// Checks that one thing is a warning with a text.
async fn warns(env: &TestEnv, arguments: &[&str], text: &str) {
    let (_, warnings) = findings(env, arguments, 0).await;
    assert!(warnings.iter().any(|one| one.contains(text)), "{text} is not among {warnings:#?}");
}

#[tokio::test]
async fn what_the_connectors_role_lacks_is_found_by_the_connectors_configuration() {
    let env = TestEnv::builder().slot().build().await;
    let role = format!("{}_cdc", env.name());
    let file = TempFile::config(&env, "-role", &env.config().clone().with("database.user", &role));
    let arguments = ["--connector-config", file.path()];
    fails(&env, &arguments, &format!("the role \"{role}\" does not exist")).await;

    let client = env.client().await;
    let sql = async |sql: String| client.batch_execute(&sql).await.unwrap();
    sql(format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA outbox TO {role}")).await;
    fails(&env, &arguments, "lacks SELECT on TABLE \"outbox\".\"outbox_message\"").await;
    fails(&env, &arguments, "lacks REPLICATION").await;
    sql(format!("ALTER ROLE {role} REPLICATION; GRANT SELECT ON outbox.outbox_message TO {role}")).await;
    let (failed, _) = findings(&env, &arguments, 0).await;
    assert_eq!(failed, [""; 0]);

    let placeholder = env.config().clone().with("database.user", "${env:OUTBOX_DB_USER}");
    let file = TempFile::config(&env, "-role", &placeholder);
    let named = ["--connector-config", file.path(), "--connector-role", "no_such_role"];
    fails(&env, &named, "no_such_role").await;
}

#[tokio::test]
async fn a_publication_that_filters_and_columns_that_debezium_stops_at_are_found() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-filter", env.config());
    let arguments = ["--connector-config", file.path()];
    let client = env.client().await;
    let sql = async |sql: &str| client.batch_execute(sql).await.unwrap();

    sql("ALTER PUBLICATION outbox SET TABLE outbox.outbox_message WHERE (aggregate_type = 'order')").await;
    fails(&env, &arguments, "has a row filter").await;
    sql("ALTER PUBLICATION outbox SET TABLE outbox.outbox_message (id, aggregate_type)").await;
    fails(&env, &arguments, "leaves out the columns").await;
    sql("ALTER PUBLICATION outbox SET TABLE outbox.outbox_message").await;
    sql("ALTER TABLE outbox.outbox_message ALTER created_at TYPE timestamptz").await;
    fails(&env, &arguments, "column \"created_at\"").await;
}

#[tokio::test]
async fn options_that_lose_events_or_keep_wal_are_found() {
    let env = TestEnv::builder().slot().build().await;
    for (key, value) in [("errors.tolerance", "all"), ("snapshot.mode", "initial_only"), ("slot.drop.on.stop", "true")]
    {
        let file = TempFile::config(&env, "-option", &env.config().clone().with(key, value));
        fails(&env, &["--connector-config", file.path()], key).await;
    }
    let quiet = env.config().clone().without("heartbeat.interval.ms");
    let file = TempFile::config(&env, "-option", &quiet);
    warns(&env, &["--connector-config", file.path()], "connector heartbeats: heartbeat.interval.ms is 0").await;
    let file = TempFile::config(&env, "-option", &env.config().clone().without("snapshot.mode"));
    warns(&env, &["--connector-config", file.path()], "connector snapshot: snapshot.mode is initial").await;
}

#[tokio::test]
async fn a_server_without_logical_decoding_is_found() {
    let server = outbox_testkit::Postgres::builder().setting("wal_level", "replica").start().await.unwrap();
    let env = TestEnv::builder().postgres(server.url()).outbox().build().await;
    let file = TempFile::config(&env, "-server", env.config());
    fails(&env, &["--connector-config", file.path()], "server: wal_level is replica").await;
}

#[tokio::test]
async fn topics_that_lose_events_are_found() {
    let env = TestEnv::builder().slot().kafka().build().await;
    let file = TempFile::config(&env, "-topic", env.config());
    let cluster = Cluster::new(Settings::new(stack().kafka_bootstrap().split(',')));
    let name = env.topic();
    let configs = [("cleanup.policy", "compact"), ("max.message.bytes", "1500"), ("retention.ms", "3600000")];
    let configs = configs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    cluster
        .create_topic(&NewTopic { name: name.to_owned(), partitions: Some(1), configs, ..NewTopic::default() })
        .await
        .unwrap();
    let large = OutboxEvent::builder("order", "1", "Large").json(format!("\"{}\"", "x".repeat(2_000))).build();
    env.enqueue(&[large.unwrap()]).await;

    let arguments = ["--connector-config", file.path()];
    let (failed, warnings) = findings(&env, &arguments, 1).await;
    let compacted = format!("retention of {name}: cleanup.policy is compact");
    assert!(failed.iter().any(|one| one.starts_with(&compacted)), "{failed:#?}");
    assert!(warnings.iter().any(|one| one.starts_with(&format!("record size of {name}"))), "{warnings:#?}");
}

#[tokio::test]
async fn events_that_were_removed_before_a_group_read_them_are_found() {
    let mut stock = Stock::new().await;
    stock.repair().await;
    stock.start();
    stock.place(1).await;
    stock.effects(1).await;
    stock.stop().await;
    for order in 2..5 {
        stock.place(order).await;
    }
    let env = &stock.env;
    let topic = env.kafka().partition_client(env.topic(), 0, UnknownTopicHandling::Retry).await.unwrap();
    topic.delete_records(4, 10_000).await.unwrap();

    let file = TempFile::config(env, "-removed", env.config());
    fails(env, &["--connector-config", file.path(), "--group", "stock"], "removed before the group read them").await;
}

#[tokio::test]
async fn a_relay_that_is_not_ready_is_found() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-unready", env.config());
    let [broker, listen] = [(); 2].map(|()| format!("127.0.0.1:{}", xtask::stack::free_port().unwrap()));
    let arguments = ["relay", "run", "--connector", file.path(), "--brokers", &broker, "--listen", &listen];
    let relay = program(&arguments).stderr(Stdio::null()).spawn().unwrap();
    let config = ["--connector-config", file.path()];
    env.enqueue(&[order(1)]).await;
    let url = format!("http://{listen}");
    eventually("the relay is not ready", async || {
        let (failed, _) = findings(&env, &[&config[..], &["--relay", &url]].concat(), 1).await;
        if failed.iter().any(|one| one.starts_with("relay: it is not ready")) { Ok(()) } else { Err(failed) }
    })
    .await;
    drop(relay);
}
