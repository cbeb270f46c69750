use outbox_core::connector::DroppedBy;

use super::*;

const TURN: Turn = Turn {
    mode: Mode::Live,
    rows: 0,
    bytes: 0,
    confirmed: Lsn::new(100),
    server: Lsn::new(350),
    oldest: None,
    catch_up: (80, 30),
};

fn later(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[test]
fn a_loop_that_is_silent_is_not_alive() {
    let status = RelayStatus::new(Duration::from_secs(30));
    status.record_turn(TURN, Counters::default());
    assert_eq!(status.liveness_at(later(9)), Ok(()));
    assert!(status.liveness_at(later(11)).is_err_and(|silence| silence >= Duration::from_secs(10)));
    status.beat();
    assert_eq!(status.liveness(), Ok(()));
}

/// The task exists, but its loop is not polled.
#[tokio::test(start_paused = true)]
async fn a_loop_that_waits_shows_itself_and_one_that_blocks_does_not() {
    let status = RelayStatus::new(Duration::from_secs(30));
    let waiting = status.clone();
    let task = tokio::spawn(async move { waiting.with_heartbeat(std::future::pending::<()>()).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(status.liveness(), Ok(()));
    task.abort();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(status.liveness().is_err());
}

#[test]
fn rows_that_nobody_acknowledges_are_a_stall_and_no_rows_are_none() {
    let status = RelayStatus::new(Duration::from_secs(30));
    status.record_turn(TURN, Counters::default());
    assert_eq!(status.readiness_at(later(100)), Readiness::Ready);
    let holding = Turn { rows: 5, ..TURN };
    status.record_turn(holding, Counters::default());
    assert_eq!(status.readiness_at(later(29)), Readiness::Ready);
    let stalled = status.readiness_at(later(31));
    assert!(matches!(&stalled, Readiness::NotReady(reason) if reason.contains("stalled")), "{stalled:?}");
    status.record_turn(TURN, Counters { acknowledged: 5, ..Counters::default() });
    assert_eq!(status.readiness_at(later(100)), Readiness::Ready);
}

#[test]
fn standby_is_told_from_what_is_broken() {
    let status = RelayStatus::new(Duration::from_secs(30));
    status.entered(Mode::Standby, Some("PID 7 holds the slot".into()));
    assert_eq!(status.readiness().to_string(), "standby: PID 7 holds the slot");
    status.entered(Mode::Connecting, Some("the connection to PostgreSQL is lost".into()));
    assert_eq!(status.readiness().to_string(), "not ready: connecting: the connection to PostgreSQL is lost");
    assert!(!status.readiness().is_ready());
}

#[test]
fn the_metrics_are_what_was_counted() {
    let status = RelayStatus::new(Duration::from_secs(30));
    let counted = Counters { read: 9, skipped: 2, duplicates_accepted: 1, ..Counters::default() };
    let oldest = SystemTime::now().checked_sub(Duration::from_secs(90));
    status.record_turn(Turn { rows: 7, bytes: 700, oldest, ..TURN }, counted);
    status.record_turn(Turn { rows: 7, bytes: 700, oldest, ..TURN }, Counters { read: 1, ..Counters::default() });
    status.record_written("orders", 3, 333);
    status.record_slot(SlotStatus { wal_end: Lsn::new(400), restart_lsn: Lsn::new(50), waits_for_standby: None });
    status.produced_in(Duration::from_millis(3));
    status.reconnecting(Reconnect::Timeout);
    status.dropped(DroppedBy::NullValue);
    status.heartbeat_succeeded(HeartbeatPart::Record);
    status.heartbeat_failed(HeartbeatPart::ActionQuery);

    let text = status.prometheus_text();
    for line in [
        "outbox_relay_rows_read_total 10",
        "outbox_relay_rows_skipped_total 2",
        "outbox_relay_duplicates_accepted_total 1",
        "outbox_relay_events_total{topic=\"orders\"} 3",
        "outbox_relay_record_bytes_total{topic=\"orders\"} 333",
        "outbox_relay_unacknowledged_rows 7",
        "outbox_relay_unacknowledged_bytes 700",
        "outbox_relay_lag_bytes 300",
        "outbox_relay_wal_held_bytes 350",
        "outbox_relay_confirmed_lsn 100",
        "outbox_relay_restart_lsn 50",
        "outbox_relay_catch_up_bytes 80",
        "outbox_relay_catch_up_remaining_bytes 30",
        "outbox_relay_records_dropped_total{kind=\"null_value\"} 1",
        "outbox_relay_records_dropped_total{kind=\"filter\"} 0",
        "outbox_relay_heartbeats_total{part=\"record\"} 1",
        "outbox_relay_heartbeats_total{part=\"action_query\"} 0",
        "outbox_relay_heartbeat_failures_total{part=\"action_query\"} 1",
        "outbox_relay_reconnects_total{cause=\"timeout\"} 1",
        "outbox_relay_reconnects_total{cause=\"standby\"} 0",
        concat!("outbox_relay_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "outbox_relay_mode{mode=\"live\"} 1",
        "outbox_relay_mode{mode=\"standby\"} 0",
        "outbox_relay_produce_seconds_bucket{le=\"0.005\"} 1",
        "outbox_relay_produce_seconds_bucket{le=\"0.0025\"} 0",
        "outbox_relay_produce_seconds_count 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }

    let seconds = text.lines().find_map(|line| line.strip_prefix("outbox_relay_lag_seconds ")).unwrap();
    assert!((90.0..100.0).contains(&seconds.parse::<f64>().unwrap()), "{seconds}");
    assert!(text.ends_with("# EOF\n"));
}

/// Dashboards and alerts depend on the names. Every one is in the documentation.
#[test]
fn the_names_of_the_metrics_are_these() {
    let status = RelayStatus::new(Duration::from_secs(30));
    status.record_written("orders", 1, 1);
    status.kafka_failed(&outbox_kafka::Security::from_properties_file("/nonexistent").unwrap_err());

    let text = status.prometheus_text();
    let mut found: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE outbox_relay_")).collect();
    found.sort_unstable();

    let expected = [
        "batch_retries counter",
        "build info",
        "catch_up_bytes gauge",
        "catch_up_remaining_bytes gauge",
        "confirmed_lsn gauge",
        "dead_letters counter",
        "duplicates_accepted counter",
        "events counter",
        "heartbeat_failures counter",
        "heartbeats counter",
        "ignored_changes counter",
        "kafka_errors counter",
        "lag_bytes gauge",
        "lag_seconds gauge",
        "mode gauge",
        "payloads_as_stored counter",
        "produce_seconds histogram",
        "reconnects counter",
        "record_bytes counter",
        "records_dropped counter",
        "restart_lsn gauge",
        "restarts counter",
        "rows_left_out counter",
        "rows_read counter",
        "rows_skipped counter",
        "scans_cut counter",
        "unacknowledged_bytes gauge",
        "unacknowledged_rows gauge",
        "wal_held_bytes gauge",
    ];
    assert_eq!(found, expected);

    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    for metric in expected {
        let (name, kind) = metric.split_once(' ').unwrap();
        let suffix = match kind {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let documented = ["`", "{"].iter().any(|end| page.contains(&format!("`{name}{suffix}{end}")));
        assert!(documented, "{name}{suffix} is not in docs/reference/metrics.md");
    }
}
