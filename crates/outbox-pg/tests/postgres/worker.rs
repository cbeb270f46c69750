//! The background task of a service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox_core::{EventId, OutboxEvent};
use outbox_pg::{IndicatorStatus, MaintenanceOutcome, Migrations, OutboxWorker};

use outbox_test_support::TestEnv;

#[tokio::test]
async fn one_task_maintains_and_monitors_and_continues_after_errors_and_ends_when_told() {
    let env = TestEnv::builder().slot().build().await;
    let (pipeline, mut client) = (env.pipeline().clone(), env.client().await);
    let errors = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&errors);
    let worker = OutboxWorker::builder(env.pool(), pipeline.clone())
        .retention(Duration::from_secs(3_600))
        .maintain_every(Duration::from_millis(50))
        .check_every(Duration::from_millis(50))
        .on_error(move |error| {
            assert!(error.is_not_ready(), "{error}");
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .spawn();

    let mut status = worker.subscribe();
    // A check that succeeds does not hide that maintenance fails.
    let failed = status.wait_for(|status| status.maintenance_failure.is_some() && status.health.is_some());
    let failed = failed.await.unwrap().clone();
    let failure = failed.maintenance_failure.as_ref().unwrap();
    assert!(failure.to_string().contains("Migrations::maintenance"), "{failed:?}");
    assert!(failed.maintained.is_none() && failed.check_failure.is_none(), "{failed:?}");
    Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
    let health = status.wait_for(|status| status.maintained.is_some()).await.unwrap().clone();
    assert!(health.maintenance_failure.is_none(), "{health:?}");
    assert_ne!(health.health.unwrap().status(), IndicatorStatus::Critical);
    assert!(errors.load(Ordering::Relaxed) > 0);

    // A row of yesterday, as its id has it, is deleted as soon as the slot has confirmed it.
    let yesterday = outbox_core::time::OffsetDateTime::now_utc() - Duration::from_secs(86_400);
    let seconds = u64::try_from(yesterday.unix_timestamp()).unwrap();
    let id = outbox_core::uuid::Uuid::new_v7(outbox_core::uuid::Timestamp::from_unix_time(seconds, 0, 0, 0));
    let old = OutboxEvent::builder("order", "1", "Placed").id(EventId::try_from(id).unwrap()).build().unwrap();
    env.enqueue(&[old]).await;
    let deleted = status.wait_for(|status| match status.maintained.as_deref() {
        Some(MaintenanceOutcome::Done(report)) => report.deleted_rows > 0,
        _ => false,
    });
    let advance = async {
        let sql = "SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())";
        loop {
            client.execute(sql, &[&pipeline.slot().as_str()]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! { _ = deleted => {}, () = advance => {} }
    assert_eq!(env.rows().await, 0);

    worker.stop().await;
    assert!(status.has_changed().is_err(), "the task has ended");
}

#[tokio::test]
async fn an_error_of_maintenance_is_reported_until_maintenance_succeeds_and_a_busy_pool_does_not_keep_it_from_ending() {
    let env = TestEnv::builder().slot().build().await;
    let worker =
        || OutboxWorker::builder(env.pool(), env.pipeline().clone()).maintain_every(Duration::from_secs(3_600));
    let checks = worker().check_every(Duration::from_millis(10)).spawn();
    let mut status = checks.subscribe();
    status.wait_for(|status| status.health.is_some()).await.unwrap();
    for _ in 0..3 {
        status.changed().await.unwrap();
        let failure = status.borrow_and_update().maintenance_failure.clone().expect("the checks after it succeed");
        assert!(failure.is_not_ready() && failure.to_string().contains("Migrations::maintenance"), "{failure}");
    }
    checks.stop().await;

    let pool = env.pool_of(1);
    let connection = pool.get().await.unwrap();
    let errors = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&errors);
    let worker = OutboxWorker::builder(pool, env.pipeline().clone());
    let worker = worker.on_error(move |_| _ = counted.fetch_add(1, Ordering::Relaxed)).spawn();
    worker.stop().await;
    assert_eq!(errors.load(Ordering::Relaxed), 0, "it has not waited for the connection");
    drop(connection);
}
