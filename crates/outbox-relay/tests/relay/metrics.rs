use std::time::Duration;

use outbox_core::record::Record;
use outbox_relay::RelayStatus;
use tokio::time::Instant;

use crate::fixture::RelayEnv;

/// Returns the value of a metric, by its whole name.
fn metric(status: &RelayStatus, name: &str) -> f64 {
    let text = status.prometheus_text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

async fn until(status: &RelayStatus, name: &str, wanted: impl Fn(f64) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !wanted(metric(status, name)) {
        assert!(Instant::now() < deadline, "{name} is {}", metric(status, name));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_metrics_are_what_was_written() {
    let fixture = RelayEnv::new(3).await;
    fixture.enqueue_at_once(10, 0..150).await;
    let relay = fixture.start();
    fixture.enqueue_each(10, 150..200).await;
    let records = fixture.records(200).await;
    fixture.confirmed().await;
    let status = &relay.status;
    until(status, "outbox_relay_unacknowledged_rows", |rows| rows == 0.0).await;
    let of_topic = |name: &str| metric(status, &format!("outbox_relay_{name}{{topic=\"{}\"}}", fixture.topic));
    assert_eq!(of_topic("events_total"), 200.0);

    let header = |(name, value): (&String, &String)| name.len() + value.len();
    let bytes: usize = records
        .iter()
        .map(|record| record.key.len() + record.value.len() + record.headers.iter().map(header).sum::<usize>())
        .sum();

    // With a few bytes of framing for each part.
    let told = of_topic("record_bytes_total");
    assert!((bytes as f64..2.0 * bytes as f64).contains(&told), "{bytes} bytes, {told} told");
    assert_eq!(metric(status, "outbox_relay_rows_read_total"), 200.0);
    for none in ["rows_skipped", "duplicates_accepted", "dead_letters", "batch_retries", "restarts", "scans_cut"] {
        assert_eq!(metric(status, &format!("outbox_relay_{none}_total")), 0.0, "{none}");
    }

    assert!(metric(status, "outbox_relay_produce_seconds_count") >= 1.0);
    assert_eq!(metric(status, "outbox_relay_mode{mode=\"live\"}"), 1.0);
    until(status, "outbox_relay_lag_bytes", |bytes| bytes == 0.0).await;
    assert_eq!(metric(status, "outbox_relay_lag_seconds"), 0.0);
    until(status, "outbox_relay_wal_held_bytes", |bytes| bytes > 0.0).await;
    relay.stop().await;
}

#[tokio::test]
async fn reconnects_are_counted_by_cause_and_positions_are_those_of_the_slot() {
    let fixture = RelayEnv::new(1).await;
    fixture.enqueue_each(5, 0..100).await;
    let relay = fixture.start();
    let status = &relay.status;
    fixture.records(100).await;
    until(status, "outbox_relay_catch_up_remaining_bytes", |bytes| bytes == 0.0).await;
    assert!(metric(status, "outbox_relay_catch_up_bytes") > 0.0);
    fixture.confirmed().await;
    let sql = "SELECT (confirmed_flush_lsn - '0/0')::float8, (restart_lsn - '0/0')::float8, active_pid
        FROM pg_replication_slots WHERE slot_name = $1";
    let client = fixture.client().await;
    let row = client.query_one(sql, &[&fixture.name()]).await.unwrap();
    until(status, "outbox_relay_confirmed_lsn", |lsn| lsn >= row.get(0)).await;
    until(status, "outbox_relay_restart_lsn", |lsn| lsn > 0.0 && lsn <= metric(status, "outbox_relay_confirmed_lsn"))
        .await;

    let by_cause = |cause: &str| metric(status, &format!("outbox_relay_reconnects_total{{cause=\"{cause}\"}}"));
    assert_eq!(by_cause("server_shutdown"), 0.0);
    client.execute("SELECT pg_terminate_backend($1)", &[&row.get::<_, i32>(2)]).await.unwrap();
    until(status, "outbox_relay_reconnects_total{cause=\"server_shutdown\"}", |count| count >= 1.0).await;
    fixture.enqueue_each(5, 100..110).await;
    fixture.check(&fixture.records(110).await, 110);
    assert_eq!(by_cause("topic_changed"), 0.0);
    relay.stop().await;
}

/// Rows that a crash has left unconfirmed, before more records of others than the scan reads.
#[tokio::test]
async fn what_the_scan_leaves_out_is_written_again_and_counted() {
    let fixture = RelayEnv::new(1).await;
    let client = fixture.client().await;
    let name = fixture.name();
    let copy = |from: &str, to: &str| format!("SELECT pg_copy_logical_replication_slot('{from}', '{to}')");
    let aside = format!("{name}_aside");
    client.batch_execute(&copy(name, &aside)).await.unwrap();
    let relay = fixture.start();
    fixture.enqueue_each(5, 0..200).await;
    fixture.records(200).await;
    let mut other = Record::new(&fixture.topic);
    (other.key, other.value) = (Some("other".into()), Some("0".into()));
    for _ in 0..150 {
        fixture.produce(0, other.clone()).await;
    }

    fixture.enqueue_each(5, 200..300).await;
    fixture.records(450).await;
    fixture.confirmed().await;
    relay.stop().await;

    // As a slot that has gone back to where it was at the last checkpoint.
    client.batch_execute(&format!("SELECT pg_drop_replication_slot('{name}')")).await.unwrap();
    client.batch_execute(&copy(&aside, name)).await.unwrap();
    client.batch_execute(&format!("SELECT pg_drop_replication_slot('{aside}')")).await.unwrap();

    let relay = fixture.start_with(|settings| settings.scan_limit(100));
    fixture.confirmed().await;
    let status = &relay.status;
    until(status, "outbox_relay_rows_read_total", |rows| rows == 300.0).await;
    let skipped = metric(status, "outbox_relay_rows_skipped_total");
    let doubled = metric(status, "outbox_relay_duplicates_accepted_total");
    assert_eq!((skipped, doubled), (100.0, 200.0));
    assert!(metric(status, "outbox_relay_scans_cut_total") >= 1.0);
    assert_eq!(fixture.records(650).await.len(), 650);
    relay.stop().await;
}

#[tokio::test]
async fn records_that_a_transformation_drops_are_counted_by_kind() {
    let mut fixture = RelayEnv::new(1).await;
    fixture.config = fixture
        .config
        .clone()
        .with("transforms", "outbox,drop")
        .with("transforms.drop.type", "org.apache.kafka.connect.transforms.Filter")
        .with("transforms.drop.predicate", "isOther")
        .with("predicates", "isOther")
        .with("predicates.isOther.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches")
        .with("predicates.isOther.pattern", ".*other");

    let relay = fixture.start();
    let other = || outbox_core::OutboxEvent::builder("other", "1", "Made").build().unwrap();
    fixture.env.enqueue(&[other(), crate::fixture::numbered(1, 0), other()]).await;
    fixture.check(&fixture.records(1).await, 1);

    let dropped = |kind: &str| metric(&relay.status, &format!("outbox_relay_records_dropped_total{{kind=\"{kind}\"}}"));
    assert_eq!((dropped("filter"), dropped("null_value")), (2.0, 0.0));
    relay.stop().await;
}
