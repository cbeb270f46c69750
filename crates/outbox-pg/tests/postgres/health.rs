//! Health indicators. Each must be in `docs/reference/health.md`, have a threshold, and have a remedy unless it is
//! good; `status` checks the last two.

use std::time::{Duration, Instant};

use outbox_core::{OutboxEvent, Pipeline, RowLife, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::{
    IndicatorStatus, Maintenance, Measure, Migrations, PgOutbox, PipelineHealth, PipelineMonitor, Thresholds,
    create_slot,
};

use outbox_test_support::TestEnv;

/// The page that lists every indicator.
const DOCUMENTATION: &str = include_str!("../../../../docs/reference/health.md");

async fn set_up(life: RowLife) -> (TestEnv, Pipeline, Client) {
    let env = TestEnv::builder().layout(TableLayout::recommended().with_row_life(life)).outbox().build().await;
    let pipeline = env.pipeline().clone();
    let client = env.client().await;
    create_slot(&client, &pipeline).await.unwrap();
    (env, pipeline, client)
}

async fn enqueue(client: &mut Client, pipeline: &Pipeline) {
    let tx = client.transaction().await.unwrap();
    let event = OutboxEvent::builder("order", "1", "Line").build().unwrap();
    PgOutbox::new(pipeline.clone()).enqueue(&tx, &event).await.unwrap();
    tx.commit().await.unwrap();
}

fn status(health: &PipelineHealth, name: &str) -> IndicatorStatus {
    let indicator = health.indicator(name).unwrap_or_else(|| panic!("{name} in {health:?}"));
    assert_eq!(indicator.remedy.is_some(), indicator.status != IndicatorStatus::Good, "{indicator:?}");
    assert_eq!(indicator.threshold.is_none(), name == "confirmed_position", "{indicator:?}");
    indicator.status
}

#[tokio::test]
async fn a_pipeline_that_is_well_is_said_to_be_so_indicator_by_indicator() {
    for life in [RowLife::Keep, RowLife::Partitioned, RowLife::DeleteOnInsert] {
        let (_env, pipeline, mut client) = set_up(life).await;
        Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
        Maintenance::new(pipeline.clone(), Duration::from_secs(864_000)).run(&client).await.unwrap();
        let health = PipelineMonitor::new(pipeline, Thresholds::default()).check(&client).await.unwrap();
        let good =
            ["wal_level", "slot_present", "slot_wal_status", "wal_held_back", "confirmed_position", "replica_identity"];

        for name in good.into_iter().chain(["publication_contents"]) {
            assert_eq!(status(&health, name), IndicatorStatus::Good, "{life:?} {name}: {health:?}");
        }

        // Nobody reads the slot.
        assert_eq!(status(&health, "slot_active"), IndicatorStatus::Warning);
        // It is unlimited, which is advice where rows stay, and as it should be where they vanish.
        assert_eq!(status(&health, "max_slot_wal_keep_size"), IndicatorStatus::Good);
        assert_eq!(health.advice().count(), usize::from(!life.vanishes()), "{health:?}");
        assert_eq!(status(&health, "oldest_unconfirmed"), IndicatorStatus::Unknown, "what is unknown is not good");
        assert_eq!(health.status(), IndicatorStatus::Warning);
        assert_eq!(health.indicator("wal_held_back").unwrap().threshold, Some(Measure::Bytes(1 << 30)));
        assert!(health.indicator("wal_held_back").unwrap().value.gauge().is_some());
        for name in health.indicators().iter().map(|indicator| indicator.name) {
            assert!(
                DOCUMENTATION.contains(&format!("`{name}`")),
                "add {name} to the table in docs/reference/health.md"
            );
        }

        if life == RowLife::Partitioned {
            assert_eq!(status(&health, "partition_horizon"), IndicatorStatus::Good);
            assert_eq!(status(&health, "publication_via_root"), IndicatorStatus::Good);
        }
    }
}

/// Confirms the slot, and looks, until what is unconfirmed is younger. Others write WAL, too: it may take some turns
/// until what an earlier check saw is confirmed.
async fn confirmed_below(age: Duration, client: &Client, pipeline: &Pipeline, monitor: &mut PipelineMonitor) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let confirm = "SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())";
        client.execute(confirm, &[&pipeline.slot().as_str()]).await.unwrap();
        let health = monitor.check(client).await.unwrap();
        match health.indicator("oldest_unconfirmed").unwrap().value {
            Measure::Span(found) if found < age => return,
            _ => assert!(Instant::now() < deadline, "not below {age:?}: {health:?}"),
        }
    }
}

