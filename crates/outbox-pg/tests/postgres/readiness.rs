use outbox_core::{ConnectorConfig, Identifier, Pipeline, TableLayout};
use outbox_pg::{Migrations, Problem, Readiness, SlotCreation, connector_role_sql, create_slot};

use outbox_test_support::TestEnv;

#[tokio::test]
async fn what_is_missing_is_named_with_its_remedy_until_all_is_there() {
    let env = TestEnv::builder().database().build().await;
    let pipeline = env.pipeline().clone();
    let mut client = env.client().await;

    let readiness = Readiness::check(&client, &pipeline).await.unwrap();
    assert!(
        matches!(
            readiness.problems(),
            [Problem::TableMissing { .. }, Problem::PublicationMissing { .. }, Problem::SlotMissing { .. }]
        ),
        "{readiness:?}"
    );
    let error = readiness.into_result().unwrap_err();
    assert!(error.is_not_ready());
    for remedy in ["Migrations::outbox", "create_slot", "pg_create_logical_replication_slot"] {
        assert!(error.to_string().contains(remedy), "{error}");
    }
    let error = create_slot(&client, &pipeline).await.unwrap_err();
    assert!(error.is_not_ready(), "a slot before its publication would fail at every read: {error}");

    Migrations::outbox(&pipeline).apply(&mut client).await.unwrap();
    assert!(matches!(Readiness::check(&client, &pipeline).await.unwrap().problems(), [Problem::SlotMissing { .. }]));
    assert_eq!(create_slot(&client, &pipeline).await.unwrap(), SlotCreation::Created);
    assert_eq!(create_slot(&client, &pipeline).await.unwrap(), SlotCreation::Exists);
    Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn slots_created_at_once_are_one_slot() {
    let env = TestEnv::builder().outbox().build().await;
    let pipeline = env.pipeline().clone();
    let mut instances = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (client, pipeline) = (env.client().await, pipeline.clone());
        instances.spawn(async move { create_slot(&client, &pipeline).await.unwrap() });
    }
    let outcomes = instances.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == SlotCreation::Created).count(), 1);
}

#[tokio::test]
async fn a_slot_of_another_plugin_or_database_is_refused() {
    let env = TestEnv::builder().outbox().build().await;
    let pipeline = env.pipeline().clone();
    let client = env.client().await;
    client.execute("SELECT pg_create_logical_replication_slot($1, 'test_decoding')", &[&env.name()]).await.unwrap();
    let readiness = Readiness::check(&client, &pipeline).await.unwrap();
    assert!(matches!(readiness.problems(), [Problem::SlotOfOtherPlugin { .. }]), "{readiness:?}");
    assert!(create_slot(&client, &pipeline).await.unwrap_err().is_not_ready());

    let elsewhere = TestEnv::builder().outbox().build().await;
    let readiness = Readiness::check(&elsewhere.client().await, &pipeline).await.unwrap();
    assert!(matches!(readiness.problems(), [Problem::SlotOfOtherDatabase { .. }]), "{readiness:?}");
}

#[tokio::test]
async fn a_table_that_is_not_as_the_layout_says_is_told_column_by_column() {
    let env = TestEnv::builder().outbox().build().await;
    let pipeline = env.pipeline().clone();
    let client = env.client().await;
    create_slot(&client, &pipeline).await.unwrap();
    client
        .batch_execute(
            "ALTER TABLE outbox.outbox_message ALTER created_at TYPE timestamptz; \
             ALTER TABLE outbox.outbox_message ALTER traceparent DROP NOT NULL; \
             ALTER TABLE outbox.outbox_message DROP causation_id;
             ALTER PUBLICATION outbox SET (publish = 'delete')",
        )
        .await
        .unwrap();
    let error = Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap_err().to_string();
    for part in [
        "\"created_at\": it is timestamp",
        "\"traceparent\": it is nullable",
        "\"causation_id\": it is missing",
        "leaves out inserts",
    ] {
        assert!(error.contains(part), "{error}");
    }
    client.batch_execute("ALTER PUBLICATION outbox DROP TABLE outbox.outbox_message").await.unwrap();
    let error = Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap_err().to_string();
    assert!(error.contains("ADD TABLE \"outbox\".\"outbox_message\""), "{error}");
}

#[tokio::test]
async fn the_role_script_names_every_object_of_the_pipeline() {
    let odd = |name: &str| Identifier::new(name).unwrap();
    let layout = TableLayout::recommended().named(odd("s'1"), odd("t\"1"));
    let pipeline = Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap();
    let sql = connector_role_sql(&pipeline, &odd("r'%s"));
    for part in [
        "'CREATE ROLE \"r''%s\"'",
        "rolname = 'r''%s'",
        "TO \"r''%%s\"'",
        "ON SCHEMA \"s'1\"",
        "ON TABLE \"s'1\".\"t\"\"1\"",
    ] {
        assert!(sql.contains(part), "{part} in {sql}");
    }
}
