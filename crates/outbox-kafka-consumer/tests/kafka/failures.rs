use std::error::Error as _;
use std::sync::atomic::{AtomicU32, Ordering};

use outbox_core::OutboxEvent;
use outbox_kafka_consumer::deadpool_postgres::Transaction;
use outbox_kafka_consumer::{HandlerResult, Received, with};

use crate::bench::{Bench, OrderCreated, Running};
use crate::positions::store;

#[tokio::test]
async fn a_handler_that_fails_is_tried_again_and_leaves_nothing_behind() {
    let bench = Bench::with_partitions(1).await;
    async fn flaky(attempts: &AtomicU32, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        tx.execute("INSERT INTO effect (order_id) VALUES ($1)", &[&event.event().order_id]).await?;
        match attempts.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err("not today".into()),
            _ => Ok(()),
        }
    }
    bench.produce_order(0, 1).await;
    bench.produce_order(0, 2).await;
    let running = Running::start(bench.consumer().on(with(AtomicU32::new(0), flaky)).build().unwrap());
    assert_eq!(bench.effects(2).await, [1, 2]);
    running.stop().await.unwrap();
    bench.remove_topic().await;
}

/// PostgreSQL has aborted the transaction, and tokio-postgres would answer Ok to its commit.
#[tokio::test]
async fn a_handler_that_swallows_an_sql_error_is_not_taken_for_success() {
    let bench = Bench::with_partitions(1).await;
    async fn careless(attempts: &AtomicU32, tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
            _ = tx.execute("INSERT INTO no_such_table VALUES (1)", &[]).await;
            return Ok(());
        }
        store(tx, event).await
    }
    bench.produce_order(0, 1).await;
    let running = Running::start(bench.consumer().on(with(AtomicU32::new(0), careless)).build().unwrap());
    assert_eq!(bench.effects(1).await, [1]);
    running.stop().await.unwrap();
    bench.remove_topic().await;
}

#[tokio::test]
async fn a_failing_partition_does_not_hold_up_the_others() {
    let bench = Bench::with_partitions(2).await;
    async fn picky(tx: &Transaction<'_>, event: Received<OrderCreated>) -> HandlerResult {
        if event.event().order_id == 13 {
            return Err("never".into());
        }
        store(tx, event).await
    }
    bench.produce_order(0, 13).await;
    bench.produce_order(0, 14).await;
    for order in 1..=3 {
        bench.produce_order(1, order).await;
    }
    let running = Running::start(bench.consumer().on(picky).build().unwrap());
    assert_eq!(bench.effects(3).await, [1, 2, 3]);
    running.stop().await.unwrap();
    assert_eq!(bench.next_offset(0).await, Some(0), "order 14 waits behind 13");
    bench.remove_topic().await;
}

#[tokio::test]
async fn records_that_cannot_be_decoded_stop_the_consumer_at_their_offset() {
    let bench = Bench::with_partitions(1).await;
    bench.produce_order(0, 1).await;
    let mut record = bench.pipeline.encode(&bench.pipeline.row(&event("{\"order_id\":2}")).unwrap()).unwrap();
    record.headers[0].1 = Some("no uuid".into());
    bench.produce_record(0, record).await;
    let error = Running::start(bench.consumer().on(store).build().unwrap()).outcome().await.unwrap_err();
    assert_eq!(error.position(), Some((&*bench.topic, 0, 1)));
    assert!(error.is_record() && error.source().unwrap().to_string().contains("it is not a UUID"), "{error:?}");
    assert_eq!(bench.effects(1).await, [1]);
    assert_eq!(bench.next_offset(0).await, Some(1));
    bench.remove_topic().await;
}

#[tokio::test]
async fn a_payload_that_is_not_the_handlers_stops_the_consumer_at_its_offset() {
    let bench = Bench::with_partitions(1).await;
    bench.produce(0, &event("{\"order_id\":\"text\"}")).await;
    let error = Running::start(bench.consumer().on(store).build().unwrap()).outcome().await.unwrap_err();
    assert_eq!(error.position(), Some((&*bench.topic, 0, 0)));
    assert!(!error.is_transient());
    bench.remove_topic().await;
}

#[tokio::test]
async fn a_handler_that_panics_ends_the_consumer_with_an_error() {
    let bench = Bench::with_partitions(1).await;
    async fn panics(_: &Transaction<'_>, _: Received<OrderCreated>) -> HandlerResult {
        panic!("on purpose")
    }
    bench.produce_order(0, 1).await;
    let error = Running::start(bench.consumer().on(panics).build().unwrap()).outcome().await.unwrap_err();
    assert!(error.to_string().contains("ended"), "{error}");
    assert_eq!(bench.next_offset(0).await, Some(0));
    bench.remove_topic().await;
}

fn event(json: &str) -> OutboxEvent {
    OutboxEvent::builder("order", "1", "OrderCreated").json(json).build().unwrap()
}
