use crate::fixture::{RelayEnv, numbered};

#[tokio::test]
async fn what_the_slot_holds_and_what_comes_later_arrives_once_and_in_order() {
    let fixture = RelayEnv::new(3).await;
    fixture.enqueue_each(10, 0..200).await;
    fixture.enqueue_at_once(10, 200..5_000).await;
    let relay = fixture.start();
    fixture.records(5_000).await;
    fixture.enqueue_each(10, 5_000..5_300).await;
    let records = fixture.records(5_300).await;
    fixture.check(&records, 5_300);
    fixture.confirmed().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_rolled_back_event_is_never_written() {
    let fixture = RelayEnv::new(1).await;
    let relay = fixture.start();
    let mut client = fixture.client().await;
    let tx = client.transaction().await.unwrap();
    fixture.outbox.enqueue(&tx, &numbered(1, 99)).await.unwrap();
    tx.rollback().await.unwrap();
    fixture.enqueue_each(1, 0..1).await;
    let records = fixture.records(1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].value, "0");
    assert!(records[0].headers["outbox.position"].ends_with("/0"), "{:?}", records[0].headers);
    relay.stop().await;
}

/// Keepalives alone move a slot whose outbox is quiet while the rest of the database writes.
#[tokio::test]
async fn a_quiet_slot_moves_in_a_busy_database() {
    let fixture = RelayEnv::new(1).await;
    let relay = fixture.start();
    let client = fixture.client().await;
    client.batch_execute("CREATE TABLE busy (n int)").await.unwrap();
    for _ in 0..5 {
        client.batch_execute("INSERT INTO busy SELECT generate_series(1, 1000)").await.unwrap();
    }
    fixture.confirmed().await;
    relay.stop().await;
}

/// The server refuses to hold so much at once, so the relay has to stream the transaction.
#[tokio::test]
async fn a_transaction_too_large_to_be_read_at_once_is_streamed() {
    let fixture = RelayEnv::new(2).await;
    let limit = format!("ALTER DATABASE {} SET temp_file_limit = '1MB'", fixture.name());
    fixture.client().await.batch_execute(&limit).await.unwrap();
    fixture.enqueue_at_once(10, 0..30_000).await;
    let relay = fixture.start();
    let records = fixture.records(30_000).await;
    fixture.check(&records, 30_000);
    fixture.confirmed().await;
    relay.stop().await;
}
