//! Heartbeats: their records, their statement, and that events depend on neither.

use outbox_relay::RelayStatus;
use outbox_test_support::eventually;

use crate::fixture::RelayEnv;

const ACTION: &str = "heartbeat.action.query";

/// Returns a fixture whose relays have a heartbeat every 100 ms.
async fn beating(action: &str) -> RelayEnv {
    let mut fixture = RelayEnv::new(1).await;
    let name = fixture.name().to_owned();
    fixture.config = fixture
        .config
        .clone()
        .with("heartbeat.interval.ms", "100")
        .with("topic.heartbeat.prefix", format!("{name}-beats"))
        .with("topic.prefix", name)
        .with(ACTION, action);
    fixture
}

fn heartbeats(status: &RelayStatus, metric: &str, part: &str) -> u64 {
    let line = format!("outbox_relay_{metric}_total{{part=\"{part}\"}} ");
    let text = status.prometheus_text();
    text.lines().find_map(|text| text.strip_prefix(&line)).unwrap().parse().unwrap()
}

async fn until(status: &RelayStatus, metric: &str, part: &str, count: u64) {
    eventually(&format!("{count} {metric} of {part}"), async || match heartbeats(status, metric, part) {
        now if now >= count => Ok(()),
        now => Err(now),
    })
    .await;
}

#[tokio::test]
async fn heartbeats_are_written_and_their_statement_moves_an_idle_slot() {
    let fixture = beating("INSERT INTO beats DEFAULT VALUES; SELECT count(*) FROM beats").await;
    let client = fixture.client().await;
    client.batch_execute("CREATE TABLE beats (at timestamptz DEFAULT now())").await.unwrap();
    let relay = fixture.start();
    until(&relay.status, "heartbeats", "record", 3).await;
    until(&relay.status, "heartbeats", "action_query", 3).await;
    let topic = format!("{0}-beats.{0}", fixture.name());
    let records = fixture.env.records(&topic, 3).await;
    for found in &records {
        assert_eq!(found.key(), format!("Struct{{serverName={}}}", fixture.name()));
        assert!(found.value().starts_with("Struct{ts_ms=") && found.record.headers.is_empty(), "{found:?}");
    }

    let beats: i64 = client.query_one("SELECT count(*) FROM beats", &[]).await.unwrap().get(0);
    assert!(beats >= 3, "{beats}");
    let confirmed = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = $1";
    let confirmed = async || client.query_one(confirmed, &[&fixture.name()]).await.unwrap().get::<_, String>(0);
    let before = confirmed().await;
    eventually("the slot moves", async || match confirmed().await {
        now if now != before => Ok(()),
        now => Err(now),
    })
    .await;
    assert_eq!(heartbeats(&relay.status, "heartbeat_failures", "action_query"), 0);

    // The connection was lost between two heartbeats.
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND query LIKE 'INSERT INTO beats%'";
    client.execute(sql, &[]).await.unwrap();
    until(&relay.status, "heartbeats", "action_query", heartbeats(&relay.status, "heartbeats", "action_query") + 3)
        .await;
    relay.stop().await;
}

#[tokio::test]
async fn heartbeats_that_fail_are_retried_and_events_flow() {
    let mut fixture = beating("INSERT INTO beats DEFAULT VALUES").await;
    fixture.config = fixture.config.clone().with("topic.heartbeat.prefix", "not/legal");
    let relay = fixture.start();
    until(&relay.status, "heartbeat_failures", "record", 2).await;
    until(&relay.status, "heartbeat_failures", "action_query", 2).await;
    fixture.enqueue_each(5, 0..20).await;
    fixture.check(&fixture.records(20).await, 20);
    fixture.confirmed().await;
    assert!(relay.status.readiness().is_ready(), "{}", relay.status.readiness());

    fixture.client().await.batch_execute("CREATE TABLE beats (at timestamptz DEFAULT now())").await.unwrap();
    until(&relay.status, "heartbeats", "action_query", 2).await;
    assert_eq!(heartbeats(&relay.status, "heartbeats", "record"), 0);
    relay.stop().await;
}

/// The connection would hold its locks and its snapshot, and VACUUM and the slot would wait for it.
#[tokio::test]
async fn a_statement_that_leaves_a_transaction_open_fails_and_holds_nothing() {
    let fixture = beating("BEGIN; SELECT txid_current(); SELECT 1 AS open_heartbeat").await;
    let relay = fixture.start();
    until(&relay.status, "heartbeat_failures", "action_query", 2).await;
    let client = fixture.client().await;
    let held = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL
        AND state LIKE 'idle in transaction%' AND query LIKE '%open_heartbeat'";
    eventually("no transaction is open", async || match client.query_one(held, &[]).await.unwrap().get::<_, i64>(0) {
        0 => Ok(()),
        held => Err(held),
    })
    .await;

    assert_eq!(heartbeats(&relay.status, "heartbeats", "action_query"), 0);
    relay.stop().await;
}

/// The transactions of the statement lie behind rows that are not sent.
#[tokio::test]
async fn heartbeats_confirm_nothing_that_was_not_sent() {
    let mut fixture = beating("SELECT pg_logical_emit_message(true, 'heartbeat', '')").await;
    fixture.brokers = format!("127.0.0.1:{}", xtask::stack::free_port().unwrap());
    let relay = fixture.start();
    fixture.slot_becomes("active").await;
    let client = fixture.client().await;
    fixture.enqueue_each(5, 0..1).await;

    let after: String = client.query_one("SELECT pg_current_wal_insert_lsn()::text", &[]).await.unwrap().get(0);
    let beats = heartbeats(&relay.status, "heartbeats", "action_query");
    until(&relay.status, "heartbeats", "action_query", beats + 10).await;
    let sql = "SELECT confirmed_flush_lsn < $1::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $2";
    let is_before: bool = client.query_one(sql, &[&after, &fixture.name()]).await.unwrap().get(0);
    assert!(is_before, "a row that was not sent is confirmed");
    relay.kill().await;
}
