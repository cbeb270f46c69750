//! A service that has connections of sqlx only creates, checks and maintains its outbox on them.

use std::time::Duration;

use outbox_core::layout::{Column, ColumnType, Nullability};
use outbox_core::{EventId, Identifier, OutboxEvent, RowLife, TableLayout};
use outbox_pg::{
    IndicatorStatus, Maintenance, MaintenanceOutcome, Migrations, OutboxWorker, PipelineMonitor, Privileges, Problem,
    Readiness, Republish, Roles, SlotCreation, SlotOptions, Thresholds, application_role_sql,
};
use outbox_sqlx::SqlxOutbox;
use outbox_sqlx::sqlx::{self, AssertSqlSafe, PgConnection, PgPool};
use outbox_test_support::{TestEnv, eventually};

use crate::{event, pool};

const DAY: Duration = Duration::from_secs(86_400);

/// Returns options of a slot whose creation waits for the transactions of all tests.
fn slot_options() -> SlotOptions {
    SlotOptions::default().patience(Duration::from_secs(300))
}

async fn enqueue(pool: &PgPool, env: &TestEnv, events: &[OutboxEvent]) {
    let mut tx = pool.begin().await.unwrap();
    SqlxOutbox::new(env.pipeline().clone()).enqueue_all(&mut tx, events).await.unwrap();
    tx.commit().await.unwrap();
}

async fn confirm(connection: &mut PgConnection, env: &TestEnv) {
    let sql = "SELECT pg_replication_slot_advance($1, pg_current_wal_insert_lsn())::text";
    let _: String = sqlx::query_scalar(sql).bind(env.name()).fetch_one(connection).await.unwrap();
}

/// Returns an event whose id is two days old.
fn old(n: i64) -> OutboxEvent {
    let id = EventId::new().as_uuid().as_u128() - ((2 * DAY).as_millis() << 80);
    let id = EventId::try_from(outbox_core::uuid::Uuid::from_u128(id)).unwrap();
    OutboxEvent::builder("order", n.to_string(), "OrderCreated").id(id).build().unwrap()
}

