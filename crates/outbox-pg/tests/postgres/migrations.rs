use outbox_core::layout::ColumnType;
use outbox_core::{Identifier, TableLayout};
use outbox_pg::{Migration, Migrations, Readiness, create_slot};

use outbox_test_support::TestEnv;

/// The versions of the steps of the recommended outbox. A new step is added here and to the list of exported files.
const STEPS: [i32; 4] = [1, 2, 3, 4];

#[tokio::test]
async fn they_are_applied_once_however_many_instances_start() {
    let env = TestEnv::builder().database().build().await;
    let pipeline = env.pipeline().clone();
    let mut instances = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut client, migrations) = (env.client().await, Migrations::outbox(&pipeline));
        instances.spawn(async move { migrations.apply(&mut client).await.unwrap().versions });
    }
    let mut applied: Vec<_> = instances.join_all().await;
    applied.sort();
    assert_eq!(applied.last().map(Vec::as_slice), Some(&STEPS[..]));
    assert!(applied[..7].iter().all(Vec::is_empty), "{applied:?}");
}

#[tokio::test]
async fn changed_sql_and_unknown_steps_are_refused_and_nothing_is_changed() {
    let env = TestEnv::builder().database().build().await;
    let mut client = env.client().await;
    let schema = || Identifier::new("app").unwrap();
    let step = |version, sql: &str| Migration::new(version, "step", sql);
    let one = Migrations::new("app", schema(), vec![step(1, "CREATE TABLE app.one ()")]);
    assert_eq!(one.apply(&mut client).await.unwrap().versions, [1]);

    let changed = Migrations::new(
        "app",
        schema(),
        vec![step(1, "CREATE TABLE app.other ()"), step(2, "CREATE TABLE app.two ()")],
    );
    let error = changed.apply(&mut client).await.unwrap_err();
    assert!(error.is_migration_conflict(), "{error}");

    let older = Migrations::new("app", schema(), vec![]);
    let error = older.apply(&mut client).await.unwrap_err();
    assert!(error.is_migration_conflict() && error.to_string().contains("newer"), "{error}");

    let failing = Migrations::new(
        "app",
        schema(),
        vec![step(1, "CREATE TABLE app.one ()"), step(2, "CREATE TABLE app.two ()"), step(3, "SELECT 1/0")],
    );
    let error = failing.apply(&mut client).await.unwrap_err();
    assert!(error.to_string().contains("migration app 3"), "{error}");
    let two: Option<String> = client.query_one("SELECT to_regclass('app.two')::text", &[]).await.unwrap().get(0);
    assert_eq!(two, None, "a failed run leaves everything as it was");
    let other = Migrations::new("other", schema(), vec![step(1, "CREATE TABLE app.three ()")]);
    assert_eq!(other.apply(&mut client).await.unwrap().versions, [1], "components do not know each other");
}