#[tokio::test]
async fn the_oldest_unconfirmed_row_ages_until_the_slot_confirms_it() {
    for life in [RowLife::Keep, RowLife::DeleteOnInsert] {
        let (_env, pipeline, mut client) = set_up(life).await;
        let thresholds = Thresholds::default().unconfirmed(Duration::ZERO, Duration::from_secs(3600));
        let mut monitor = PipelineMonitor::new(pipeline.clone(), thresholds);
        confirmed_below(Duration::MAX, &client, &pipeline, &mut monitor).await;
        enqueue(&mut client, &pipeline).await;
        client.batch_execute("SELECT pg_sleep(0.05)").await.unwrap();
        let health = monitor.check(&client).await.unwrap();
        assert_eq!(status(&health, "oldest_unconfirmed"), IndicatorStatus::Warning, "{life:?} {health:?}");
        let Measure::Span(age) = health.indicator("oldest_unconfirmed").unwrap().value else { panic!() };
        assert!(age >= Duration::from_millis(50), "{age:?}");
        confirmed_below(age, &client, &pipeline, &mut monitor).await;
    }
}

/// A table that others made.
#[tokio::test]
async fn the_oldest_row_of_a_table_with_numbers_for_ids_is_estimated_by_the_slot() {
    let (_env, pipeline, client) = set_up(RowLife::Keep).await;
    let table = pipeline.layout().qualified_name();
    let numbered =
        format!("ALTER TABLE {table} DROP COLUMN id; ALTER TABLE {table} ADD COLUMN id bigserial PRIMARY KEY");
    client.batch_execute(&numbered).await.unwrap();
    let mut monitor = PipelineMonitor::new(pipeline.clone(), Thresholds::default());
    confirmed_below(Duration::MAX, &client, &pipeline, &mut monitor).await;
}

/// The monitor starts while nothing moves: a service that was deployed during the outage, or because of it.
#[tokio::test]
async fn a_pipeline_that_is_stuck_before_the_first_check_is_reported_within_the_threshold() {
    for life in [RowLife::Keep, RowLife::DeleteOnInsert] {
        let (_env, pipeline, mut client) = set_up(life).await;
        enqueue(&mut client, &pipeline).await;
        let limit = Duration::from_millis(200);
        let mut monitor = PipelineMonitor::new(pipeline.clone(), Thresholds::default().unconfirmed(limit / 2, limit));
        assert_eq!(status(&monitor.check(&client).await.unwrap(), "oldest_unconfirmed"), IndicatorStatus::Unknown);
        client.batch_execute("SELECT pg_sleep(0.3)").await.unwrap();
        let health = monitor.check(&client).await.unwrap();
        assert_eq!(status(&health, "oldest_unconfirmed"), IndicatorStatus::Critical, "{life:?} {health:?}");
        confirmed_below(limit / 2, &client, &pipeline, &mut monitor).await;
    }
}

#[tokio::test]
async fn what_is_wrong_is_reported_with_its_status_and_remedy() {
    let (_env, pipeline, mut client) = set_up(RowLife::Partitioned).await;
    let mut monitor = PipelineMonitor::new(pipeline.clone(), Thresholds::default().wal_held_back(0, 0));
    client
        .batch_execute(
            "DROP PUBLICATION outbox; CREATE TABLE public.other (); \
             CREATE PUBLICATION outbox FOR TABLE outbox.outbox_message, public.other; \
             ALTER TABLE outbox.outbox_message REPLICA IDENTITY NOTHING",
        )
        .await
        .unwrap();

    let health = monitor.check(&client).await.unwrap();
    for (name, expected) in [
        ("wal_held_back", IndicatorStatus::Critical),
        ("partition_horizon", IndicatorStatus::Critical),
        ("publication_contents", IndicatorStatus::Warning),
        ("publication_via_root", IndicatorStatus::Critical),
        ("publication_older_than_slot", IndicatorStatus::Warning),
        ("replica_identity", IndicatorStatus::Critical),
        ("readiness", IndicatorStatus::Critical),
    ] {
        assert_eq!(status(&health, name), expected, "{name} {health:?}");
    }

    client.execute("SELECT pg_drop_replication_slot($1)", &[&pipeline.slot().as_str()]).await.unwrap();
    let health = monitor.check(&client).await.unwrap();
    assert_eq!(status(&health, "slot_present"), IndicatorStatus::Critical);
    assert!(health.indicator("oldest_unconfirmed").is_none());
    Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
}
