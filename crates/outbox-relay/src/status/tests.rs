use super::*;

const TURN: Turn =
    Turn { mode: Mode::Live, rows: 0, bytes: 0, confirmed: Lsn::new(100), server: Lsn::new(350), oldest: None };

fn later(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[test]
fn a_loop_that_is_silent_is_not_alive() {
    let status = RelayStatus::new(Duration::from_secs(30));
    status.turned(TURN, Counters::default());
    assert_eq!(status.liveness_at(later(9)), Ok(()));
    assert!(status.liveness_at(later(11)).is_err_and(|silence| silence >= Duration::from_secs(10)));
    status.beat();
    assert_eq!(status.liveness(), Ok(()));
}

/// The task is there, and its loop is not polled.
#[tokio::test(start_paused = true)]
async fn a_loop_that_waits_shows_itself_and_one_that_blocks_does_not() {
    let status = RelayStatus::new(Duration::from_secs(30));
    let waiting = status.clone();
    let task = tokio::spawn(async move { waiting.beating(std::future::pending::<()>()).await });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(status.liveness(), Ok(()));
    task.abort();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(status.liveness().is_err());
}

#[test]
fn rows_that_nobody_acknowledges_are_a_stall_and_no_rows_are_none() {
    let status = RelayStatus::new(Duration::from_secs(30));
    status.turned(TURN, Counters::default());
    assert_eq!(status.readiness_at(later(100)), Readiness::Ready);
    let holding = Turn { rows: 5, ..TURN };
    status.turned(holding, Counters::default());
    assert_eq!(status.readiness_at(later(29)), Readiness::Ready);
    let stalled = status.readiness_at(later(31));
    assert!(matches!(&stalled, Readiness::NotReady(reason) if reason.contains("stalled")), "{stalled:?}");
    status.turned(TURN, Counters { acknowledged: 5, ..Counters::default() });
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
    status.turned(Turn { rows: 7, bytes: 700, oldest, ..TURN }, counted);
    status.turned(Turn { rows: 7, bytes: 700, oldest, ..TURN }, Counters { read: 1, ..Counters::default() });
    status.wrote("orders", 3, 333);
    status.looked(SlotLook { server: Lsn::new(400), restart: Lsn::new(50) });
    status.produced_in(Duration::from_millis(3));
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
