use outbox_core::{OutboxEvent, Record};
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{HandlerResult, Received};

use crate::bench::{Bench, OrderCreated, Running};

pub(crate) async fn store(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
    tx.execute("INSERT INTO effect (order_id) VALUES ($1)", &[&event.event().order_id]).await?;
    Ok(())
}

#[tokio::test]
async fn a_new_group_begins_at_the_earliest_record_and_goes_on_where_it_stopped() {
    let bench = Bench::with_partitions(1).await;
    for order in 1..=3 {
        bench.produce_order(0, order).await;
    }
    let running = Running::start(bench.consumer().on(store).build().unwrap());
    assert_eq!(bench.effects(3).await, [1, 2, 3]);
    running.stop().await.unwrap();
    assert_eq!(bench.next_offset(0).await, Some(3));
    bench.produce_order(0, 4).await;
    let running = Running::start(bench.consumer().on(store).build().unwrap());
    assert_eq!(bench.effects(4).await, [1, 2, 3, 4], "nothing is handled twice");
    running.stop().await.unwrap();
    bench.remove_topic().await;
}

#[tokio::test]
async fn a_topic_and_partitions_that_appear_later_are_read() {
    let bench = Bench::without_topic().await;
    let running = Running::start(bench.consumer().on(store).build().unwrap());
    bench.create_topic(2).await;
    bench.produce_order(0, 1).await;
    assert_eq!(bench.effects(1).await, [1]);
    bench.produce_order(1, 2).await;
    assert_eq!(bench.effects(2).await, [1, 2]);
    running.stop().await.unwrap();
    bench.remove_topic().await;
}

#[tokio::test]
async fn records_that_are_no_events_and_events_without_a_handler_move_the_position_only() {
    let bench = Bench::with_partitions(1).await;
    let mut tombstone = Record::new(bench.topic.clone());
    tombstone.key = Some("1".into());
    bench.produce_record(0, tombstone).await;
    let unknown = OutboxEvent::builder("order", "1", "Unknown").json("{}").build().unwrap();
    let last = bench.produce(0, &unknown).await;
    let running = Running::start(bench.consumer().on(store).build().unwrap());
    bench.position(0, last + 1).await;
    bench.produce_order(0, 1).await;
    assert_eq!(bench.effects(1).await, [1]);
    running.stop().await.unwrap();
    bench.remove_topic().await;
}

#[tokio::test]
async fn two_consumers_of_a_group_give_each_record_one_effect() {
    let bench = Bench::with_partitions(1).await;
    let consumers: Vec<_> = (0..2).map(|_| Running::start(bench.consumer().on(store).build().unwrap())).collect();
    for order in 0..60 {
        bench.produce_order(0, order).await;
    }
    assert_eq!(bench.effects(60).await, (0..60).collect::<Vec<_>>());
    for consumer in consumers {
        consumer.stop().await.unwrap();
    }
    assert_eq!(bench.effects(60).await.len(), 60);
    assert_eq!(bench.next_offset(0).await, Some(60));
    bench.remove_topic().await;
}

#[tokio::test]
async fn a_position_that_is_not_in_the_topic_stops_the_consumer() {
    let bench = Bench::with_partitions(1).await;
    bench.produce_order(0, 1).await;
    let sql = "INSERT INTO outbox.consumer_position (consumer_group, topic, partition, next_offset) VALUES ('test', $1, 0, 7)";
    bench.client().await.execute(sql, &[&bench.topic]).await.unwrap();
    let error = Running::start(bench.consumer().on(store).build().unwrap()).outcome().await.unwrap_err();
    assert!(error.is_record(), "{error}");
    assert_eq!(error.position(), Some((&*bench.topic, 0, 7)));
    assert!(error.to_string().contains("holds 0 to before 1"), "{error}");
    bench.remove_topic().await;
}
