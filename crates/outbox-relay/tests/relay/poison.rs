use crate::bench::{Bench, numbered};
use outbox_core::OutboxEvent;

fn large(bytes: usize) -> OutboxEvent {
    OutboxEvent::builder("order", "agg-0", "Large").json(format!("\"{}\"", "x".repeat(bytes))).build().unwrap()
}

/// The topic takes 4 KiB at most, so that a row is larger than it may be.
async fn bench_with_small_topic() -> Bench {
    let mut bench = Bench::new(1).await;
    bench.config = bench.config.with("topic.creation.default.max.message.bytes", "4096");
    bench
}

#[tokio::test]
async fn a_row_that_the_broker_never_takes_stops_the_relay_and_is_named() {
    let bench = bench_with_small_topic().await;
    let poison = large(9_000);
    bench.enqueue_each(1, 0..3).await;
    bench.enqueue(&[poison.clone(), numbered(1, 3)]).await;
    let error = bench.start().outcome().await.unwrap_err();
    assert!(error.is_poison(), "{error:?}");
    assert_eq!(error.row().unwrap().2, Some(poison.id().as_uuid()));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("MESSAGE_TOO_LARGE"), "{error:?}");
    let records = bench.records(3).await;
    assert_eq!(records[..3].iter().map(|record| &*record.value).collect::<Vec<_>>(), ["0", "1", "2"]);
    bench.remove_topic().await;
}

#[tokio::test]
async fn a_dead_lettered_row_lets_the_others_go_on() {
    let mut bench = bench_with_small_topic().await;
    let dead = bench.topic.replace(".order", ".dead");
    bench.dead_letters = Some(dead.clone());
    bench.create_topic(&dead).await;
    let poison = large(9_000);
    bench.enqueue_each(1, 0..3).await;
    bench.enqueue(std::slice::from_ref(&poison)).await;
    bench.enqueue_each(1, 3..6).await;
    let relay = bench.start();
    let records = bench.records(6).await;
    bench.check(&records, 6);
    let letters = bench.records_of(&dead, 1).await;
    assert_eq!(letters[0].headers["id"], poison.id().to_string());
    assert!(letters[0].headers["outbox.dead-letter.reason"].contains("MESSAGE_TOO_LARGE"), "{:?}", letters[0].headers);
    assert_eq!(letters[0].headers["outbox.dead-letter.topic"], bench.topic);
    assert_eq!(letters[0].value.len(), 9_002);
    bench.confirmed().await;
    relay.stop().await;
    bench.kafka.controller_client().unwrap().delete_topic(&*dead, 10_000).await.unwrap();
    bench.remove_topic().await;
}

/// The stream of it begins where the slot is confirmed, which is before rows that are written already.
#[tokio::test]
async fn a_large_transaction_that_was_stopped_near_its_end_is_not_written_again() {
    let mut bench = bench_with_small_topic().await;
    bench.enqueue_each(10, 0..50).await;
    let mut events: Vec<_> = (50..40_000).map(|number| numbered(10, number)).collect();
    events.push(large(9_000));
    bench.enqueue(&events).await;
    assert!(bench.start().outcome().await.unwrap_err().is_poison());
    let dead = bench.topic.replace(".order", ".dead");
    bench.dead_letters = Some(dead.clone());
    bench.create_topic(&dead).await;
    let relay = bench.start();
    bench.records_of(&dead, 1).await;
    bench.confirmed().await;
    let records = bench.records(40_000).await;
    bench.check(&records, 40_000);
    relay.stop().await;
    bench.kafka.controller_client().unwrap().delete_topic(&*dead, 10_000).await.unwrap();
    bench.remove_topic().await;
}
