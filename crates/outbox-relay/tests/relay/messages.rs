//! Events without a table: logical decoding messages.

use outbox_core::{ConnectorConfig, Pipeline, TableLayout};
use outbox_pg::PgOutbox;
use outbox_pg::tokio_postgres::Client;
use outbox_relay::RelaySettingsBuilder;
use outbox_test_support::{TestEnv, eventually};
use tokio::task::JoinSet;

use crate::fixture::{RelayEnv, numbered};

async fn messages(partitions: i32) -> RelayEnv {
    RelayEnv::at(TestEnv::builder().kafka().layout(TableLayout::messages()), partitions).await
}

async fn emit(fixture: &RelayEnv, arguments: &str) {
    fixture.client().await.batch_execute(&format!("SELECT pg_logical_emit_message({arguments})")).await.unwrap();
}

#[tokio::test]
async fn messages_are_records_once_and_in_order_whatever_becomes_of_the_relay() {
    let fixture = messages(2).await;
    fixture.enqueue_each(3, 0..60).await;
    fixture.enqueue_at_once(3, 60..1_060).await;
    emit(&fixture, "true, 'of somebody else', 'x'").await;
    let mut client = fixture.client().await;
    let tx = client.transaction().await.unwrap();
    fixture.outbox.enqueue(&tx, &numbered(3, 9_999)).await.unwrap();
    tx.rollback().await.unwrap();

    let relay = fixture.start();
    fixture.records(200).await;
    relay.kill().await;
    let relay = fixture.start();
    fixture.enqueue_each(3, 1_060..1_100).await;
    fixture.records(1_100).await;
    relay.kill().await;
    let relay = fixture.start();
    fixture.enqueue_each(3, 1_100..1_110).await;
    emit(&fixture, "true, 'outbox-heartbeat', ''").await;
    let records = fixture.records(1_110).await;
    fixture.confirmed().await;
    fixture.check(&fixture.read(&fixture.topic).await, 1_110);
    assert!(records.iter().all(|record| record.headers["event_type"] == "Numbered"));
    let metrics = relay.status.prometheus_text();
    let ignored = metrics.lines().find(|line| line.contains("ignored_changes_total{kind=\"message\"}"));
    assert!(ignored.is_some_and(|line| !line.ends_with(" 0")), "{ignored:?}");
    relay.stop().await;
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_poison_that_is_named_skipped_or_dead_lettered() {
    let mut fixture = messages(1).await;
    fixture.enqueue_each(1, 0..3).await;
    emit(
        &fixture,
        "true, 'outbox.outbox_message', '{\"id\":\"00000000-0000-4000-8000-000000000001\",\"x\":[1,\"a\"]}'",
    )
    .await;
    fixture.enqueue_each(1, 3..6).await;
    let error = fixture.start().outcome().await.unwrap_err();
    assert!(error.is_poison(), "{error:?}");
    let poison = error.position().unwrap().clone();
    assert!(error.to_string().contains(&format!("--skip {poison}")), "{error}");
    fixture.check(&fixture.records(3).await, 3);

    let relay = fixture.start_with(|settings| settings.skip([poison]));
    fixture.check(&fixture.records(6).await, 6);
    relay.stop().await;
    emit(&fixture, "true, 'outbox.outbox_message', 'no JSON'").await;
    fixture.enqueue_each(1, 6..8).await;
    let dead = format!("{}.dead", fixture.name());
    fixture.create_topic(&dead).await;
    fixture.dead_letters = Some(dead.clone());
    let relay = fixture.start();
    fixture.check(&fixture.records(8).await, 8);
    let letters = fixture.records_of(&dead, 1).await;
    assert!(letters[0].value.contains("no JSON"), "{letters:?}");
    relay.stop().await;
}

#[tokio::test]
async fn a_message_without_a_transaction_is_an_event_too() {
    let fixture = messages(1).await;
    let content = |number: u32| {
        format!(
            "false, 'outbox.outbox_message', '{{\"id\":\"00000000-0000-4000-8000-00000000000{number}\",
             \"aggregate_type\":\"order\",\"aggregate_id\":\"agg-0\",\"event_type\":\"e\",\"payload\":\"{number}\",
             \"created_at\":\"2026-01-02T03:04:05Z\",\"schema_version\":1,\"content_type\":\"\",\"traceparent\":\"\",
             \"correlation_id\":\"\",\"causation_id\":\"\",\"headers\":\"{{}}\"}}'"
        )
    };
    emit(&fixture, &content(0)).await;
    fixture.enqueue_each(1, 1..3).await;
    emit(&fixture, &content(3)).await;
    fixture.enqueue_each(1, 4..5).await;

    let relay = fixture.start();
    fixture.records(5).await;
    relay.kill().await;

    let relay = fixture.start();
    emit(&fixture, &content(5)).await;
    fixture.enqueue_each(1, 6..7).await;
    fixture.records(7).await;
    fixture.confirmed().await;
    fixture.check(&fixture.read(&fixture.topic).await, 7);
    relay.stop().await;
}

#[tokio::test]
async fn the_relay_creates_a_publication_without_tables_and_the_slot() {
    let mut fixture = messages(1).await;
    let client = fixture.client().await;
    client.execute("SELECT pg_drop_replication_slot($1)", &[&fixture.name()]).await.unwrap();
    client.batch_execute("DROP PUBLICATION outbox").await.unwrap();
    let error = fixture.start().outcome().await.unwrap_err();
    assert!(error.to_string().contains("publication"), "{error}");
    fixture.config = fixture.config.with("publication.name", "of_the_relay");
    let relay = fixture.start_with(RelaySettingsBuilder::create_missing);

    // A slot is active while it is created, too, and events that commit before its start are not published.
    let slot = "SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active AND confirmed_flush_lsn IS NOT NULL";
    eventually("the slot is created and held", async || {
        client.query_opt(slot, &[&fixture.name()]).await.unwrap().is_some()
    })
    .await;

    fixture.enqueue_each(1, 0..3).await;
    fixture.check(&fixture.records(3).await, 3);
    relay.stop().await;
}

/// The procedure of docs/postgres.md, there and back, while a service writes: with Debezium and the relay, each on its
/// slot.
#[tokio::test]
async fn a_service_changes_from_the_table_to_messages_and_back_under_load() {
    let both = |config: ConnectorConfig| config.with_messages(&TableLayout::messages());
    let env = TestEnv::builder().kafka().slot().partitions(3).configure(both).build().await;
    let messages = Pipeline::new(env.config().clone(), TableLayout::messages()).unwrap();
    let outboxes = [env.outbox(), PgOutbox::new(messages)];

    let slot = format!("{}_relay", env.name());
    let create = "SELECT pg_create_logical_replication_slot($1, 'pgoutput')";
    env.client().await.execute(create, &[&slot]).await.unwrap();
    let topic = format!("{}.relayed.order", env.name());
    let config = env.config().clone().with("slot.name", &*slot);
    let config = ["outbox", "messages"].into_iter().fold(config, |config, router| {
        let key = format!("transforms.{router}.route.topic.replacement");
        config.with(key, format!("{}.relayed.${{routedByValue}}", env.name()))
    });
    let fixture = RelayEnv {
        brokers: env.brokers().to_owned(),
        topic: env.topic().to_owned(),
        outbox: env.outbox(),
        dead_letters: None,
        config,
        env,
    };
    let connector = fixture.env.connector();
    connector.start().await;
    let relay = fixture.start();

    // Each instance changes by itself, as in a rolling deployment.
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(fixture.client().await, outboxes.clone(), writer));
    }
    writers.join_all().await;
    let total = WRITERS * PHASE * 3;
    for topic in [&fixture.topic, &topic] {
        fixture.records_of(topic, usize::try_from(total).unwrap()).await;
        fixture.check(&fixture.read(topic).await, total);
    }
    relay.stop().await;
}

const WRITERS: i64 = 3;
/// The events that a writer enqueues before it changes the outbox.
const PHASE: i64 = 60;

/// Enqueues the events of an aggregate: into the table, as messages, and into the table.
async fn write(mut client: Client, [table, messages]: [PgOutbox; 2], writer: i64) {
    for (phase, outbox) in [&table, &messages, &table].into_iter().enumerate() {
        let first = i64::try_from(phase).unwrap() * PHASE;
        for number in first..first + PHASE {
            let tx = client.transaction().await.unwrap();
            outbox.enqueue(&tx, &numbered(WRITERS, number * WRITERS + writer)).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
}
