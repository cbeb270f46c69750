//! The schema changes: shipped steps, columns that a layout gains, other outboxes in the schema, other roles in it, the
//! end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use outbox_core::layout::{Column, ColumnType, EventField, Nullability};
use outbox_core::{ConnectorConfig, Identifier, OutboxEvent, Pipeline, RowLife, TableLayout};
use outbox_pg::tokio_postgres::Client;
use outbox_pg::{Maintenance, Migrations, PgOutbox, Readiness, create_slot, uninstall_sql};

use outbox_test_support::TestEnv;

fn name(name: &str) -> Identifier {
    Identifier::new(name).unwrap()
}

/// Returns a pipeline of the environment's database with a slot and a publication of the environment's.
fn pipeline(env: &TestEnv, layout: TableLayout, suffix: &str) -> Pipeline {
    let config = ConnectorConfig::recommended(&layout)
        .with("slot.name", format!("{}{suffix}", env.name()))
        .with("publication.name", format!("outbox{suffix}"));
    Pipeline::new(config, layout).unwrap()
}

async fn enqueue(client: &mut Client, pipeline: &Pipeline, event: &OutboxEvent) {
    let tx = client.transaction().await.unwrap();
    PgOutbox::new(pipeline.clone()).enqueue(&tx, event).await.unwrap();
    tx.commit().await.unwrap();
}

async fn relations(client: &Client) -> Vec<String> {
    let sql = "SELECT coalesce(array_agg(relname::text ORDER BY relname), '{}') FROM pg_class
               WHERE relnamespace = to_regnamespace('outbox') AND relkind IN ('r', 'p')";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/migrations")
}

/// A file of a released step never changes: databases have it. `UPDATE_MIGRATIONS=1` writes the files of new steps.
#[test]
fn the_steps_are_those_of_the_files_of_each_release() {
    let recommended = TableLayout::recommended;
    let layouts = [
        ("recommended", recommended()),
        ("partitions", recommended().with_row_life(RowLife::Partitioned)),
        ("classic", TableLayout::classic(name("public"), name("outboxevent"))),
        ("cloud_events", TableLayout::cloud_events("/shop/it's").unwrap()),
    ];
    for (folder, layout) in layouts {
        let pipeline = Pipeline::new(ConnectorConfig::recommended(&layout), layout).unwrap();
        let folder = golden().join(folder);
        let is_update = std::env::var_os("UPDATE_MIGRATIONS").is_some();
        let before = std::fs::read_dir(&folder).map_or(0, Iterator::count);
        if is_update {
            std::fs::create_dir_all(&folder).unwrap();
        }

        let mut files = Migrations::outbox(&pipeline).export(&folder).expect("a released step has other SQL now");
        files.extend(Migrations::maintenance(&pipeline).export(&folder).expect("a released step has other SQL now"));
        assert!(
            is_update || files.len() == before,
            "{} has {before} files, and the steps are {}: write the file of a new step with UPDATE_MIGRATIONS=1",
            folder.display(),
            files.len()
        );
    }
}

/// A release from before `tracestate` had the first three steps, and its programs run on while the new one is
/// installed.
#[tokio::test]
async fn a_column_that_the_recommended_table_gains_in_a_release_is_added_under_a_rolling_upgrade() {
    let env = TestEnv::builder().database().build().await;
    let (pipeline, mut client) = (env.pipeline().clone(), env.client().await);
    let migrations = Migrations::outbox(&pipeline);
    migrations.apply(&mut client).await.unwrap();
    create_slot(&client, &pipeline).await.unwrap();
    let before =
        "ALTER TABLE outbox.outbox_message DROP tracestate; DELETE FROM outbox.schema_migration WHERE version = 4";
    client.batch_execute(before).await.unwrap();
    let columns = TableLayout::recommended().columns().to_vec();
    let old = columns.into_iter().filter(|column| column.field() != Some(EventField::Tracestate)).collect();
    let old = TableLayout::new(name("outbox"), name("outbox_message"), old).unwrap();
    let old = env.pipeline_of(old);
    let event = || OutboxEvent::builder("order", "1", "Placed").tracestate("a=1").build().unwrap();
    enqueue(&mut client, &old, &event()).await;
    let problems = Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap_err().to_string();
    assert!(problems.contains("\"tracestate\": it is missing"), "{problems}");

    let plan = migrations.plan(&client).await.unwrap();
    assert_eq!(plan.versions(), [4]);
    assert!(plan.by_hand().is_empty(), "{plan}");
    assert_eq!(plan.to_string().matches("ADD COLUMN IF NOT EXISTS \"tracestate\"").count(), 2, "{plan}");
    assert_eq!(migrations.apply(&mut client).await.unwrap().versions, [4]);
    assert!(migrations.plan(&client).await.unwrap().is_empty());
    enqueue(&mut client, &old, &event()).await;
    assert_eq!(Migrations::outbox(&old).apply(&mut client).await.unwrap().versions, [0; 0]);
    enqueue(&mut client, &pipeline, &event()).await;
    let sql = "SELECT array_agg(tracestate ORDER BY id) FROM outbox.outbox_message";
    let states: Vec<String> = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(states, ["", "", "a=1"]);
    Readiness::check(&client, &pipeline).await.unwrap().into_result().unwrap();
}

