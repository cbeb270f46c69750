use std::time::Duration;

use outbox_test_support::{TestEnv, TestEnvBuilder};
use outbox_testkit::{Broker, Postgres};
use tokio::time::{Instant, timeout};

use crate::fixture::{RelayEnv, numbered};
use crate::load::Load;
use crate::program::Program;
use crate::server::shut_down;

/// The walsender's patience in these tests, set for the database. A busy machine may let a relay wait for a second.
const SENDER_TIMEOUT: Duration = Duration::from_secs(6);

async fn impatient_bench(site: TestEnvBuilder) -> RelayEnv {
    let fixture = RelayEnv::at(site, 2).await;
    let (name, timeout) = (fixture.name(), SENDER_TIMEOUT.as_millis());
    let sql = format!("ALTER DATABASE {name} SET wal_sender_timeout = {timeout}");
    fixture.client().await.batch_execute(&sql).await.unwrap();
    fixture
}

#[tokio::test]
async fn a_broker_that_is_away_for_three_sender_timeouts_costs_neither_the_walsender_nor_memory_nor_an_event() {
    let broker = Broker::start().await.unwrap();
    let fixture = impatient_bench(TestEnv::builder().brokers(broker.address())).await;
    let relay = Program::start(&fixture);
    fixture.enqueue_fat(0..10, 0).await;
    fixture.all_arrived().await;
    let walsender = fixture.walsender().await;
    broker.faults().freeze();
    let frozen = Instant::now();

    // Much more than the relay may keep.
    fixture.enqueue_fat(10..170, 250_000).await;
    tokio::time::sleep_until(frozen + 3 * SENDER_TIMEOUT + Duration::from_millis(500)).await;
    assert_eq!(fixture.walsender().await, walsender);
    broker.faults().thaw();
    fixture.all_arrived_once_and_in_order().await;
    assert_eq!(fixture.walsender().await, walsender);

    let peak = relay.peak_memory();
    eprintln!("the relay had {peak} KiB at most");
    assert!(peak < 52 * 1024, "{peak} KiB");
    assert!(relay.stop().await.success());
}

#[tokio::test]
async fn a_relay_that_is_started_without_a_broker_waits_for_one_and_stops_when_it_is_told() {
    let broker = Broker::start().await.unwrap();
    let fixture = impatient_bench(TestEnv::builder().brokers(broker.address())).await;
    let address = broker.address().parse().unwrap();
    broker.shutdown().await;
    fixture.enqueue_each(5, 0..100).await;
    let relay = fixture.start();
    fixture.slot_becomes("active").await;
    fixture.enqueue_each(5, 100..200).await;
    timeout(Duration::from_secs(120), relay.stop()).await.expect("it stops while it waits");

    let relay = fixture.start();
    fixture.slot_becomes("active").await;

    let _broker = Broker::builder().listen(address).start().await.unwrap();
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

#[tokio::test]
async fn postgresql_shuts_down_while_a_little_waits_for_an_absent_broker() {
    postgresql_shuts_down_without_a_broker(10..60, 0).await;
}

#[tokio::test]
async fn postgresql_shuts_down_while_more_waits_for_an_absent_broker_than_the_relay_reads() {
    postgresql_shuts_down_without_a_broker(10..100, 250_000).await;
}

/// Checks that PostgreSQL's shutdown waits until every walsender's reader has confirmed everything.
async fn postgresql_shuts_down_without_a_broker(waiting: std::ops::Range<i64>, bytes: i32) {
    let postgres = Postgres::start().await.unwrap();
    let broker = Broker::start().await.unwrap();
    let fixture = impatient_bench(TestEnv::builder().postgres(postgres.url()).brokers(broker.address())).await;
    let relay = fixture.start();

    fixture.enqueue_fat(0..10, 0).await;
    fixture.all_arrived().await;
    broker.faults().freeze();
    fixture.enqueue_fat(waiting, bytes).await;
    shut_down(&postgres).await;
    postgres.crash().await.unwrap();
    broker.faults().thaw();
    fixture.enqueue(&[numbered(5, 2_000)]).await;
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

#[tokio::test]
async fn postgresql_shuts_down_under_load_with_all_confirmed() {
    let postgres = Postgres::start().await.unwrap();
    let fixture = impatient_bench(TestEnv::builder().postgres(postgres.url()).kafka()).await;
    let relay = fixture.start();
    let load = Load::start(&fixture, 5);
    load.writes(200).await;
    shut_down(&postgres).await;
    postgres.crash().await.unwrap();
    load.writes(200).await;
    load.end().await;
    fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}
