use outbox_core::{ColumnType, Identifier, TableLayout};
use outbox_pg::{Migration, Migrations, Readiness, create_slot};

use crate::database::Database;

#[tokio::test]
async fn they_are_applied_once_however_many_instances_start() {
    let database = Database::create();
    let pipeline = database.pipeline(TableLayout::recommended());
    let mut instances = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut client, migrations) = (database.client().await, Migrations::outbox(&pipeline));
        instances.spawn(async move { migrations.apply(&mut client).await.unwrap().versions });
    }
    let mut applied: Vec<_> = instances.join_all().await;
    applied.sort();
    assert_eq!(applied.last(), Some(&vec![1, 2]));
    assert!(applied[..7].iter().all(Vec::is_empty), "{applied:?}");
}

#[tokio::test]
async fn changed_sql_and_unknown_steps_are_refused_and_nothing_is_changed() {
    let database = Database::create();
    let mut client = database.client().await;
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
async fn odd_names_are_quoted_everywhere() {
    let database = Database::create();
    let mut client = database.client().await;
    let odd = |name: &str| Identifier::new(name).unwrap();
    let layout = TableLayout::recommended().named(odd("Out \"box\" $1"), odd("o'rders; --"));
    let config = outbox_core::ConnectorConfig::recommended(&layout)
        .with("slot.name", database.name())
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
    let database = Database::create();
    let mut client = database.client().await;
    let layout = TableLayout::classic(Identifier::new("public").unwrap(), Identifier::new("outboxevent").unwrap());
    let config = outbox_core::ConnectorConfig::recommended(&layout).with("slot.name", database.name());
    let pipeline = outbox_core::Pipeline::new(config, layout).unwrap();
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
        let (database, pipeline) = Database::with_outbox(TableLayout::recommended().payload_type(ty).unwrap()).await;
        let client = database.client().await;
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