#[tokio::test]
async fn columns_that_a_layout_gains_are_added_and_other_differences_are_printed() {
    let env = TestEnv::builder().outbox().build().await;
    let mut client = env.client().await;
    let tenant = Column::own(name("tenant"), ColumnType::Bigint, Nullability::NotNull);
    let region = Column::own(name("region"), ColumnType::Text, Nullability::NotNull).fallback("it's");
    let header = Column::from_header(name("lang"), "lang");
    let note = Column::own(name("note"), ColumnType::Text, Nullability::Nullable);
    let layout = [region.header("region"), header, note].into_iter();
    let layout = layout.fold(TableLayout::recommended(), |layout, column| layout.with_column(column).unwrap());
    let added = env.pipeline_of(layout.clone());
    enqueue(&mut client, env.pipeline(), &OutboxEvent::builder("order", "1", "Placed").build().unwrap()).await;

    let applied = Migrations::outbox(&added).apply(&mut client).await.unwrap();
    assert_eq!(applied.versions, [0; 0]);
    assert_eq!(
        applied.statements,
        [
            r#"ALTER TABLE "outbox"."outbox_message" ADD COLUMN IF NOT EXISTS "region" text NOT NULL DEFAULT 'it''s'"#,
            r#"ALTER TABLE "outbox"."outbox_message" ADD COLUMN IF NOT EXISTS "lang" text NOT NULL DEFAULT ''"#,
            r#"ALTER TABLE "outbox"."outbox_message" ADD COLUMN IF NOT EXISTS "note" text"#,
        ]
    );

    let event = OutboxEvent::builder("order", "1", "Placed").header("lang", "de").column("note", "n").build().unwrap();
    enqueue(&mut client, &added, &event).await;
    let sql = "SELECT array_agg(concat_ws('|', region, lang, note) ORDER BY id) FROM outbox.outbox_message";
    let rows: Vec<String> = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(rows, ["it's|", "it's|de|n"]);

    let layout = layout.with_column(tenant).unwrap().payload_type(ColumnType::Jsonb).unwrap();
    let other = env.pipeline_of(layout);
    client.batch_execute("ALTER TABLE outbox.outbox_message ALTER region DROP NOT NULL").await.unwrap();
    let plan = Migrations::outbox(&other).plan(&client).await.unwrap();
    assert_eq!(
        plan.by_hand(),
        [
            r#"ALTER TABLE "outbox"."outbox_message" ALTER COLUMN "payload" TYPE jsonb USING "payload"::jsonb"#,
            r#"ALTER TABLE "outbox"."outbox_message" ALTER COLUMN "region" SET NOT NULL"#,
            r#"ALTER TABLE "outbox"."outbox_message" ADD COLUMN IF NOT EXISTS "tenant" bigint NOT NULL"#,
        ]
    );
    assert!(plan.to_string().contains("-- To be run by hand") && !plan.to_string().contains("BEGIN"), "{plan}");
    assert_eq!(Migrations::outbox(&other).apply(&mut client).await.unwrap().statements, [""; 0]);

    client.batch_execute("DELETE FROM outbox.outbox_message").await.unwrap();
    client.batch_execute(&plan.by_hand().join(";")).await.unwrap();
    assert!(Migrations::outbox(&other).plan(&client).await.unwrap().is_empty());

    create_slot(&client, &other).await.unwrap();
    Readiness::check(&client, &other).await.unwrap().into_result().unwrap();
    enqueue(
        &mut client,
        &other,
        &OutboxEvent::builder("order", "1", "Placed").column("tenant", 7_i64).build().unwrap(),
    )
    .await;

    let many: Vec<_> = (0..3)
        .map(|n| OutboxEvent::builder("order", "1", "Placed").column("tenant", i64::MIN + n).build().unwrap())
        .collect();
    let tx = client.transaction().await.unwrap();
    PgOutbox::new(other).enqueue_all(&tx, &many).await.unwrap();
    tx.commit().await.unwrap();
    let sql = "SELECT array_agg(tenant ORDER BY id) FROM outbox.outbox_message";
    let tenants: Vec<i64> = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(tenants, [7, i64::MIN, i64::MIN + 1, i64::MIN + 2]);
}

