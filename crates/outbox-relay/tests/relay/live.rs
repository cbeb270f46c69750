use crate::bench::{Bench, numbered};

#[tokio::test]
async fn what_the_slot_holds_and_what_comes_later_arrives_once_and_in_order() {
    let bench = Bench::new(3).await;
    bench.enqueue_each(10, 0..200).await;
    bench.enqueue_at_once(10, 200..5_000).await;
    let relay = bench.start();
    bench.records(5_000).await;
    bench.enqueue_each(10, 5_000..5_300).await;
    let records = bench.records(5_300).await;
    bench.check(&records, 5_300);
    bench.confirmed().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_rolled_back_event_is_never_written() {
    let bench = Bench::new(1).await;
    let relay = bench.start();
    let mut client = bench.client().await;
    let tx = client.transaction().await.unwrap();
    bench.outbox.enqueue(&tx, &numbered(1, 99)).await.unwrap();
    tx.rollback().await.unwrap();
    bench.enqueue_each(1, 0..1).await;
    let records = bench.records(1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].value, "0");
    assert!(records[0].headers["outbox.position"].ends_with("/0"), "{:?}", records[0].headers);
    relay.stop().await;
}

/// Keepalives alone move a slot whose outbox is quiet while the rest of the database writes.
#[tokio::test]
async fn a_quiet_slot_moves_in_a_busy_database() {
    let bench = Bench::new(1).await;
    let relay = bench.start();
    let client = bench.client().await;
    client.batch_execute("CREATE TABLE busy (n int)").await.unwrap();
    for _ in 0..5 {
        client.batch_execute("INSERT INTO busy SELECT generate_series(1, 1000)").await.unwrap();
    }
    bench.confirmed().await;
    relay.stop().await;
}

/// The server refuses to hold so much at once, so the relay has to stream the transaction.
#[tokio::test]
async fn a_transaction_too_large_to_be_read_at_once_is_streamed() {
    let bench = Bench::new(2).await;
    let limit = format!("ALTER DATABASE {} SET temp_file_limit = '1MB'", bench.name());
    bench.client().await.batch_execute(&limit).await.unwrap();
    bench.enqueue_at_once(10, 0..30_000).await;
    let relay = bench.start();
    let records = bench.records(30_000).await;
    bench.check(&records, 30_000);
    bench.confirmed().await;
    relay.stop().await;
}
