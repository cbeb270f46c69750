use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use outbox_pg::tokio_postgres::{Client, NoTls, connect};
use outbox_relay::{CheckStatus, Mode};
use outbox_test_support::{TestEnv, eventually};
use outbox_testkit::Postgres;
use tokio::time::Instant;

use crate::fixture::RelayEnv;
use crate::forwarder::Forwarder;
use crate::heard::Heard;
use crate::load::Load;
use crate::preflight::assert_reports;
use crate::server::kill;

/// The slot of the standby, and so its name in `synchronized_standby_slots`.
const STANDBY: &str = "standby";

/// The relay reads only what the standby has, so that Kafka has nothing that is gone after the failover. What the
/// standby's slot is behind is recognised by the ids of its events.
#[tokio::test]
async fn a_failover_under_load_loses_and_doubles_nothing() {
    let pair = Pair::start(&[("synchronized_standby_slots", STANDBY)]).await;
    let relay = pair.fixture.start();
    let load = Load::start(&pair.fixture, 10);
    pair.is_synchronised(&load).await;
    load.writes(200).await;
    pair.fail_over().await;
    load.writes(300).await;
    load.end().await;
    pair.fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

/// While the standby is behind, nothing is read that it lacks, be it a backlog or what is written meanwhile.
#[tokio::test]
async fn a_relay_that_starts_while_the_standby_is_behind_writes_nothing_that_the_standby_lacks() {
    let primary =
        Postgres::builder().downloaded().setting("synchronized_standby_slots", STANDBY).start().await.unwrap();
    let admin = client(&primary).await;
    admin.execute("SELECT pg_create_physical_replication_slot($1, true)", &[&STANDBY]).await.unwrap();
    let fixture = RelayEnv::at(TestEnv::builder().postgres(primary.url()).kafka(), 1).await;
    keep_on_standbys(&fixture).await;
    fixture.enqueue_each(5, 0..300).await;

    let heard = Heard::listen();
    let relay = fixture.start();
    let sql = "SELECT count(*) > 0 FROM pg_stat_activity
               WHERE wait_event = 'WaitForStandbyConfirmation' AND application_name LIKE 'outbox-relay%'";
    becomes(&admin, sql).await;
    fixture.enqueue_each(5, 300..310).await;
    becomes(&admin, sql).await;
    assert_eq!(relay.status.mode(), Mode::Live);
    assert!(relay.status.prometheus_text().contains("outbox_relay_rows_read_total 0\n"));
    assert_eq!(heard.text().matches("walsender waits for a standby").count(), 1);
    let readiness = || relay.status.readiness().to_string();
    eventually("the standby is the reason", async || readiness().contains("synchronized_standby_slots")).await;

    // As if the standby had received everything.
    admin.execute("SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())", &[&STANDBY]).await.unwrap();
    fixture.check(&fixture.records(310).await, 310);
    assert!(relay.status.readiness().is_ready(), "{}", readiness());
    relay.stop().await;
}

#[tokio::test]
async fn without_synchronized_standby_slots_kafka_keeps_what_a_failover_lost_and_has_all_else_once() {
    let pair = Pair::start(&[]).await;
    let relay = pair.fixture.start();
    let load = Load::start(&pair.fixture, 10);
    pair.is_synchronised(&load).await;
    pair.upstream.leads_to(NOWHERE);
    load.writes(100).await;
    pair.fixture.all_arrived().await;
    pair.fail_over().await;

    // On the new timeline these have the positions that the lost ones had on the old one.
    load.writes(300).await;
    load.end().await;
    pair.fixture.all_arrived().await;
    pair.fixture.confirmed().await;

    let in_kafka: BTreeSet<i64> = pair.fixture.places().await.into_keys().collect();
    let lost = in_kafka.len() - pair.fixture.written().await.len();
    eprintln!("{lost} of {} events are in Kafka only", in_kafka.len());
    assert!(lost > 0);
    pair.fixture.check_against(&pair.fixture.read(&pair.fixture.topic).await, &in_kafka);
    relay.stop().await;
}

/// The standby is the first of the list, and becomes the primary.
#[tokio::test]
async fn the_primary_is_found_in_a_list_of_servers_before_and_after_a_failover() {
    let mut pair = Pair::start(&[("synchronized_standby_slots", STANDBY)]).await;
    let (standby, primary) = (pair.standby.address(), pair.primary.address());
    let config = pair.fixture.config.clone().with("database.hostname", standby.to_string());
    pair.fixture.config = config.clone();
    let checks = pair.fixture.relay(|settings| settings).check(&[]).await;
    assert_reports(&checks, "server", CheckStatus::Warning, &["standby", "primary"]);

    // The address leads to a standby that does not have the slot yet, as that of a new primary may for a while.
    let early = pair.fixture.start();
    eventually("the standby is the reason", async || match early.status.readiness().to_string() {
        shown if shown.contains("is a standby") => Ok(()),
        other => Err(other),
    })
    .await;
    early.stop().await;

    pair.fixture.config = config.with("database.hostname", format!("{standby},{primary}"));
    let checks = pair.fixture.relay(|settings| settings).check(&[]).await;
    assert_reports(&checks, "server", CheckStatus::Ok, &["a primary"]);
    let relay = pair.fixture.start();
    let load = Load::start(&pair.fixture, 10);
    pair.is_synchronised(&load).await;
    pair.fail_over().await;
    load.writes(300).await;
    load.end().await;
    pair.fixture.all_arrived_once_and_in_order().await;
    relay.stop().await;
}

/// A primary with a streaming standby that keeps its failover slots, and a fixture on it.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    /// The address at which services and the relay reach the primary.
    front: Forwarder,
    /// The address at which the standby reaches it.
    upstream: Forwarder,
    fixture: RelayEnv,
}