#[tokio::test]
async fn the_script_does_what_apply_does() {
    let env = TestEnv::builder().database().build().await;
    let mut client = env.client().await;
    // A stricter default must not give it a snapshot from before its lock.
    client.batch_execute("SET default_transaction_isolation = 'repeatable read'").await.unwrap();
    let odd = || Identifier::new("Out \"box\" o'r; --").unwrap();
    let step = |version, sql: &str| Migration::new(version, "it's a step", sql.replace("{s}", &odd().to_string()));
    let (one, two) = (step(1, "CREATE TABLE {s}.one (); CREATE TABLE {s}.more ()"), step(2, "CREATE TABLE {s}.two ()"));
    let first = Migrations::new("it's %", odd(), vec![one.clone()]);
    let both = Migrations::new("it's %", odd(), vec![one, two.clone()]);
    for migrations in [&first, &first, &both, &both] {
        client.batch_execute(&migrations.apply_script()).await.unwrap();
    }
    assert!(both.apply(&mut client).await.unwrap().versions.is_empty());
    let outbox = Migrations::outbox(env.pipeline());
    client.batch_execute(&outbox.apply_script()).await.unwrap();
    let applied = outbox.apply(&mut client).await.unwrap();
    assert_eq!((applied.versions, applied.row_life), (Vec::new(), None));

    let newer = client.batch_execute(&first.apply_script()).await.unwrap_err();
    let changed = Migrations::new("it's %", odd(), vec![step(1, "CREATE TABLE {s}.other ()"), two.clone()]);
    let changed = client.batch_execute(&changed.apply_script()).await.unwrap_err();
    let failing = Migrations::new("new", odd(), vec![step(1, "CREATE TABLE {s}.three ()"), step(2, "SELECT 1/0")]);
    client.batch_execute(&failing.apply_script()).await.unwrap_err();
    let text = |error: &outbox_pg::tokio_postgres::Error| error.as_db_error().unwrap().message().to_owned();
    assert!(text(&newer).contains("newer version of this program"), "{newer:?}");
    assert!(text(&changed).contains("migration it's % 1: it was applied with other SQL"), "{changed:?}");
    let three = format!("SELECT to_regclass($${}.three$$)::text", odd());
    let three: Option<String> = client.query_one(&three, &[]).await.unwrap().get(0);
    assert_eq!(three, None, "a failed run leaves everything as it was");
}

