use std::collections::BTreeSet;
use std::time::Duration;

use outbox_core::uuid::Uuid;
use outbox_test_support::eventually;
use xtask::is_full;

use crate::fixture::RelayEnv;
use crate::program::Program;

/// Crashes at many moments under load; the log has each event once, and in order.
#[tokio::test]
async fn a_relay_that_crashes_again_and_again_loses_and_doubles_nothing() {
    let fixture = RelayEnv::new(2).await;
    let count = 3_000;
    let writer = async {
        fixture.enqueue_each(7, 0..count).await;
    };

    let crashes = async {
        for round in 0..12_u64 {
            let relay = fixture.start();
            tokio::time::sleep(Duration::from_millis(60 + round * 37 % 250)).await;
            relay.kill().await;
        }
    };
    tokio::join!(writer, crashes);

    let relay = fixture.start();
    let records = fixture.records(usize::try_from(count).unwrap()).await;
    fixture.confirmed().await;
    fixture.check(&records, count);
    relay.stop().await;
}

/// Records without the header `id` are recognised by their position, which ends with the event's id.
#[tokio::test]
async fn a_relay_that_drops_the_header_id_and_crashes_loses_and_doubles_nothing() {
    let mut fixture = RelayEnv::new(2).await;
    let transforms = format!("{},drop", fixture.config.get("transforms").unwrap());
    fixture.config = fixture
        .config
        .with("transforms", transforms)
        .with("transforms.drop.type", "org.apache.kafka.connect.transforms.DropHeaders")
        .with("transforms.drop.headers", "id");

    let count = 800;
    let writer = async {
        fixture.enqueue_each(7, 0..count / 2).await;
        fixture.enqueue_at_once(7, count / 2..count).await;
    };

    let crashes = async {
        for round in 1..5 {
            let relay = fixture.start();
            eventually("more records are there", async || {
                fixture.ends(&fixture.topic).await.iter().sum::<i64>() >= round * count / 10
            })
            .await;
            relay.kill().await;
        }
    };
    tokio::join!(writer, crashes);

    let relay = fixture.start();
    let records = fixture.records(usize::try_from(count).unwrap()).await;
    fixture.confirmed().await;
    fixture.check(&records, count);
    let events = fixture.client().await.query("SELECT id FROM outbox.outbox_message", &[]).await.unwrap();
    let events: BTreeSet<Uuid> = events.iter().map(|row| row.get(0)).collect();
    let reported = records.iter().map(|record| {
        assert!(!record.headers.contains_key("id"), "{record:?}");
        record.headers["outbox.position"].rsplit('/').next().unwrap().parse().unwrap()
    });
    assert_eq!(reported.collect::<BTreeSet<Uuid>>(), events);
    relay.stop().await;
}

/// The transaction is longer than the scan's limit, and nothing of it is confirmed before its end.
#[tokio::test]
async fn a_crash_within_a_transaction_of_very_many_rows_doubles_nothing() {
    let rows = if is_full() { 1_000_000 } else { 150_000 };
    let fixture = RelayEnv::new(1).await;
    let relay = Program::start(&fixture);
    fixture.enqueue_fat_at_once(0..100, 0).await;
    fixture.records(100).await;
    fixture.confirmed().await;
    fixture.enqueue_fat_at_once(100..rows, 0).await;
    eventually("more records than the scan's limit are there", async || {
        fixture.ends(&fixture.topic).await[0] > rows * 4 / 5
    })
    .await;
    relay.kill();
    let written = fixture.ends(&fixture.topic).await[0];
    assert!(written < rows, "all {written} records were there before the crash");

    let relay = Program::start(&fixture);
    fixture.all_arrived_once_and_in_order().await;
    eprintln!("after a crash at {written} of {rows} rows, the relay had {} KiB at most", relay.peak_memory());
    assert!(relay.stop().await.success());
}

/// The next reader of the slot begins where it has ended, without a record of the same rows.
#[tokio::test]
async fn a_relay_that_is_told_to_stop_ends_between_transactions() {
    let fixture = RelayEnv::new(2).await;
    let relay = fixture.start();
    fixture.slot_becomes("active").await;
    // More than the relay reads before the broker has taken what came before.
    fixture.enqueue_fat_at_once(0..120, 250_000).await;
    fixture.records(1).await;
    relay.stop().await;
    assert_eq!(fixture.unconfirmed_records().await, 0);
    let relay = fixture.start();
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

#[tokio::test]
async fn a_second_relay_stands_by_and_takes_over() {
    let fixture = RelayEnv::new(2).await;
    let first = fixture.start();
    fixture.enqueue_each(5, 0..100).await;
    fixture.records(100).await;
    let second = fixture.start();
    fixture.enqueue_each(5, 100..200).await;
    fixture.records(200).await;
    first.kill().await;
    fixture.enqueue_each(5, 200..300).await;
    let records = fixture.records(300).await;
    fixture.check(&records, 300);
    second.stop().await;
}

#[tokio::test]
async fn a_slot_that_is_missing_is_a_loud_stop() {
    let fixture = RelayEnv::new(1).await;
    let slot = fixture.config.get("slot.name").unwrap().to_owned();
    fixture.client().await.execute("SELECT pg_drop_replication_slot($1)", &[&slot]).await.unwrap();
    let error = fixture.start().outcome().await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains(&slot) && cause.contains("does not exist"), "{cause}");
}
