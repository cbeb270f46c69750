use outbox_test_support::TestEnv;
use outbox_testkit::{Broker, Postgres};

use crate::fixture::RelayEnv;
use crate::load::Load;
use crate::server::shut_down;

#[tokio::test]
async fn restarts_of_postgresql_under_load_lose_and_double_nothing() {
    let postgres = Postgres::start().await.unwrap();
    let fixture = RelayEnv::at(TestEnv::builder().postgres(postgres.url()).kafka(), 3).await;
    let relay = fixture.start();
    let load = Load::start(&fixture, 10);
    for _ in 0..2 {
        load.writes(150).await;
        shut_down(&postgres).await;
        postgres.crash().await.unwrap();
        load.writes(150).await;
        postgres.crash().await.unwrap();
    }

    load.writes(150).await;
    load.end().await;
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

/// A confirmed position is on disk only with the next checkpoint.
#[tokio::test]
async fn a_slot_that_a_crash_has_put_back_doubles_nothing() {
    let postgres = Postgres::start().await.unwrap();
    let fixture = RelayEnv::at(TestEnv::builder().postgres(postgres.url()).kafka(), 3).await;
    let written = slot_put_back_by_a_crash(&postgres, &fixture).await;

    // The relay that comes and one that was there throughout.
    let relay = fixture.start();
    fixture.enqueue_each(10, written..written + 100).await;
    fixture.all_arrived_once_and_in_order().await;
    postgres.crash().await.unwrap();
    fixture.enqueue_each(10, written + 100..written + 200).await;
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

/// Writes events and lets PostgreSQL crash after they were confirmed, until the crash has put the slot back; returns
/// how many events were written.
async fn slot_put_back_by_a_crash(postgres: &Postgres, fixture: &RelayEnv) -> i64 {
    const EACH_TIME: i64 = 300;
    for crashes in 0..10 {
        fixture.client().await.batch_execute("CHECKPOINT").await.unwrap();
        let relay = fixture.start();
        fixture.enqueue_each(10, crashes * EACH_TIME..(crashes + 1) * EACH_TIME).await;
        fixture.all_arrived_once_and_in_order().await;
        relay.kill().await;
        fixture.slot_becomes("NOT active").await;
        assert_eq!(fixture.unconfirmed_records().await, 0, "all was confirmed before the crash");

        postgres.crash().await.unwrap();
        // PostgreSQL writes the slot every 15 s, which may have been between the confirmation and the crash.
        if fixture.unconfirmed_records().await > 0 {
            return (crashes + 1) * EACH_TIME;
        }
    }
    panic!("no crash put the slot back");
}

#[tokio::test]
async fn a_relay_that_loses_postgresql_while_it_stops_has_stopped_all_the_same() {
    let postgres = Postgres::start().await.unwrap();
    let broker = Broker::start().await.unwrap();
    let fixture = RelayEnv::at(TestEnv::builder().postgres(postgres.url()).brokers(broker.address()), 1).await;
    let relay = fixture.start();
    fixture.enqueue_each(1, 0..10).await;
    fixture.all_arrived().await;
    broker.faults().freeze();
    fixture.enqueue_each(1, 10..20).await;
    let stopped = tokio::spawn(relay.stop());

    // It stops from here on, and waits for the broker.
    tokio::task::yield_now().await;
    postgres.crash().await.unwrap();
    broker.faults().thaw();
    stopped.await.unwrap();

    let relay = fixture.start();
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}