#[tokio::test]
async fn odd_names_are_quoted_everywhere() {
    let env = TestEnv::builder().database().build().await;
    let mut client = env.client().await;
    let odd = |name: &str| Identifier::new(name).unwrap();
    let layout = TableLayout::recommended().named(odd("Out \"box\" $1"), odd("o'rders; --"));
    let config = outbox_core::ConnectorConfig::recommended(&layout)
        .with("slot.name", env.name())
        .with("publication.name", "pub'li\"c $outbox$");
    let pipeline = outbox_core::Pipeline::new(config, layout).unwrap();
    Migrations::outbox(&pipeline).apply(&mut client).await.unwrap();
    create_slot(&client, &pipeline).await.unwrap();
    assert_eq!(Readiness::check(&client, &pipeline).await.unwrap().problems(), []);

    let outbox = outbox_pg::PgOutbox::new(pipeline);
    let event = outbox_core::OutboxEvent::builder("order", "1", "x").build().unwrap();
    let tx = client.transaction().await.unwrap();
    outbox.enqueue(&tx, &event).await.unwrap();
    outbox.enqueue_all(&tx, &[outbox_core::OutboxEvent::builder("order", "1", "x").build().unwrap()]).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_table_and_a_publication_that_exist_are_left_alone() {
    let env = TestEnv::builder().database().build().await;
    let mut client = env.client().await;
    let layout = TableLayout::classic(Identifier::new("public").unwrap(), Identifier::new("outboxevent").unwrap());
    let pipeline = env.pipeline_of(layout);
    client
        .batch_execute(
            "CREATE TABLE public.outboxevent (id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, \
             aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, payload jsonb, tracingspancontext varchar(256)); \
             CREATE PUBLICATION outbox FOR TABLE public.outboxevent",
        )
        .await
        .unwrap();

    let before: u32 = client.query_one("SELECT oid FROM pg_publication", &[]).await.unwrap().get(0);
    Migrations::outbox(&pipeline).apply(&mut client).await.unwrap();
    create_slot(&client, &pipeline).await.unwrap();
    assert_eq!(Readiness::check(&client, &pipeline).await.unwrap().problems(), []);

    let after: u32 = client.query_one("SELECT oid FROM pg_publication", &[]).await.unwrap().get(0);
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_table_is_as_the_layout_says() {
    for ty in [ColumnType::Json, ColumnType::Jsonb, ColumnType::Bytea, ColumnType::Text] {
        let env =
            TestEnv::builder().layout(TableLayout::recommended().payload_type(ty).unwrap()).outbox().build().await;
        let pipeline = env.pipeline().clone();
        let client = env.client().await;
        create_slot(&client, &pipeline).await.unwrap();
        assert_eq!(Readiness::check(&client, &pipeline).await.unwrap().problems(), [], "{ty:?}");

        // A hand-written INSERT of the minimum gets the defaults, in UTC whatever the session's time zone is.
        client.batch_execute("SET timezone = 'Asia/Tokyo'; INSERT INTO outbox.outbox_message (id, aggregate_type, aggregate_id, event_type) \
            VALUES (gen_random_uuid(), 'a', 'b', 'c')").await.unwrap();
        let sql = "SELECT abs(extract(epoch FROM created_at - timezone('utc', now()))) < 60, headers::text FROM outbox.outbox_message";
        let row = client.query_one(sql, &[]).await.unwrap();
        assert!(row.get::<_, bool>(0));
        assert_eq!(row.get::<_, &str>(1), "{}");
    }
}

#[tokio::test]
async fn a_plan_changes_nothing_and_its_script_does_what_apply_does() {
    let env = TestEnv::builder().database().build().await;
    let mut client = env.client().await;
    let migrations = Migrations::outbox(env.pipeline());
    let reader = env.client().await;
    reader.batch_execute("SET default_transaction_read_only = on").await.unwrap();
    let plan = migrations.plan(&reader).await.unwrap();
    assert_eq!(plan.versions(), STEPS);
    let found: Option<String> = client.query_one("SELECT to_regnamespace('outbox')::text", &[]).await.unwrap().get(0);
    assert_eq!(found, None);
    client.batch_execute(&plan.to_string()).await.unwrap();
    assert!(migrations.plan(&reader).await.unwrap().is_empty());
    assert_eq!(migrations.apply(&mut client).await.unwrap().versions, Vec::<i32>::new());

    let newer =
        "INSERT INTO outbox.schema_migration (component, version, name, checksum) VALUES ('outbox', 99, 'x', 'x')";
    client.batch_execute(newer).await.unwrap();
    assert_eq!(migrations.plan(&reader).await.unwrap().newer(), Some(99));
}

#[tokio::test]
async fn exported_files_make_the_same_outbox_and_are_never_overwritten() {
    let env = TestEnv::builder().database().build().await;
    let client = env.client().await;
    let layout = TableLayout::recommended().with_row_life(outbox_core::RowLife::DeleteOnInsertKeepIds);
    let pipeline = env.pipeline_of(layout);
    let directory = std::env::temp_dir().join(env.name());
    std::fs::create_dir(&directory).unwrap();
    let migrations = Migrations::outbox(&pipeline);
    let files = migrations.export(&directory).unwrap();
    let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "V1__outbox_outbox_table.sql",
            "V2__outbox_publication.sql",
            "V3__outbox_slots_and_replays.sql",
            "V4__outbox_tracestate.sql",
            "V5__outbox_life_of_a_row.sql",
        ]
    );
    assert_eq!(migrations.export(&directory).unwrap(), files, "the same again is no change");

    let maintenance = Migrations::maintenance(&pipeline).export(&directory).unwrap();
    let file = maintenance[0].file_name().unwrap().to_str().unwrap();
    assert_eq!(file, "V6__outbox_maintenance_lease_and_detached_partitions.sql");

    for file in &files {
        client.batch_execute(&std::fs::read_to_string(file).unwrap()).await.unwrap();
    }
    create_slot(&client, &pipeline).await.unwrap();
    Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap();
    let other =
        Migrations::outbox(&env.pipeline_of(TableLayout::recommended().payload_type(ColumnType::Jsonb).unwrap()));

    assert!(other.export(&directory).unwrap_err().is_migration_conflict());
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Quarkus' own columns are foreign to the layout, and its INSERTs continue next to ours.
#[tokio::test]
async fn a_classic_table_of_quarkus_is_used_as_it_is() {
    let env = TestEnv::builder().database().build().await;
    let mut client = env.client().await;
    let quarkus = "CREATE TABLE public.outboxevent (id uuid PRIMARY KEY, aggregatetype varchar(255) NOT NULL, \
        aggregateid varchar(255) NOT NULL, type varchar(255) NOT NULL, timestamp timestamp(6) with time zone NOT NULL DEFAULT now(), \
        payload varchar(8000), tracingspancontext varchar(256))";
    client.batch_execute(quarkus).await.unwrap();

    let name = |name: &str| Identifier::new(name).unwrap();
    let layout =
        TableLayout::classic(name("public"), name("outboxevent")).payload_type(ColumnType::Varchar(8000)).unwrap();
    let pipeline = env.pipeline_of(layout);
    Migrations::outbox(&pipeline).apply(&mut client).await.unwrap();
    create_slot(&client, &pipeline).await.unwrap();
    Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap();

    let event = outbox_core::OutboxEvent::builder("order", "1", "Created").json("{\"n\": 1}").build().unwrap();
    let tx = client.transaction().await.unwrap();
    outbox_pg::PgOutbox::new(pipeline).enqueue(&tx, &event).await.unwrap();
    tx.commit().await.unwrap();
    let row =
        client.query_one("SELECT aggregatetype, payload, tracingspancontext FROM outboxevent", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("order", "{\"n\": 1}", None::<&str>));
}

/// A service that applies its migrations at every start may run as a role without the privilege to create.
#[tokio::test]
async fn nothing_to_do_needs_no_privilege_to_create_and_works_under_any_isolation() {
    let env = TestEnv::builder().outbox().build().await;
    let client = env.client().await;
    let role = format!("{}_reader", env.name());
    let sql = format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA outbox TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA outbox TO {role}"
    );
    client.batch_execute(&sql).await.unwrap();
    let mut restricted = env.client().await;
    let sql = format!("SET ROLE {role}; SET default_transaction_isolation = 'serializable'");
    restricted.batch_execute(&sql).await.unwrap();
    let applied = Migrations::outbox(env.pipeline()).apply(&mut restricted).await.unwrap();
    assert_eq!((applied.versions, applied.row_life), (vec![], None));

    let fresh = TestEnv::builder().database().build().await;
    let mut instances = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (mut client, migrations) = (fresh.client().await, Migrations::outbox(fresh.pipeline()));
        client.batch_execute("SET default_transaction_isolation = 'repeatable read'").await.unwrap();
        instances.spawn(async move { migrations.apply(&mut client).await.unwrap().versions });
    }
    assert_eq!(instances.join_all().await.into_iter().flatten().collect::<Vec<_>>(), STEPS);
}