/// Nobody listens on this port.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

impl Pair {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let mut builder = Postgres::builder().downloaded();
        for (name, value) in settings {
            builder = builder.setting(*name, *value);
        }
        let primary = builder.start().await.unwrap();
        let admin = client(&primary).await;
        admin.execute("SELECT pg_create_physical_replication_slot($1, true)", &[&STANDBY]).await.unwrap();
        let (front, upstream) = (Forwarder::to(primary.address()).await, Forwarder::to(primary.address()).await);
        let fixture = RelayEnv::at(TestEnv::builder().postgres(primary.url()).kafka().through(front.port()), 3).await;
        keep_on_standbys(&fixture).await;
        let standby = standby_of(&primary, upstream.port(), fixture.name()).await;
        Self { primary, standby, front, upstream, fixture }
    }

    /// Waits until the standby has the slot: it takes one over only once its reader has moved on.
    async fn is_synchronised(&self, load: &Load) {
        load.writes(200).await;
        let sql = "SELECT count(*) = 1 FROM pg_replication_slots WHERE synced AND NOT temporary";
        becomes(&client(&self.standby).await, sql).await;
        load.writes(200).await;
    }

    async fn fail_over(&self) {
        kill(&self.primary).await;
        // The address leads to the standby before its slot may be read.
        self.front.leads_to(self.standby.address());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let standby = client(&self.standby).await;
        standby.execute("SELECT pg_promote()", &[]).await.unwrap();
        becomes(&standby, "SELECT NOT pg_is_in_recovery()").await;
    }
}

async fn client(postgres: &Postgres) -> Client {
    let (client, connection) = connect(&postgres.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Creates the fixture's slot again, as one that standbys keep.
async fn keep_on_standbys(fixture: &RelayEnv) {
    let client = fixture.client().await;
    let slot = fixture.name();
    client.execute("SELECT pg_drop_replication_slot($1)", &[&slot]).await.unwrap();
    let sql = "SELECT pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)";
    client.execute(sql, &[&slot]).await.unwrap();
}

async fn becomes(client: &Client, sql: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(Instant::now() < deadline, "never: {sql}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn standby_of(primary: &Postgres, port: u16, database: &str) -> Postgres {
    let client = client(primary).await;
    let source: String = client.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    // It goes with the primary's own directory.
    let data = Path::new(&source).with_file_name(STANDBY);
    client.execute("SELECT pg_backup_start('standby', true)", &[]).await.unwrap();
    let copied = Command::new("cp").args(["-a", &source]).arg(&data).status().unwrap();
    assert!(copied.success());

    let label: String = client.query_one("SELECT labelfile FROM pg_backup_stop(false)", &[]).await.unwrap().get(0);
    for gone in ["postmaster.pid", "postmaster.opts"] {
        fs::remove_file(data.join(gone)).unwrap();
    }

    for slot in fs::read_dir(data.join("pg_replslot")).unwrap() {
        fs::remove_dir_all(slot.unwrap().path()).unwrap();
    }

    let owned = |name: &str, content: &str| write_as(&data, name, content);
    owned("backup_label", &label);
    owned("standby.signal", "");
    let hba = owned("trust.conf", "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n");
    let password = url_password(&primary.url());
    let conninfo = format!("host=127.0.0.1 port={port} user=postgres password={password} dbname={database}");
    Postgres::builder()
        .downloaded()
        .setting("data_directory", data.display().to_string())
        .setting("hba_file", hba.display().to_string())
        .setting("primary_conninfo", conninfo)
        .setting("primary_slot_name", STANDBY)
        .setting("hot_standby_feedback", "on")
        .setting("sync_replication_slots", "on")
        .start()
        .await
        .unwrap()
}

/// Writes a file with the same owner as its directory.
fn write_as(directory: &Path, name: &str, content: &str) -> PathBuf {
    let (path, owner) = (directory.join(name), fs::metadata(directory).unwrap());
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    path
}

fn url_password(url: &str) -> String {
    let config: outbox_pg::tokio_postgres::Config = url.parse().unwrap();
    String::from_utf8(config.get_password().unwrap().to_vec()).unwrap()
}
