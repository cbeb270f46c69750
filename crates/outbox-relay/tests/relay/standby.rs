use std::collections::BTreeSet;
use std::path::Path;

use outbox_relay::Mode;
use outbox_test_support::{TestEnv, eventually};
use outbox_testkit::Postgres;
use tokio::time::Instant;

use crate::fixture::RelayEnv;

/// It asks on one connection who holds the slot, and does not try to take it meanwhile.
#[tokio::test]
async fn a_relay_that_stands_by_needs_one_connection_and_writes_no_error_to_the_log_of_postgresql() {
    let postgres = Postgres::start().await.unwrap();
    let fixture = RelayEnv::at(TestEnv::builder().postgres(postgres.url()).kafka(), 1).await;
    let first = fixture.start();
    fixture.enqueue_each(5, 0..20).await;
    fixture.records(20).await;
    let before = errors(&fixture).await.len();

    let second = fixture.start();
    eventually("the second relay stands by", async || second.status.mode() == Mode::Standby).await;
    let (mut connections, mut questions) = (BTreeSet::new(), BTreeSet::new());
    eventually("it has asked many times", async || {
        let sql = "SELECT a.pid, a.query_start::text, a.query FROM pg_stat_activity a
                   JOIN pg_replication_slots s ON s.slot_name = $1
                   JOIN pg_stat_activity holder ON holder.pid = s.active_pid
                   WHERE a.application_name LIKE 'outbox-relay%' AND a.application_name <> holder.application_name";
        for row in fixture.client().await.query(sql, &[&fixture.name()]).await.unwrap() {
            if row.get::<_, String>(2).contains("active_pid") {
                connections.insert(row.get::<_, i32>(0));
                questions.insert(row.get::<_, String>(1));
            }
        }
        questions.len() > 8
    })
    .await;
    assert_eq!(connections.len(), 1, "connections over which it has asked");

    first.kill().await;
    let killed = Instant::now();
    eventually("the second relay holds the slot", async || second.status.mode() == Mode::Live).await;
    eprintln!("the second relay has taken over after {:?}", killed.elapsed());
    fixture.enqueue_each(5, 20..40).await;
    fixture.all_arrived_once_and_in_order().await;
    assert_eq!(errors(&fixture).await[before..], [""; 0]);
    second.stop().await;
}

/// Returns the errors in the server's log.
async fn errors(fixture: &RelayEnv) -> Vec<String> {
    let directory: String = fixture.client().await.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    let log = std::fs::read_to_string(Path::new(&directory).with_file_name("server.log")).unwrap();
    log.lines().filter(|line| line.contains("ERROR:") || line.contains("FATAL:")).map(str::to_owned).collect()
}