#[tokio::test]
async fn a_trigger_that_was_replaced_or_disabled_is_seen_and_made_again() {
    let layout = TableLayout::recommended().with_row_life(outbox_core::RowLife::DeleteOnInsertKeepIds);
    let env = TestEnv::builder().layout(layout).slot().build().await;
    let (pipeline, mut client) = (env.pipeline().clone(), env.client().await);
    let migrations = Migrations::outbox(&pipeline);

    for (change, problem) in [
        ("ALTER TABLE outbox.outbox_message DISABLE TRIGGER ALL", "are disabled"),
        ("ALTER TABLE outbox.outbox_message ENABLE REPLICA TRIGGER outbox_vanish", "are disabled"),
        (
            "CREATE OR REPLACE FUNCTION outbox.outbox_message_remember() RETURNS trigger LANGUAGE plpgsql
             AS 'BEGIN RETURN NEW; END'",
            "are not those of",
        ),
        ("ALTER FUNCTION outbox.outbox_message_vanish() RESET enable_seqscan", "are not those of"),
        ("ALTER FUNCTION outbox.outbox_message_vanish() SECURITY INVOKER", "are not those of"),
    ] {
        client.batch_execute(change).await.unwrap();
        let error = Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap_err();
        assert!(error.to_string().contains(problem), "{change}: {error}");
        assert!(!migrations.plan(&client).await.unwrap().is_empty(), "{change}");
        assert!(migrations.apply(&mut client).await.unwrap().row_life.is_some(), "{change}");
        assert!(migrations.plan(&client).await.unwrap().is_empty(), "{change}");
        Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap();
    }
}
