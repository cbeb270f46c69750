//! The report of `check` about the servers.

use outbox_relay::{CheckStatus, Relay, RelaySettings, ServerCheck};
use outbox_test_support::{TestEnv, eventually};
use outbox_testkit::Postgres;
use tokio::process::Command;

use crate::fixture::{RelayEnv, numbered};

impl RelayEnv {
    async fn checks(&self) -> Vec<ServerCheck> {
        self.relay(|settings| settings).check(&[]).await
    }

    /// Checks that one check has this status, and a text with these words.
    async fn reports(&self, name: &str, status: CheckStatus, words: &[&str]) {
        assert_reports(&self.checks().await, name, status, words);
    }

    async fn sql(&self, sql: &str) {
        let publication = self.env.pipeline().publication().to_string();
        self.client().await.batch_execute(&sql.replace('@', &publication).replace('#', self.name())).await.unwrap();
    }
}

#[track_caller]
pub(crate) fn assert_reports(checks: &[ServerCheck], name: &str, status: CheckStatus, words: &[&str]) {
    let shown: Vec<String> = checks.iter().map(ToString::to_string).collect();
    let check = checks.iter().find(|check| check.name() == name);
    let check = check.unwrap_or_else(|| panic!("no check {name} in {shown:#?}"));
    let text = check.to_string();
    assert!(check.status() == status && words.iter().all(|word| text.contains(word)), "{text} in {shown:#?}");
}

use CheckStatus::{Failed, Ok as Good, Skipped, Warning};

#[tokio::test]
async fn nothing_fails_where_a_relay_can_run_and_the_command_says_so() {
    let fixture = RelayEnv::new(2).await;
    fixture.create_topic(&fixture.topic).await;
    fixture.enqueue_each(1, 0..1).await;
    let topic = format!("topic {}", fixture.topic);
    fixture.reports(&topic, Good, &["1 partitions", "read and write"]).await;
    fixture.reports("slot", Good, &["is free"]).await;
    let relay = fixture.start();
    fixture.slot_becomes("active").await;
    fixture.reports("slot", Good, &["is held by PID"]).await;
    relay.stop().await;

    let mut beating = fixture.config.clone().with("heartbeat.interval.ms", "5000");
    beating = beating.with("topic.heartbeat.name", format!("{}-beats", fixture.name()));
    let settings = RelaySettings::builder(beating, [&*fixture.brokers]).build().unwrap();
    let checks = Relay::new(settings).unwrap().check(&[]).await;
    let name = format!("heartbeats in {}-beats", fixture.name());
    assert_reports(&checks, &name, Good, &["missing", "the relay creates it"]);

    let file = std::env::temp_dir().join(format!("{}-check.json", fixture.name()));
    let run = async |config: String, more: &[&str]| {
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-relay"));
        command.arg("check").arg(&file).args(["--connect", "--brokers", &fixture.brokers]).args(more);
        command.output().await.unwrap()
    };
    let report = run(fixture.config.to_json(), &["--topic", "not.there", "--output", "json"]).await;
    let json: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    let servers = json["servers"].as_array().unwrap();
    assert!(report.status.success() && servers.iter().all(|check| check["status"] != "failed"), "{json:#}");
    let missing = servers.iter().find(|check| check["check"] == "topic not.there").unwrap();
    assert!(missing["detail"].as_str().unwrap().contains("the relay creates it"), "{json:#}");

    let other = fixture.config.clone().with("slot.name", "not_there").to_json();
    let report = run(other, &[]).await;
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8(report.stdout).unwrap();
    assert_eq!(report.status.code(), Some(1), "{text}");
    let line = text.lines().find(|line| line.contains(" slot: ")).unwrap();
    assert!(line.contains("failed") && line.contains("pg_create_logical_replication_slot('not_there'"), "{text}");
}