#[tokio::test]
async fn outboxes_share_a_schema_and_pipelines_a_table_and_one_is_uninstalled_alone() {
    let env = TestEnv::builder().database().build().await;
    let mut client = env.client().await;
    let table = |table: &str, life| TableLayout::recommended().named(name("outbox"), name(table)).with_row_life(life);
    let first = pipeline(&env, table("orders", RowLife::DeleteOnInsertKeepIds), "");
    let second = pipeline(&env, table("bills", RowLife::Partitioned), "_two");
    let third = pipeline(&env, table("bills", RowLife::Partitioned), "_three");
    for pipeline in [&first, &second, &third] {
        Migrations::outbox(pipeline).apply(&mut client).await.unwrap();
        Migrations::maintenance(pipeline).apply(&mut client).await.unwrap();
        create_slot(&client, pipeline).await.unwrap();
    }
    Maintenance::new(second.clone(), std::time::Duration::from_secs(86_400)).run(&client).await.unwrap();
    for pipeline in [&first, &second, &third] {
        Readiness::check(&client, pipeline).await.unwrap().into_result().unwrap();
        enqueue(&mut client, pipeline, &OutboxEvent::builder("order", "1", "Placed").build().unwrap()).await;
        assert!(Migrations::outbox(pipeline).plan(&client).await.unwrap().is_empty());
    }

    for _ in 0..2 {
        uninstall(&client, &second).await;
    }
    let left = relations(&client).await;
    assert!(
        left.iter().any(|table| table == "orders") && !left.iter().any(|table| table.contains("bills")),
        "{left:?}"
    );
    Readiness::check(&client, &first).await.unwrap().into_result().unwrap();
    uninstall(&client, &third).await;
    uninstall(&client, &first).await;
    let sql =
        "SELECT (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_namespace WHERE nspname = 'outbox')
                   + (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0, "{:?}", relations(&client).await);
}

async fn uninstall(client: &Client, pipeline: &Pipeline) {
    client.batch_execute(&uninstall_sql(pipeline)).await.unwrap();
}

