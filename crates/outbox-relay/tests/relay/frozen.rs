use std::time::Duration;

use outbox_relay::{Mode, RelaySettingsBuilder, Timeouts};
use outbox_test_support::{TestEnv, eventually, stack};
use outbox_testkit::{Broker, Postgres};

use crate::fixture::{Fixture, Running};
use crate::forwarder::{Freeze, FreezingProxy};

/// A relay that reaches the shared PostgreSQL through a proxy, and gives it two seconds.
struct Scene {
    fixture: Fixture,
    proxy: FreezingProxy,
}

impl Scene {
    async fn new() -> Self {
        let mut fixture = Fixture::new(1).await;
        let proxy = FreezingProxy::to(([127, 0, 0, 1], stack().postgres_port()).into()).await;
        fixture.config = fixture.config.with("database.port", proxy.port().to_string());
        // The server never gives up a walsender by itself.
        fixture.set("wal_sender_timeout", "0").await;
        Self { fixture, proxy }
    }

    fn start(&self) -> Running {
        self.fixture.start_with(impatient)
    }

    /// Freezes one connection of a relay that starts; the relay has to open another one.
    async fn starts_although(&self, freeze: Freeze, rows: i64) {
        self.fixture.enqueue_at_once(5, 0..rows).await;
        self.proxy.freeze(freeze);
        let relay = self.start();
        self.proxy.has_frozen().await;
        self.arrives(rows).await;
        assert_eq!(relay.status.liveness(), Ok(()));
        relay.stop().await;
    }

    async fn arrives(&self, rows: i64) {
        let records = self.fixture.records(usize::try_from(rows).unwrap()).await;
        self.fixture.confirmed().await;
        self.fixture.check(&records, rows);
    }
}

impl Fixture {
    /// Sets a parameter for all sessions of the database that begin from now on.
    async fn set(&self, name: &str, value: &str) {
        let sql = format!("ALTER DATABASE {} SET {name} = '{value}'", self.name());
        self.client().await.batch_execute(&sql).await.unwrap();
    }
}

fn impatient(settings: RelaySettingsBuilder) -> RelaySettingsBuilder {
    let limit = Duration::from_secs(2);
    settings.postgres_timeouts(Timeouts::new().connect(limit).statement(limit).silence(limit))
}

#[tokio::test]
async fn a_connection_that_freezes_at_its_startup_is_replaced() {
    Scene::new().await.starts_although(Freeze::New, 20).await;
}

#[tokio::test]
async fn a_connection_that_freezes_at_its_first_statement_is_replaced() {
    let first = Freeze::Sending { text: "IDENTIFY_SYSTEM", answer: 0 };
    Scene::new().await.starts_although(first, 20).await;
}

/// The server has given the slot to a walsender whose answer never comes.
#[tokio::test]
async fn a_connection_that_freezes_when_it_takes_the_slot_is_replaced() {
    let start = Freeze::Sending { text: "START_REPLICATION", answer: 0 };
    Scene::new().await.starts_although(start, 20).await;
}

#[tokio::test]
async fn a_connection_that_freezes_within_a_chunk_is_replaced() {
    let chunk = Freeze::Sending { text: "pg_logical_slot_get_binary_changes", answer: 100_000 };
    Scene::new().await.starts_although(chunk, 3_000).await;
}

/// For as long as the server may decode, a connection that is dead looks the same.
#[tokio::test]
async fn a_connection_that_freezes_before_a_chunk_is_decoded_is_replaced() {
    let copy = Freeze::Sending { text: "pg_logical_slot_get_binary_changes", answer: 0 };
    Scene::new().await.starts_although(copy, 20).await;
}

#[tokio::test]
async fn a_stream_that_freezes_is_replaced_and_its_walsender_ended() {
    let scene = Scene::new().await;
    let relay = scene.start();
    scene.fixture.enqueue_each(5, 0..20).await;
    scene.arrives(20).await;
    let walsender = scene.fixture.walsender().await;

    scene.proxy.freeze(Freeze::Open);
    scene.proxy.has_frozen().await;
    scene.fixture.enqueue_each(5, 20..40).await;
    scene.arrives(40).await;
    assert_eq!(relay.status.liveness(), Ok(()));
    assert_ne!(scene.fixture.walsender().await, walsender);
    relay.stop().await;
}

/// While a broker acknowledges nothing, nothing more of the copy is taken.
#[tokio::test]
async fn a_walsender_that_ends_during_the_catch_up_is_noticed() {
    let mut fixture = Fixture::new(1).await;
    let broker = Broker::start().await.unwrap();
    fixture.brokers = broker.address();
    fixture.enqueue_fat_at_once(0..200, 100_000).await;
    broker.faults().freeze();
    let relay = fixture.start();
    let walsender = eventually("the relay catches up", async || match relay.status.mode() {
        Mode::CatchUp => fixture.walsender().await,
        _ => None,
    })
    .await;

    let sql = "SELECT pg_terminate_backend($1)";
    fixture.client().await.execute(sql, &[&walsender]).await.unwrap();
    eventually("the relay holds the slot again", async || {
        fixture.walsender().await.is_some_and(|other| other != walsender)
    })
    .await;
    broker.faults().thaw();
    fixture.confirmed().await;
    relay.stop().await;
}

/// Version 17 and newer have `transaction_timeout`.
#[tokio::test]
async fn limits_of_the_database_end_no_session_of_the_relay() {
    let postgres = Postgres::builder().downloaded().start().await.unwrap();
    let fixture = Fixture::at(TestEnv::builder().postgres(postgres.url()).kafka(), 1).await;
    fixture.enqueue_at_once(5, 0..30_000).await;
    let limits = ["statement_timeout", "transaction_timeout", "idle_session_timeout", "lock_timeout"];
    for limit in limits.into_iter().chain(["idle_in_transaction_session_timeout"]) {
        fixture.set(limit, "50ms").await;
    }
    let relay = fixture.start();
    let records = fixture.records(30_000).await;
    fixture.check(&records, 30_000);
    assert!(relay.status.prometheus_text().contains("outbox_relay_restarts_total 0\n"), "it has started again");
    relay.stop().await;
}

#[tokio::test]
async fn without_the_right_to_copy_the_slot_the_backlog_is_streamed() {
    let fixture = Fixture::new(1).await;
    let role = format!("{}_relay", fixture.name());
    let sql = format!(
        "CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'sesame';
         REVOKE EXECUTE ON FUNCTION pg_copy_logical_replication_slot(name, name, boolean) FROM PUBLIC"
    );
    fixture.client().await.batch_execute(&sql).await.unwrap();
    fixture.enqueue_each(5, 0..20).await;
    let config = fixture.config.clone().with("database.user", role).with("database.password", "sesame");
    let fixture = Fixture { config, ..fixture };
    let relay = fixture.start();
    fixture.check(&fixture.records(20).await, 20);
    fixture.confirmed().await;
    relay.stop().await;
}
