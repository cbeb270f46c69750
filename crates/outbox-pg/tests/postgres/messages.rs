//! The outbox without a table.

use std::time::Duration;

use outbox_core::{Identifier, OutboxEvent, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::{
    Maintenance, MaintenanceOutcome, Migrations, OnDuplicate, PipelineMonitor, Privileges, Problem, Readiness,
    Republish, Roles, SlotCreation, SlotOptions, Thresholds, application_role_sql, create_slot, maintainer_role_sql,
};

use outbox_test_support::{TestEnv, TestEnvBuilder, connect, eventually};

fn messages() -> TestEnvBuilder {
    TestEnv::builder().layout(TableLayout::messages())
}

fn line(number: usize) -> OutboxEvent {
    let event = OutboxEvent::builder("order", "1", format!("Line{number}")).json("{\"größe\":\"ü\"}");
    event.build().unwrap()
}

/// Returns the types of the events whose messages are in the WAL, as a slot of another plugin sees it.
async fn in_wal(client: &Client, slot: &str) -> Vec<String> {
    let sql = r"SELECT substring(data FROM '(Line\d+)') FROM pg_logical_slot_get_changes($1, NULL, NULL)
                WHERE data LIKE 'message: transactional: 1 prefix: outbox.outbox_message, %'";
    client.query(sql, &[&slot]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn there_is_nothing_to_create_but_the_publication_and_the_slot() {
    let env = messages().database().build().await;
    let (mut client, pipeline) = (env.client().await, env.pipeline().clone());
    let readiness = Readiness::check(&client, &pipeline).await.unwrap();
    assert!(
        matches!(readiness.problems(), [Problem::PublicationMissing { .. }, Problem::SlotMissing { .. }]),
        "{readiness:?}"
    );
    let migrations = Migrations::outbox(&pipeline);
    let plan = migrations.plan(&client).await.unwrap();
    assert_eq!(plan.versions(), [1]);
    assert_eq!(plan, migrations.script());
    client.batch_execute(&plan.to_string()).await.unwrap();
    assert!(migrations.plan(&client).await.unwrap().is_empty());
    assert!(migrations.apply(&mut client).await.unwrap().versions.is_empty());
    assert!(Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap().versions.is_empty());
    let sql = "SELECT to_regnamespace('outbox') IS NULL";
    assert!(client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0), "no schema is created");

    assert_eq!(create_slot(&client, &pipeline).await.unwrap(), SlotCreation::Created);
    assert_eq!(create_slot(&client, &pipeline).await.unwrap(), SlotCreation::Exists);
    Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap();
    let health = PipelineMonitor::new(pipeline.clone(), Thresholds::default()).check(&client).await.unwrap();
    let wrong: Vec<_> = health.indicators().iter().filter(|indicator| indicator.name == "readiness").collect();
    assert!(wrong.is_empty() && health.indicator("publication_contents").is_none(), "{health:?}");

    // Nothing records that there was a slot.
    client.execute("SELECT pg_drop_replication_slot($1)", &[&env.name()]).await.unwrap();
    assert_eq!(SlotOptions::default().create(&client, &pipeline).await.unwrap(), SlotCreation::Created);
}

#[tokio::test]
async fn an_instance_that_starts_while_another_one_creates_the_publication_is_no_error() {
    let env = messages().database().build().await;
    let (mut client, mut other) = (env.client().await, env.client().await);
    let migrations = Migrations::outbox(env.pipeline());
    let tx = other.transaction().await.unwrap();
    tx.batch_execute(&migrations.script().to_string().replace("BEGIN;\n", "").replace("COMMIT;\n", "")).await.unwrap();

    let applied = migrations.apply(&mut client);
    let commit = async {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.datname = current_database()
                         JOIN pg_stat_activity a USING (pid) WHERE NOT granted AND a.datid = d.oid)";
        let observer = env.client().await;
        eventually("the instance waits for the other one", async || {
            observer.query_one(waits, &[]).await.unwrap().get::<_, bool>(0)
        })
        .await;
        tx.commit().await.unwrap();
    };
    let (applied, ()) = tokio::join!(applied, commit);
    applied.unwrap();
    assert!(migrations.plan(&client).await.unwrap().is_empty());
}

#[tokio::test]
async fn messages_are_in_the_wal_in_their_order_if_their_transaction_commits() {
    let env = messages().outbox().build().await;
    let mut client = env.client().await;
    let sql = "SELECT pg_create_logical_replication_slot($1, 'test_decoding')";
    client.execute(sql, &[&env.name()]).await.unwrap();
    let outbox = env.outbox();
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &line(0)).await.unwrap();
    let batch: Vec<_> = (1..600).map(line).collect();
    outbox.enqueue_all(&tx, &batch).await.unwrap();
    tx.commit().await.unwrap();
    let tx = client.transaction().await.unwrap();
    outbox.enqueue_all(&tx, &batch).await.unwrap();
    tx.rollback().await.unwrap();

    let mut pooled = env.pool().get().await.unwrap();
    let tx = pooled.transaction().await.unwrap();
    env.outbox().enqueue(&tx, &line(600)).await.unwrap();
    let savepoint = pooled_savepoint(tx, &env).await;
    savepoint.commit().await.unwrap();
    let expected: Vec<_> = (0..=600).chain([602]).map(|number| format!("Line{number}")).collect();
    assert_eq!(in_wal(&client, env.name()).await, expected);
}