/// A role that may create in the schema could make a table first, with a trigger that the owner's function then runs.
#[tokio::test]
async fn nothing_that_somebody_else_made_runs_as_the_owner() {
    let layout = TableLayout::recommended().with_row_life(RowLife::DeleteOnInsertKeepIds);
    let trap = |role: &str| {
        format!(
            "SET ROLE {role};
             CREATE TABLE outbox.outbox_message_ids (id uuid PRIMARY KEY);
             CREATE FUNCTION outbox.trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END';
             CREATE TRIGGER trap BEFORE INSERT ON outbox.outbox_message_ids FOR EACH ROW EXECUTE FUNCTION outbox.trap();
             RESET ROLE"
        )
    };
    for traps in [0, 1] {
        let env = TestEnv::builder().layout(layout.clone()).database().build().await;
        let (pipeline, mut client) = (env.pipeline().clone(), env.client().await);
        let (owner, stranger) = (format!("{}_owner", env.name()), format!("{}_stranger", env.name()));
        let create = format!(
            "CREATE ROLE {owner} LOGIN; CREATE ROLE {stranger}; CREATE SCHEMA outbox;
             GRANT ALL ON SCHEMA outbox TO {owner}, {stranger}; GRANT CREATE ON DATABASE {} TO {owner}",
            env.name()
        );
        client.batch_execute(&create).await.unwrap();
        client.batch_execute(&trap(&stranger)).await.unwrap();
        if traps == 1 {
            // The table was taken over, and the trigger is the stranger's still.
            client.batch_execute(&format!("ALTER TABLE outbox.outbox_message_ids OWNER TO {owner}")).await.unwrap();
        }
        client.batch_execute(&format!("SET ROLE {owner}")).await.unwrap();
        let error = Migrations::outbox(&pipeline).apply(&mut client).await.unwrap_err();
        assert!(error.is_not_ready(), "{error}");

        let object =
            ["the table outbox.outbox_message_ids belongs to", "the trigger trap on outbox.outbox_message_ids"][traps];

        assert!(error.to_string().contains(object) && error.to_string().contains(&stranger), "{error}");
        for migrations in [Migrations::outbox(&pipeline), Migrations::maintenance(&pipeline)] {
            let error = migrations.plan(&client).await.unwrap_err();
            assert!(error.is_not_ready() && error.to_string().contains(object), "{error}");
            for script in [migrations.apply_script(), migrations.script().to_string(), first_file(&env, &migrations)] {
                let error = client.batch_execute(&script).await.unwrap_err();
                client.batch_execute("ROLLBACK").await.unwrap();
                let error = error.as_db_error().expect("an exception of the script").message();
                assert!(error.contains(object) && error.contains(&stranger), "{error}");
            }
        }

        let is_made = |table: &String| ["outbox_message", "outbox_message_lease"].contains(&table.as_str());
        assert!(!relations(&client).await.iter().any(is_made), "nothing was made");
    }
}

fn first_file(env: &TestEnv, migrations: &Migrations) -> String {
    let directory = std::env::temp_dir().join(env.name());
    std::fs::create_dir(&directory).unwrap();
    let files = migrations.export(&directory).unwrap();
    let text = std::fs::read_to_string(&files[0]).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    text
}

/// Maintenance runs as the owner, looks at detached partitions and drops them.
#[tokio::test]
async fn maintenance_trusts_nothing_that_somebody_else_made() {
    let layout = TableLayout::recommended().with_row_life(RowLife::Partitioned);
    let env = TestEnv::builder().layout(layout).slot().build().await;
    let (pipeline, mut client) = (env.pipeline().clone(), env.client().await);
    Migrations::maintenance(&pipeline).apply(&mut client).await.unwrap();
    let maintenance = Maintenance::new(pipeline.clone(), Duration::from_secs(3600));
    maintenance.run(&client).await.unwrap();

    let stranger = format!("{}_stranger", env.name());
    let create = format!(
        "CREATE ROLE {stranger}; GRANT ALL ON SCHEMA outbox TO {stranger};
         INSERT INTO outbox.outbox_message_detached VALUES ('taken', '0/1', now());
         SET ROLE {stranger};
         CREATE FUNCTION outbox.trap() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END';
         CREATE FUNCTION outbox.sprung() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''trapped''; END';
         RESET ROLE"
    );
    client.batch_execute(&create).await.unwrap();

    let traps = [
        (
            format!("SET ROLE {stranger}; CREATE VIEW outbox.taken AS SELECT WHERE outbox.trap(); RESET ROLE"),
            "outbox.taken, recorded as a detached partition",
            "DROP VIEW outbox.taken",
        ),
        (
            "CREATE TRIGGER sprung BEFORE INSERT ON outbox.outbox_message_lease FOR EACH ROW EXECUTE FUNCTION outbox.sprung()"
                .to_owned(),
            "the trigger sprung on outbox.outbox_message_lease",
            "DROP TRIGGER sprung ON outbox.outbox_message_lease",
        ),
    ];

    for (trap, object, remove) in traps {
        client.batch_execute(&trap).await.unwrap();
        let error = maintenance.run(&client).await.unwrap_err();
        assert!(error.is_not_ready() && error.to_string().contains(object), "{error}");
        assert!(error.to_string().contains(&stranger), "{error}");
        client.batch_execute(remove).await.unwrap();
        maintenance.run(&client).await.unwrap();
    }
}
