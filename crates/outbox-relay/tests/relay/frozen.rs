use std::time::Duration;

use outbox_relay::{Mode, RelaySettingsBuilder, Timeouts};
use outbox_test_support::{TestEnv, eventually, stack};
use outbox_testkit::{Broker, Postgres};
use xtask::is_full;

use crate::fixture::{RelayEnv, Running};
use crate::forwarder::{Fault, FaultyProxy, Stage};

/// A relay that reaches the shared PostgreSQL through a proxy, and gives it two seconds.
struct Scene {
    /// It is dropped before the database, which cannot be removed while a login is frozen.
    proxy: FaultyProxy,
    fixture: RelayEnv,
    /// The number of rows that were written.
    rows: i64,
}

impl Scene {
    async fn new(fault: Fault) -> Self {
        let mut fixture = RelayEnv::new(1).await;
        let proxy = FaultyProxy::to(([127, 0, 0, 1], stack().postgres_port()).into(), fault).await;
        fixture.config = fixture.config.with("database.port", proxy.port().to_string());
        // The server never gives up a walsender by itself.
        fixture.set("wal_sender_timeout", "0").await;
        Self { proxy, fixture, rows: 0 }
    }

    fn start(&self) -> Running {
        self.fixture.start_with(impatient)
    }

    /// Lets one connection of a relay fail that starts; the relay has to open another one.
    async fn starts_although(&mut self, stage: Stage, backlog: i64) {
        self.fixture.enqueue_at_once(5, self.rows..self.rows + backlog).await;
        self.rows += backlog;
        let before = self.proxy.fail(stage);
        let relay = self.start();
        self.proxy.has_failed(before).await;
        self.write(5).await;
        self.all_arrives().await;
        assert_eq!(relay.status.liveness(), Ok(()));
        relay.stop().await;
        self.proxy.close_failed();
    }

    /// Lets the open connections of a relay fail that is at work; the relay has to open others, and end its walsender.
    async fn continues_although(&mut self) {
        let relay = self.start();
        self.write(20).await;
        self.all_arrives().await;
        let walsender = self.fixture.walsender().await;

        let before = self.proxy.fail(Stage::Open);
        self.proxy.has_failed(before).await;
        self.write(20).await;
        self.all_arrives().await;
        assert_eq!(relay.status.liveness(), Ok(()));
        assert_ne!(self.fixture.walsender().await, walsender);
        relay.stop().await;
        self.proxy.close_failed();
    }

    /// Lets the open connections of a relay fail that is about to stop.
    async fn stops_although(&mut self) {
        let relay = self.start();
        self.write(20).await;
        self.all_arrives().await;
        let before = self.proxy.fail(Stage::Open);
        self.proxy.has_failed(before).await;
        relay.stop().await;
    }

    async fn write(&mut self, rows: i64) {
        self.fixture.enqueue_each(5, self.rows..self.rows + rows).await;
        self.rows += rows;
    }

    async fn all_arrives(&self) {
        let records = self.fixture.records(usize::try_from(self.rows).unwrap()).await;
        self.fixture.confirmed().await;
        self.fixture.check(&records, self.rows);
    }
}

impl RelayEnv {
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

/// The stages of a connection at which it fails, and how many rows wait in the slot.
const STAGES: [(Stage, i64); 8] = [
    (Stage::New, 20),
    // Within the login.
    (Stage::Sending { text: "client_encoding", answer: 5 }, 20),
    // Within the answer to the first statement, and to one about the catalogs.
    (Stage::Sending { text: "IDENTIFY_SYSTEM", answer: 10 }, 20),
    (Stage::Sending { text: "pg_publication_rel", answer: 10 }, 20),
    // The server has given the slot to a walsender whose answer never comes.
    (Stage::Sending { text: "START_REPLICATION", answer: 0 }, 20),
    // Within the first message of the stream, or the second one.
    (Stage::Sending { text: "START_REPLICATION", answer: 40 }, 20),
    // For as long as the server may decode a chunk, a connection that is dead looks the same.
    (Stage::Sending { text: "pg_logical_slot_get_binary_changes", answer: 0 }, 20),
    (Stage::Sending { text: "pg_logical_slot_get_binary_changes", answer: 100_000 }, 3_000),
];

/// Lets a connection fail at each of its stages. In the usual run, each of them has one fault.
async fn at_each_stage(fault: Fault) {
    let mut scene = Scene::new(fault).await;
    let stages = STAGES.into_iter().enumerate().filter(|(index, _)| is_full() || index % 3 == fault as usize);
    for (_, (stage, backlog)) in stages {
        scene.starts_although(stage, backlog).await;
        eprintln!("{fault:?} at {stage:?} is survived");
    }
    scene.continues_although().await;
    scene.stops_although().await;
}

#[tokio::test]
async fn a_connection_that_freezes_at_any_stage_is_replaced() {
    at_each_stage(Fault::Freeze).await;
}

#[tokio::test]
async fn a_connection_whose_packets_are_dropped_at_any_stage_is_replaced() {
    at_each_stage(Fault::Drop).await;
}

#[tokio::test]
async fn a_connection_that_trickles_single_bytes_at_any_stage_is_replaced() {
    at_each_stage(Fault::Trickle).await;
}

/// While a broker acknowledges nothing, nothing more of the copy is taken.
#[tokio::test]
async fn a_walsender_that_ends_during_the_catch_up_is_noticed() {
    let mut fixture = RelayEnv::new(1).await;
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
    let fixture = RelayEnv::at(TestEnv::builder().postgres(postgres.url()).kafka(), 1).await;
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
async fn without_a_right_or_a_connection_for_a_copy_of_the_slot_the_backlog_is_streamed() {
    let mut fixture = RelayEnv::new(1).await;
    let role = format!("{}_relay", fixture.name());
    let client = fixture.client().await;
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'sesame'")).await.unwrap();
    fixture.config = fixture.config.with("database.user", &*role).with("database.password", "sesame");

    client.batch_execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await.unwrap();
    fixture.enqueue_each(5, 0..20).await;
    let relay = fixture.start();
    let readiness = || relay.status.readiness().to_string();
    eventually("the limit is the reason", async || readiness().contains("CONNECTION LIMIT")).await;
    // It is for the catalogs. PostgreSQL does not count the one of the stream.
    client.batch_execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 1")).await.unwrap();
    fixture.check(&fixture.records(20).await, 20);
    fixture.confirmed().await;
    relay.stop().await;

    client.batch_execute(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await.unwrap();
    let sql = "REVOKE EXECUTE ON FUNCTION pg_copy_logical_replication_slot(name, name, boolean) FROM PUBLIC";
    client.batch_execute(sql).await.unwrap();
    fixture.enqueue_each(5, 20..40).await;
    let relay = fixture.start();
    fixture.check(&fixture.records(40).await, 40);
    fixture.confirmed().await;
    relay.stop().await;
}