#[tokio::test]
async fn an_outbox_is_created_checked_and_maintained_on_connections_of_sqlx() {
    for life in [RowLife::Keep, RowLife::Partitioned, RowLife::DeleteOnInsertKeepIds, RowLife::Message] {
        let layout = match life {
            RowLife::Message => TableLayout::messages(),
            life => TableLayout::recommended().with_row_life(life),
        };
        let env = TestEnv::builder().layout(layout).database().build().await;
        let (pool, pipeline) = (pool(&env).await, env.pipeline());
        let mut connection = pool.acquire().await.unwrap();
        sqlx::query("SET default_transaction_isolation = 'serializable'").execute(&mut *connection).await.unwrap();

        let missing = Readiness::check_sqlx(&mut connection, pipeline).await.unwrap();
        assert!(missing.problems().len() >= 2, "{life:?}: {missing:?}");
        let error = SlotOptions::default().create_sqlx(&mut connection, pipeline).await.unwrap_err();
        assert!(error.is_not_ready(), "{life:?}: {error}");
        for migrations in [Migrations::outbox(pipeline), Migrations::maintenance(pipeline)] {
            let plan = migrations.plan_sqlx(&mut connection).await.unwrap();
            let applied = migrations.apply_sqlx(&mut connection).await.unwrap();
            assert_eq!(applied.versions, plan.versions(), "{life:?}");
            assert!(migrations.plan_sqlx(&mut connection).await.unwrap().is_empty(), "{life:?}");
            assert_eq!(migrations.apply_sqlx(&mut connection).await.unwrap().versions, [0; 0], "{life:?}");
        }
        let created = slot_options().create_sqlx(&mut connection, pipeline).await.unwrap();
        assert_eq!(created, SlotCreation::Created, "{life:?}");

        let maintenance = Maintenance::new(pipeline.clone(), DAY);
        maintenance.run_sqlx(&mut connection).await.unwrap();
        Readiness::check_sqlx(&mut connection, pipeline).await.unwrap().into_result().unwrap();
        enqueue(&pool, &env, &[event(1), event(2)]).await;
        let mut monitor = PipelineMonitor::new(pipeline.clone(), Thresholds::default());
        let health = monitor.check_sqlx(&mut connection).await.unwrap();
        assert_ne!(health.status(), IndicatorStatus::Critical, "{life:?}: {health:?}");
        assert_eq!(health.indicator("slot_present").unwrap().status, IndicatorStatus::Good, "{life:?}");

        let timeouts: (String, String) =
            sqlx::query_as("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
                .fetch_one(&mut *connection)
                .await
                .unwrap();
        assert_eq!(timeouts, ("0".into(), "0".into()), "{life:?}");
    }
}

#[tokio::test]
async fn rows_are_published_again_and_deleted_on_connections_of_sqlx() {
    let env = TestEnv::builder().slot().build().await;
    let (pool, pipeline) = (pool(&env).await, env.pipeline());
    let mut connection = pool.acquire().await.unwrap();
    Migrations::maintenance(pipeline).apply_sqlx(&mut connection).await.unwrap();
    let maintenance = Maintenance::new(pipeline.clone(), DAY);
    let drop = "SELECT pg_drop_replication_slot($1)::text";
    let _: String = sqlx::query_scalar(drop).bind(env.name()).fetch_one(&mut *connection).await.unwrap();
    enqueue(&pool, &env, &(0..5).map(old).collect::<Vec<_>>()).await;

    let error = SlotOptions::default().create_sqlx(&mut connection, pipeline).await.unwrap_err();
    assert!(error.to_string().contains("5 events since"), "{error}");
    slot_options().recreate().create_sqlx(&mut connection, pipeline).await.unwrap();
    let replay = Republish::missed(pipeline.clone()).batch_size(2);
    assert_eq!(replay.remaining_sqlx(&mut connection, "lost").await.unwrap(), 5);
    assert_eq!(replay.step_sqlx(&mut connection, "lost").await.unwrap().events, 2);
    let done = replay.run_sqlx(&mut connection, "lost").await.unwrap();
    assert!(done.is_finished && done.events == 5, "{done:?}");
    assert_eq!(Republish::list_sqlx(&mut connection, pipeline).await.unwrap()[0].progress, done);

    maintenance.release_missed_sqlx(&mut connection).await.unwrap();
    eventually("rows that are confirmed and due are deleted", async || {
        confirm(&mut connection, &env).await;
        let outcome = maintenance.run_sqlx(&mut connection).await.unwrap();
        assert!(matches!(outcome, MaintenanceOutcome::Done(_)), "{outcome:?}");
        env.rows().await == 0
    })
    .await;
}

#[tokio::test]
async fn the_background_task_runs_on_a_pool_of_sqlx() {
    let env = TestEnv::builder().slot().build().await;
    let (pool, pipeline) = (pool(&env).await, env.pipeline());
    Migrations::maintenance(pipeline).apply_sqlx(&mut pool.acquire().await.unwrap()).await.unwrap();
    let worker =
        OutboxWorker::sqlx_builder(pool.clone(), pipeline.clone()).check_every(Duration::from_millis(50)).spawn();
    let mut status = worker.subscribe();
    let found = status.wait_for(|status| status.health.is_some() && status.maintained.is_some()).await.unwrap().clone();
    assert!(found.check_failure.is_none() && found.maintenance_failure.is_none(), "{found:?}");
    worker.stop().await;

    pool.close().await;
    let worker = OutboxWorker::sqlx_builder(pool, pipeline.clone()).spawn();
    let mut status = worker.subscribe();
    let failed = status.wait_for(|status| status.maintenance_failure.is_some()).await.unwrap().clone();
    assert!(failed.maintenance_failure.unwrap().is_transient());
    worker.stop().await;
}

#[tokio::test]
async fn errors_and_privileges_are_those_of_the_other_driver() {
    let env = TestEnv::builder().slot().build().await;
    let (pool, pipeline) = (pool(&env).await, env.pipeline());
    let mut connection = pool.acquire().await.unwrap();
    let role = |suffix: &str| Identifier::new(format!("{}_{suffix}", env.name())).unwrap();
    let roles = Roles::new(role("app"), role("connector"), role("maintainer"));
    sqlx::raw_sql(AssertSqlSafe(application_role_sql(pipeline, &roles.application)))
        .execute(&mut *connection)
        .await
        .unwrap();
    let problems = Privileges::check_sqlx(&mut connection, pipeline, &roles).await.unwrap();
    let problems: Vec<_> = problems.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2, "two roles are missing: {problems:?}");

    let sql = AssertSqlSafe(format!("SET ROLE {}", roles.application));
    sqlx::raw_sql(sql).execute(&mut *connection).await.unwrap();
    Readiness::check_sqlx(&mut connection, pipeline).await.unwrap().into_result().unwrap();
    let column = Column::own(Identifier::new("note").unwrap(), ColumnType::Text, Nullability::Nullable);
    let wider = env.pipeline_of(TableLayout::recommended().with_column(column).unwrap());
    let error = Migrations::outbox(&wider).apply_sqlx(&mut connection).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501", "{error:?}");
    assert!(!error.is_transient());
    let readiness = Readiness::check_sqlx(&mut connection, &wider).await.unwrap();
    assert!(matches!(readiness.problems(), [Problem::Column { .. }]), "the transaction was rolled back: {readiness:?}");
}
