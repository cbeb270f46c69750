use std::time::{Duration, Instant};

use outbox_core::{OutboxEvent, Pipeline, RowLife, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::{
    Deferred, Indicator, IndicatorStatus, Maintenance, MaintenanceOutcome, Measure, Migrations, PgOutbox,
    PipelineHealth, PipelineMonitor, Problem, Readiness, Thresholds, create_slot,
};

use outbox_test_support::TestEnv;

use crate::own_server::versions;

const LIMIT: &str = "64MB";

/// WAL is written until the server gives the slot up, and everything that looks says so.
#[tokio::test]
async fn a_slot_is_told_before_it_is_lost_and_when_it_is() {
    for builder in versions() {
        for life in [RowLife::Keep, RowLife::DeleteOnInsert] {
            let server = builder.clone().setting("max_slot_wal_keep_size", LIMIT).start().await.unwrap();
            let env = TestEnv::builder()
                .postgres(server.url())
                .layout(TableLayout::recommended().with_row_life(life))
                .outbox()
                .build()
                .await;
            let pipeline = env.pipeline().clone();
            let mut client = env.client().await;
            Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
            create_slot(&client, &pipeline).await.unwrap();

            let mut monitor = PipelineMonitor::new(pipeline.clone(), Thresholds::default());
            let health = monitor.check(&client).await.unwrap();

            // A limit is a safeguard where rows stay, and a loss where they vanish.
            let limited = if life.vanishes() { IndicatorStatus::Warning } else { IndicatorStatus::Good };
            assert_eq!(indicator(&health, "max_slot_wal_keep_size").status, limited, "{health:?}");
            assert_eq!(
                indicator(&health, "wal_until_lost").status,
                IndicatorStatus::Warning,
                "64 MiB and no more: {health:?}"
            );
            assert_eq!(indicator(&health, "slot_wal_status").status, IndicatorStatus::Good);

            let deadline = Instant::now() + Duration::from_secs(120);
            let lost = loop {
                write_wal(&mut client, &pipeline).await;
                let health = monitor.check(&client).await.unwrap();
                if indicator(&health, "slot_wal_status").value == Measure::Text("lost".into()) {
                    break health;
                }
                let left = indicator(&health, "wal_until_lost");
                assert_eq!(left.status, IndicatorStatus::Critical, "{health:?}");
                assert!(left.remedy.as_ref().unwrap().contains("raise max_slot_wal_keep_size"));
                assert!(Instant::now() < deadline, "not lost: {health:?}");
            };
            let status = indicator(&lost, "slot_wal_status");
            assert_eq!(status.status, IndicatorStatus::Critical, "{lost:?}");
            assert!(status.remedy.as_ref().unwrap().contains("SlotOptions::recreate"), "{status}");
            assert_eq!(lost.status(), IndicatorStatus::Critical);

            let readiness = Readiness::check(&client, &pipeline).await.unwrap();
            assert!(matches!(readiness.problems(), [Problem::SlotLost { .. }]), "{readiness:?}");
            assert!(create_slot(&client, &pipeline).await.unwrap_err().is_not_ready());
            let MaintenanceOutcome::Done(report) =
                Maintenance::new(pipeline, Duration::ZERO).run(&client).await.unwrap()
            else {
                panic!()
            };

            assert!(matches!(report.waiting[..], [Deferred::NoSlot { .. }]), "the rows are what is left: {report:?}");
            assert_eq!(report.deleted_rows, 0);
        }
    }
}

#[tokio::test]
async fn without_logical_wal_the_service_is_told_so() {
    for builder in versions() {
        let server = builder.setting("wal_level", "replica").start().await.unwrap();
        let env = TestEnv::builder().postgres(server.url()).outbox().build().await;
        let pipeline = env.pipeline().clone();
        let client = env.client().await;
        let health = PipelineMonitor::new(pipeline.clone(), Thresholds::default()).check(&client).await.unwrap();
        let level = indicator(&health, "wal_level");
        assert_eq!((&level.value, level.status), (&Measure::Text("replica".into()), IndicatorStatus::Critical));
        assert!(level.remedy.as_ref().unwrap().contains("wal_level = logical"));
        let readiness = Readiness::check(&client, &pipeline).await.unwrap();
        assert!(matches!(readiness.problems()[0], Problem::WalLevel { .. }), "{readiness:?}");
    }
}

/// Writes a segment of WAL with an event in it, and a checkpoint, at which slots are given up.
async fn write_wal(client: &mut Client, pipeline: &Pipeline) {
    let tx = client.transaction().await.unwrap();
    let event = OutboxEvent::builder("order", "1", "Line").build().unwrap();
    PgOutbox::new(pipeline.clone()).enqueue(&tx, &event).await.unwrap();
    tx.commit().await.unwrap();
    client.batch_execute("SELECT pg_switch_wal()").await.unwrap();
    client.batch_execute("CHECKPOINT").await.unwrap();
}

fn indicator<'a>(health: &'a PipelineHealth, name: &str) -> &'a Indicator {
    health.indicator(name).unwrap_or_else(|| panic!("{name} in {health:?}"))
}
