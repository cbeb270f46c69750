use std::time::Duration;

use outbox_core::{OutboxEvent, RowLife, TableLayout};
use outbox_pg::{
    Enqueued, IndicatorStatus, Maintenance, MaintenanceOutcome, Migrations, OnDuplicate, PartitionRange, PgOutbox,
    PipelineMonitor, Readiness, Thresholds, create_slot,
};
use outbox_test_support::TestEnv;
use outbox_testkit::Postgres;

const DAY: Duration = Duration::from_secs(86_400);

/// Most other tests run on the development servers' version; this is the newest, in one piece.
#[tokio::test]
async fn every_life_of_a_row_works_on_the_newest_postgresql_too() {
    let server = Postgres::builder().downloaded().setting("idle_replication_slot_timeout", "1d").start().await.unwrap();
    for life in [RowLife::Keep, RowLife::Partitioned, RowLife::DeleteOnInsert, RowLife::DeleteOnInsertKeepIds] {
        let layout = TableLayout::recommended().with_row_life(life);
        let env = TestEnv::builder().postgres(server.url()).layout(layout).outbox().build().await;
        let (mut client, pipeline) = (env.client().await, env.pipeline().clone());
        Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
        create_slot(&client, &pipeline).await.unwrap();
        let maintenance = Maintenance::new(pipeline.clone(), 3 * DAY).behind(2 * DAY);
        // LIKE copies the identity of another program's column, and a partition may not have an identity.
        let numbered = "ALTER TABLE outbox.outbox_message ADD number bigint GENERATED ALWAYS AS IDENTITY";
        client.batch_execute(numbered).await.unwrap();
        maintenance.run(&client).await.unwrap();
        Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap();

        let event = OutboxEvent::builder("order", "1", "Line").build().unwrap();
        let mut outbox = PgOutbox::new(pipeline.clone());
        if life == RowLife::Partitioned {
            outbox = outbox.with_partition_range(PartitionRange::read(&client, &pipeline).await.unwrap());
        }
        let tx = client.transaction().await.unwrap();
        outbox.enqueue(&tx, &event).await.unwrap();
        if life != RowLife::DeleteOnInsert {
            let outbox = outbox.idempotent(OnDuplicate::Ignore).unwrap();
            assert_eq!(outbox.enqueue(&tx, &event).await.unwrap(), Enqueued::AlreadyEnqueued);
        }
        tx.commit().await.unwrap();
        assert_eq!(env.rows().await, i64::from(!life.vanishes()));

        let health = PipelineMonitor::new(pipeline.clone(), Thresholds::default()).check(&client).await.unwrap();
        assert_ne!(health.status(), IndicatorStatus::Critical, "{health:?}");
        let timeout = health.indicator("idle_replication_slot_timeout").unwrap();
        let expected = if life.vanishes() { IndicatorStatus::Warning } else { IndicatorStatus::Good };
        assert_eq!((timeout.status, timeout.advice.is_some()), (expected, !life.vanishes()), "{timeout:?}");
        // No other transaction is open on this server, so that the slot's oldest one reports exactly.
        assert_eq!(
            health.indicator("publication_older_than_slot").unwrap().status,
            IndicatorStatus::Good,
            "{health:?}"
        );

        client
            .execute("SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())", &[&pipeline.slot().as_str()])
            .await
            .unwrap();
        let shorter = Maintenance::new(pipeline.clone(), DAY / 2);
        let MaintenanceOutcome::Done(report) = shorter.run(&client).await.unwrap() else { panic!() };
        assert_eq!(report.detached.is_empty(), life != RowLife::Partitioned, "{report:?}");
    }
}
