use std::collections::BTreeSet;
use std::ops::Range;

use outbox_pg::tokio_postgres::Client;
use outbox_test_support::{TestEnv, eventually};
use outbox_testkit::Postgres;

use crate::fixture::RelayEnv;
use crate::program::Program;

const MIB: u64 = 1 << 20;

/// Starts a separate server, with a fixture: an open transaction holds back the slots of all databases.
async fn alone(partitions: i32) -> (Postgres, RelayEnv) {
    let postgres = Postgres::start().await.unwrap();
    let fixture = RelayEnv::at(TestEnv::builder().postgres(postgres.url()).kafka(), partitions).await;
    (postgres, fixture)
}

/// Writes numbered events, each in a separate transaction, with checkpoints in between as a server makes them.
async fn write_one_by_one(fixture: &RelayEnv, numbers: Range<i64>) {
    let client = fixture.client().await;
    client.batch_execute("SET synchronous_commit = off").await.unwrap();
    let step = (numbers.end - numbers.start) / 20;

    for first in numbers.clone().step_by(usize::try_from(step).unwrap()) {
        let sql = format!(
            "DO $$ BEGIN FOR n IN {first}..{} LOOP
                INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type, payload)
                VALUES (gen_random_uuid(), 'order', 'agg-' || n % 5, 'Numbered', (repeat(' ', 1500) || n)::json);
                COMMIT; END LOOP; END $$",
            (first + step).min(numbers.end) - 1
        );
        client.batch_execute(&sql).await.unwrap();
        client.batch_execute("CHECKPOINT").await.unwrap();
    }
}

/// Returns a transaction with a transaction id that stays open: what the slot decodes begins before it.
async fn old_transaction(fixture: &RelayEnv) -> Client {
    let client = fixture.client().await;
    client.batch_execute("BEGIN; SELECT txid_current()").await.unwrap();
    client
}

#[tokio::test]
async fn a_catch_up_lets_postgresql_remove_wal_and_old_versions_of_the_catalogs() {
    let (_postgres, fixture) = alone(1).await;
    write_one_by_one(&fixture, 0..20_000).await;
    let relay = fixture.start_with(|settings| settings.catch_up_step(6 * MIB));
    let (mut restarts, mut horizons) = (BTreeSet::new(), BTreeSet::new());
    let client = fixture.client().await;
    eventually("all is confirmed", async || {
        let sql = "SELECT restart_lsn::text, catalog_xmin::text, pg_current_wal_lsn() - confirmed_flush_lsn > 2000000
                   FROM pg_replication_slots WHERE slot_name = $1";
        let row = client.query_one(sql, &[&fixture.name()]).await.unwrap();
        let is_behind: bool = row.get(2);
        if is_behind {
            restarts.insert(row.get::<_, String>(0));
            horizons.insert(row.get::<_, String>(1));
        }
        !is_behind
    })
    .await;

    eprintln!("on the way the slot was at {restarts:?} with {horizons:?}");
    assert!(restarts.len() > 2 && horizons.len() > 2, "{restarts:?} {horizons:?}");

    fixture.all_arrived_once_and_in_order().await;
    assert!(relay.status.prometheus_text().contains("outbox_relay_restarts_total 0\n"));
    relay.stop().await;
}

/// The stream that holds the slot is not read meanwhile, and another one reads what is written later.
#[tokio::test]
async fn a_backlog_within_one_step_is_read_while_the_stream_waits() {
    let (_postgres, fixture) = alone(1).await;
    write_one_by_one(&fixture, 0..20_000).await;
    let relay = fixture.start();
    fixture.all_arrived_once_and_in_order().await;
    write_one_by_one(&fixture, 20_000..20_020).await;
    fixture.all_arrived_once_and_in_order().await;
    assert!(relay.status.prometheus_text().contains("outbox_relay_restarts_total 0\n"));
    relay.stop().await;
}

/// At the end of a step, the slot moves over what other tables have written.
#[tokio::test]
async fn a_backlog_of_other_tables_wal_is_passed_step_by_step() {
    let (_postgres, fixture) = alone(1).await;
    let client = fixture.client().await;
    client.batch_execute("CREATE TABLE busy (n int)").await.unwrap();
    client.batch_execute("INSERT INTO busy SELECT generate_series(1, 300000)").await.unwrap();
    fixture.enqueue_each(5, 0..10).await;
    let relay = fixture.start_with(|settings| settings.catch_up_step(MIB));
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

#[tokio::test]
async fn with_an_old_transaction_open_a_backlog_is_read_with_few_changes_of_the_mode() {
    let (_postgres, fixture) = alone(1).await;
    let old = old_transaction(&fixture).await;
    write_one_by_one(&fixture, 0..30_000).await;
    let relay = fixture.start_with(|settings| settings.catch_up_step(2 * MIB));
    let mut holders = BTreeSet::new();
    eventually("all records are there", async || {
        holders.extend(fixture.walsender().await);
        fixture.ends(&fixture.topic).await.iter().sum::<i64>() >= 30_000
    })
    .await;

    eprintln!("the slot was taken by {holders:?}");
    assert!(holders.len() <= 4, "{holders:?}");
    fixture.all_arrived_once_and_in_order().await;
    old.batch_execute("COMMIT").await.unwrap();
    relay.stop().await;
}

#[tokio::test]
async fn crashes_within_a_catch_up_with_an_old_transaction_open_duplicate_nothing() {
    let (_postgres, fixture) = alone(2).await;
    let old = old_transaction(&fixture).await;
    write_one_by_one(&fixture, 0..40_000).await;
    for round in 1..=3 {
        let relay = Program::start_with(&fixture, &["--catch-up-step", "8"]);
        eventually("it is in the middle of the backlog", async || {
            fixture.ends(&fixture.topic).await.iter().sum::<i64>() > round * 8_000
        })
        .await;
        relay.kill();
    }

    let written = fixture.ends(&fixture.topic).await.iter().sum::<i64>();
    assert!(written < 40_000, "all {written} records were there before the last crash");

    let relay = Program::start_with(&fixture, &["--catch-up-step", "8"]);
    fixture.all_arrived_once_and_in_order().await;
    old.batch_execute("COMMIT").await.unwrap();
    assert!(relay.stop().await.success());
}
