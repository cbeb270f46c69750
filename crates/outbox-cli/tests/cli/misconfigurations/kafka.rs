//! Topics that lose events or hold them up.

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::outbox_kafka::{Cluster, NewTopic, Settings};
use outbox_test_support::{TestEnv, stack};
use rskafka::chrono::Duration;
use rskafka::client::partition::UnknownTopicHandling;

use crate::consumer::{Placed, Stock};
use crate::doctor::{fails, findings};
use crate::fixture::TempFile;

async fn create_topic(name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let cluster = Cluster::new(Settings::new(stack().kafka_bootstrap().split(',')));
    let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let topic = NewTopic { name: name.to_owned(), partitions: Some(partitions), configs, ..NewTopic::default() };
    cluster.create_topic(&topic).await.unwrap();
}

#[tokio::test]
async fn topics_that_lose_or_reject_events_are_found() {
    let more = |config: outbox_core::ConnectorConfig| {
        config.with("topic.creation.default.partitions", "3").with("topic.creation.default.replication.factor", "1")
    };
    let env = TestEnv::builder().slot().kafka().configure(more).build().await;
    let file = TempFile::config(&env, "-topic", env.config());
    let configs = [("cleanup.policy", "compact"), ("max.message.bytes", "1500"), ("retention.ms", "3600000")];
    create_topic(env.topic(), 1, &configs).await;
    let large = OutboxEvent::builder("order", "1", "Large").json(format!("\"{}\"", "x".repeat(2_000))).build();
    env.enqueue(&[large.unwrap()]).await;

    let (failed, warnings) = findings(&env, &["--connector-config", file.path()], 1).await;
    let name = env.topic();
    let compacted = format!("retention of {name}: cleanup.policy is compact");
    assert!(failed.iter().any(|one| one.starts_with(&compacted)), "{failed:#?}");
    for text in [format!("record size of {name}: "), format!("partitions of {name}: the topic has 1, and ")] {
        assert!(warnings.iter().any(|one| one.starts_with(&text)), "{text} is not among {warnings:#?}");
    }
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
async fn events_that_will_be_removed_before_a_group_reads_them_are_found() {
    let mut stock = Stock::new().await;
    stock.repair().await;
    stock.start();
    stock.place(1).await;
    stock.effects(1).await;
    stock.stop().await;
    let env = &stock.env;
    let pipeline = env.pipeline();
    let event = OutboxEvent::from_event(&Placed { order: 2 }).build().unwrap();
    let mut record = outbox_test_support::to_rskafka(pipeline.encode(&pipeline.row(&event).unwrap()).unwrap());
    // Of the seven days that the broker keeps records.
    record.timestamp -= Duration::days(5);
    let topic = env.kafka().partition_client(env.topic(), 0, UnknownTopicHandling::Retry).await.unwrap();
    topic.produce(vec![record], rskafka::client::partition::Compression::NoCompression).await.unwrap();

    let file = TempFile::config(env, "-late", env.config());
    let (_, warnings) = findings(env, &["--connector-config", file.path(), "--group", "stock"], 1).await;
    assert!(warnings.iter().any(|one| one.contains("the next event is 5 d 0 h old")), "{warnings:#?}");
}