#[tokio::test]
async fn a_publication_and_a_slot_that_do_not_suit_are_reported() {
    let fixture = RelayEnv::new(1).await;
    fixture.sql("ALTER PUBLICATION @ SET (publish = 'update')").await;
    fixture.reports("publication", Failed, &["publish = 'insert'"]).await;
    fixture.sql("DROP PUBLICATION @").await;
    fixture.reports("publication", Failed, &["CREATE PUBLICATION", "--create"]).await;
    fixture.sql("SELECT pg_drop_replication_slot('#')").await;
    fixture.reports("slot", Failed, &["pg_create_logical_replication_slot"]).await;
    fixture.sql("SELECT pg_create_logical_replication_slot('#', 'pgoutput', false, true)").await;
    fixture.reports("slot", Failed, &["two_phase"]).await;
    fixture.sql("SELECT pg_drop_replication_slot('#')").await;

    let mut other = fixture.client().await;
    let running = other.transaction().await.unwrap();
    running.execute("SELECT pg_current_xact_id()", &[]).await.unwrap();
    let (creator, name) = (fixture.client().await, fixture.name().to_owned());
    let creation = tokio::spawn(async move {
        creator.execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&name]).await.unwrap();
    });
    eventually("the slot is being created", async || {
        let checks = fixture.checks().await;
        let slot = checks.iter().find(|check| check.name() == "slot").unwrap().clone();
        if slot.detail().contains("is being created") { Ok(()) } else { Err(slot) }
    })
    .await;
    running.commit().await.unwrap();
    creation.await.unwrap();
}

#[tokio::test]
async fn a_privilege_that_is_missing_is_reported() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.sql("CREATE ROLE #_plain LOGIN PASSWORD 'sesame'").await;
    fixture.sql("REVOKE EXECUTE ON FUNCTION pg_copy_logical_replication_slot(name, name, boolean) FROM PUBLIC").await;
    let role = format!("{}_plain", fixture.name());
    fixture.config = fixture.config.with("database.user", &*role).with("database.password", "sesame");
    fixture.reports("replication connection", Failed, &["REPLICATION"]).await;
    fixture.reports("catch-up", Warning, &["may not copy slots", "grant EXECUTE"]).await;
    fixture.reports("rows", Skipped, &["permission denied", "--topic"]).await;
    fixture.config = fixture.config.with("database.password", "wrong");
    fixture.reports("PostgreSQL", Failed, &["the user or the password"]).await;
    fixture.reports("slot", Skipped, &[]).await;
}

#[tokio::test]
async fn a_pooler_is_reported() {
    let mut fixture = RelayEnv::new(1).await;
    let pooler = xtask::stack::OwnPgBouncer::start(fixture.url(), 2).unwrap();
    let (address, _) = pooler.url().rsplit_once('/').unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    fixture.config = fixture.config.with("database.port", port);
    fixture.reports("PostgreSQL", Failed, &["PgBouncer"]).await;
}

/// Version 17 is the first one with slots for failover.
#[tokio::test]
async fn the_slots_failover_is_compared_with_what_the_connector_demands() {
    let server = Postgres::builder().downloaded().setting("wal_level", "logical").start().await.unwrap();
    let mut fixture = RelayEnv::at(TestEnv::builder().postgres(server.url()).kafka(), 1).await;
    fixture.reports("slot failover", Good, &["off"]).await;
    fixture.config = fixture.config.with("slot.failover", "true");
    fixture.reports("slot failover", Warning, &["not synchronized", "failover => true"]).await;
    fixture.sql("SELECT pg_drop_replication_slot('#')").await;
    fixture.sql("SELECT pg_create_logical_replication_slot('#', 'pgoutput', failover => true)").await;
    fixture.reports("slot failover", Warning, &["synchronized_standby_slots"]).await;
}

#[tokio::test]
async fn a_server_without_logical_wal_is_reported() {
    let server = Postgres::builder().setting("wal_level", "replica").start().await.unwrap();
    let env = TestEnv::builder().postgres(server.url()).outbox().kafka().build().await;
    let settings = RelaySettings::builder(env.config().clone(), [env.brokers()]).build().unwrap();
    let checks = Relay::new(settings).unwrap().check(&[]).await;
    assert_reports(&checks, "server", Failed, &["wal_level is replica", "wal_level = logical"]);
}

#[tokio::test]
async fn rows_that_are_too_large_for_the_topic_are_reported() {
    let fixture = RelayEnv::new(1).await;
    fixture.create_topic(&fixture.topic).await;
    let size = format!("record size of {}", fixture.topic);
    fixture.env.enqueue(&[numbered(1, 1)]).await;
    fixture.reports(&size, Good, &["1048576"]).await;
    fixture.enqueue_fat_at_once(2..3, 2_000_000).await;
    fixture.reports(&size, Warning, &["max.message.bytes"]).await;
}

#[tokio::test]
async fn brokers_that_are_unreachable_are_reported() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.brokers = format!("127.0.0.1:{}", xtask::stack::free_port().unwrap());
    fixture.reports("Kafka", Failed, &[&fixture.brokers]).await;
    fixture.reports("topics", Skipped, &[]).await;
    fixture.reports("slot", Good, &[]).await;
}