/// Leaves out what a savepoint rolls back.
async fn pooled_savepoint<'a>(
    mut tx: outbox_pg::deadpool_postgres::Transaction<'a>,
    env: &TestEnv,
) -> outbox_pg::deadpool_postgres::Transaction<'a> {
    let outbox = env.outbox();
    let savepoint = tx.savepoint("s").await.unwrap();
    outbox.enqueue(&savepoint, &line(601)).await.unwrap();
    savepoint.rollback().await.unwrap();
    outbox.enqueue(&tx, &line(602)).await.unwrap();
    tx
}

#[tokio::test]
async fn a_role_without_any_privilege_enqueues() {
    let env = messages().slot().build().await;
    let (client, role) = (env.client().await, Identifier::new(format!("{}_app", env.name())).unwrap());
    client.batch_execute(&application_role_sql(env.pipeline(), &role)).await.unwrap();
    let maintainer = Identifier::new(format!("{}_owner", env.name())).unwrap();
    client.batch_execute(&maintainer_role_sql(env.pipeline(), &maintainer)).await.unwrap();
    let connector = Identifier::new(format!("{}_reader", env.name())).unwrap();
    client.batch_execute(&format!("CREATE ROLE {connector} LOGIN REPLICATION")).await.unwrap();
    let roles = Roles::new(role.clone(), connector, maintainer);
    let rights = Privileges::check(&client, env.pipeline(), &roles).await.unwrap();
    assert!(rights.problems().is_empty(), "{:?}", rights.problems());

    let mut application = connect(env.url()).await;
    application.batch_execute(&format!("SET ROLE {role}")).await.unwrap();
    Readiness::check(&application, env.pipeline()).await.unwrap().into_result().unwrap();
    let tx = application.transaction().await.unwrap();
    env.outbox().enqueue(&tx, &line(1)).await.unwrap();
    tx.commit().await.unwrap();
    let sql = "SELECT count(*) FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1',
                   'publication_names', 'outbox', 'messages', 'true') WHERE get_byte(data, 0) = ascii('M')";
    eventually("the message is in the slot", async || {
        client.query_one(sql, &[&env.name()]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
}

#[tokio::test]
async fn what_needs_a_table_says_so() {
    let env = messages().slot().build().await;
    let (mut client, pipeline) = (env.client().await, env.pipeline().clone());
    let error = env.outbox().idempotent(OnDuplicate::Ignore).unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("no table"), "{error}");
    let error = Republish::missed(pipeline.clone()).step(&mut client, "again").await.unwrap_err();
    assert!(error.is_configuration(), "{error}");
    let maintenance = Maintenance::new(pipeline, Duration::from_secs(3600));
    assert!(
        matches!(maintenance.run(&client).await.unwrap(), MaintenanceOutcome::Done(report) if report.deleted_rows == 0)
    );
}
