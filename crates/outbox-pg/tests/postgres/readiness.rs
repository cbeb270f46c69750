use std::time::Duration;

use outbox_core::{ConnectorConfig, Identifier, OutboxEvent, Pipeline, RowLife, TableLayout};
use outbox_pg::{
    Enqueued, Maintenance, Migrations, OnDuplicate, Problem, Readiness, SlotCreation, connector_role_sql, create_slot,
};

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

async fn problem_after(change: &str, life: RowLife) -> String {
    let env = TestEnv::builder().layout(TableLayout::recommended().with_row_life(life)).outbox().build().await;
    let (pipeline, mut client) = (env.pipeline().clone(), env.client().await);
    if life == RowLife::Partitioned {
        Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
    }

    create_slot(&client, &pipeline).await.unwrap();
    if life == RowLife::Partitioned {
        Maintenance::new(pipeline.clone(), Duration::from_secs(86_400)).run(&client).await.unwrap();
    }
    Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap();
    client.batch_execute(change).await.unwrap();
    let readiness = Readiness::check(&client, &pipeline).await.unwrap();
    assert_eq!(readiness.problems().len(), 1, "{change}: {readiness:?}");
    readiness.problems()[0].to_string()
}

/// Row filters and lists of columns are of PostgreSQL 15 and later.
#[tokio::test]
async fn what_a_publication_leaves_out_is_found() {
    let env = TestEnv::builder().database().build().await;
    let version = "SELECT current_setting('server_version_num')::int";
    let version: i32 = env.client().await.query_one(version, &[]).await.unwrap().get(0);
    let filter = "ALTER PUBLICATION outbox SET TABLE outbox.outbox_message WHERE (aggregate_type <> 'order')";
    let list =
        "ALTER PUBLICATION outbox SET TABLE outbox.outbox_message (id, aggregate_type, aggregate_id, event_type)";
    let via_root = "ALTER PUBLICATION outbox SET (publish_via_partition_root = false)";
    if version >= 150_000 {
        let error = problem_after(filter, RowLife::Keep).await;
        assert!(error.contains("row filter") && error.contains("SET TABLE \"outbox\".\"outbox_message\""), "{error}");
        let error = problem_after(list, RowLife::Keep).await;
        assert!(error.contains("\"payload\", \"created_at\""), "{error}");
    }

    let error = problem_after(via_root, RowLife::Partitioned).await;
    assert!(error.contains("publish_via_partition_root = true"), "{error}");
}

#[tokio::test]
async fn what_makes_an_insert_fail_or_be_doubled_is_found() {
    let table = "ALTER TABLE outbox.outbox_message";
    let error = problem_after(&format!("{table} ADD tenant text NOT NULL"), RowLife::Keep).await;
    assert!(error.contains("column tenant: it is NOT NULL") && error.contains("SET DEFAULT"), "{error}");
    let error = problem_after(&format!("{table} DROP CONSTRAINT outbox_message_pkey"), RowLife::Keep).await;
    assert!(error.contains("no unique index on \"id\"") && error.contains("ADD PRIMARY KEY"), "{error}");

    let env = TestEnv::builder().slot().build().await;
    let client = env.client().await;
    let role = format!("{}_visitor", env.name());
    let filled = format!("{table} ADD tenant text NOT NULL, ADD n int GENERATED ALWAYS AS IDENTITY");
    let trigger = "CREATE FUNCTION outbox.fill() RETURNS trigger LANGUAGE plpgsql
                   AS 'BEGIN NEW.tenant = ''acme''; RETURN NEW; END';
                   CREATE TRIGGER fill BEFORE INSERT ON outbox.outbox_message FOR EACH ROW EXECUTE FUNCTION outbox.fill()";
    let visitor = format!("CREATE ROLE {role}; GRANT USAGE ON SCHEMA outbox TO {role}; SET ROLE {role}");
    client.batch_execute(&format!("{filled}; {trigger}; {visitor}")).await.unwrap();
    let readiness = Readiness::check(&client, env.pipeline()).await.unwrap();
    let [Problem::NoInsertPrivilege { role: found, .. }] = readiness.problems() else { panic!("{readiness:?}") };
    assert_eq!(*found, role);
}

#[tokio::test]
async fn an_idempotent_outbox_needs_a_unique_id() {
    for (change, is_unique) in [
        ("SELECT", true),
        ("ALTER TABLE outbox.outbox_message DROP CONSTRAINT outbox_message_pkey", false),
        ("ALTER TABLE outbox.outbox_message ADD UNIQUE (id) DEFERRABLE", false),
        ("CREATE UNIQUE INDEX ON outbox.outbox_message (id) WHERE aggregate_type = 'order'", false),
        ("CREATE UNIQUE INDEX ON outbox.outbox_message (id, aggregate_type)", false),
        ("CREATE UNIQUE INDEX ON outbox.outbox_message (id) INCLUDE (aggregate_type)", true),
    ] {
        let env = TestEnv::builder().outbox().build().await;
        let mut client = env.client().await;
        if change != "SELECT" {
            let drop = "ALTER TABLE outbox.outbox_message DROP CONSTRAINT IF EXISTS outbox_message_pkey";
            client.batch_execute(drop).await.unwrap();
        }
        if !change.contains("DROP CONSTRAINT") {
            client.batch_execute(change).await.unwrap();
        }
        let outbox = env.outbox().idempotent(OnDuplicate::Ignore).unwrap();
        let event = OutboxEvent::builder("order", "1", "Line").build().unwrap();
        let tx = client.transaction().await.unwrap();
        let enqueued = outbox.enqueue(&tx, &event).await;
        if is_unique {
            assert_eq!(enqueued.unwrap(), Enqueued::Enqueued, "{change}");
            assert_eq!(outbox.enqueue(&tx, &event).await.unwrap(), Enqueued::AlreadyEnqueued, "{change}");
        } else {
            let error = enqueued.unwrap_err();
            assert!(error.is_configuration() && error.to_string().contains("unique index"), "{change}: {error}");
            tx.batch_execute("SELECT").await.unwrap();
        }
    }
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

#[tokio::test]
async fn a_session_that_may_not_write_is_found() {
    let env = TestEnv::builder().slot().build().await;
    let client = env.client().await;
    let role = format!("{}_tenant", env.name());
    let secure = format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA outbox TO {role}; GRANT INSERT ON outbox.outbox_message TO {role};
         ALTER TABLE outbox.outbox_message ENABLE ROW LEVEL SECURITY;
         CREATE POLICY readers ON outbox.outbox_message FOR SELECT USING (true); SET ROLE {role}"
    );
    client.batch_execute(&secure).await.unwrap();
    let readiness = Readiness::check(&client, env.pipeline()).await.unwrap();
    let [Problem::NoInsertPolicy { role: found, .. }] = readiness.problems() else { panic!("{readiness:?}") };
    assert_eq!(*found, role);
    let allow =
        format!("RESET ROLE; CREATE POLICY writers ON outbox.outbox_message FOR INSERT TO {role} WITH CHECK (true)");
    client.batch_execute(&format!("{allow}; SET ROLE {role}")).await.unwrap();
    Readiness::check(&client, env.pipeline()).await.unwrap().into_result().unwrap();

    client.batch_execute("SET default_transaction_read_only = on").await.unwrap();
    let readiness = Readiness::check(&client, env.pipeline()).await.unwrap();
    assert!(matches!(readiness.problems(), [Problem::ReadOnly]), "{readiness:?}");
}
