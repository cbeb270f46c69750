//! Outbox tables that `outbox migrate` did not make.

use outbox_core::{ConnectorConfig, Identifier, OutboxEvent, TableLayout};
use outbox_test_support::TestEnv;

use crate::doctor::{fails, findings};
use crate::fixture::{TempFile, run_at};

/// Returns Debezium's classic table, and the file of a connector for it.
async fn classic() -> (TestEnv, TempFile) {
    let name = |text: &str| Identifier::new(text).unwrap();
    let layout = TableLayout::classic(name("public"), name("outboxevent"));
    let env = TestEnv::builder().layout(layout).slot().topic(1).build().await;
    let file = TempFile::config(&env, "-classic", env.config());
    (env, file)
}

#[tokio::test]
async fn debeziums_classic_table_is_read_by_its_columns() {
    let (env, file) = classic().await;
    let config = ["--connector-config", file.path()];
    let run = async |arguments: &[&str]| run_at(&env, &[arguments, &config[..]].concat()).await;
    let event = OutboxEvent::builder("order", "7", "OrderCreated").json("{}").build().unwrap();
    env.enqueue(std::slice::from_ref(&event)).await;

    let (failed, _) = findings(&env, &config, 0).await;
    assert_eq!(failed, [""; 0]);
    let waiting = run(&["slot", "show", env.name(), "--output", "json"]).await.json(0);
    assert_eq!(waiting["unpublished"]["first"][0]["aggregate_id"], "7");
    let id = event.id().to_string();
    let shown = run(&["events", "show", &id.to_uppercase(), "--output", "json"]).await.json(1);
    assert_eq!(
        (&shown["row"], &shown["aggregate_id"], &shown["event_type"]),
        (&"present".into(), &"7".into(), &"OrderCreated".into())
    );

    let pipeline = env.pipeline();
    env.produce(0, pipeline.encode(&pipeline.row(&event).unwrap()).unwrap()).await;
    let shown = run(&["events", "show", &id, "--output", "json"]).await.json(0);
    assert_eq!(shown["records"].as_array().unwrap().len(), 1);
    let tailed = run(&["events", "tail", "--last", "1", "--no-follow", "--output", "json"]).await.json(0);
    assert_eq!(tailed["id"], id);

    // The table has no time.
    let verified = run(&["events", "verify"]).await;
    assert!(verified.code == 2 && verified.stderr.contains("table.field.event.timestamp"), "{verified:?}");
    assert!(run(&["slot", "create", env.name()]).await.text(0).contains("exists"));
    run(&["migrate", "plan"]).await;
}

#[tokio::test]
async fn a_table_with_numbers_for_ids_and_its_faults_are_found() {
    let env = TestEnv::builder().outbox().build().await;
    let client = env.client().await;
    let sql = "CREATE TYPE kind AS ENUM ('Made');
               CREATE TABLE events (event_no bigserial PRIMARY KEY, stream varchar(50) NOT NULL, entity text NOT NULL,
                   kind kind NOT NULL, body jsonb NOT NULL, tenant int NOT NULL, at timestamp(6) NOT NULL);
               INSERT INTO events (stream, entity, kind, body, tenant, at)
                   SELECT 'order', n, 'Made', '{}', 1, timezone('utc', now()) - interval '2 minutes' FROM generate_series(1, 3) AS n;
               DROP PUBLICATION outbox; CREATE PUBLICATION outbox FOR TABLE events WITH (publish = 'insert')";
    client.batch_execute(sql).await.unwrap();

    let options = [
        ("table.include.list", "public\\.events"),
        ("transforms.outbox.table.field.event.id", "event_no"),
        ("transforms.outbox.table.field.event.key", "entity"),
        ("transforms.outbox.route.by.field", "stream"),
        ("transforms.outbox.table.field.event.type", "kind"),
        ("transforms.outbox.table.field.event.payload", "body"),
        ("transforms.outbox.table.field.event.timestamp", "at"),
        ("transforms.outbox.table.fields.additional.placement", "kind:header:event_type"),
    ];
    let of = |options: &[(&str, &str)]| {
        options.iter().fold(env.config().clone(), |config: ConnectorConfig, (key, value)| config.with(*key, *value))
    };
    let file = TempFile::config(&env, "-numbers", &of(&options));
    let config = ["--connector-config", file.path()];
    let run = async |arguments: &[&str]| run_at(&env, &[arguments, &config[..]].concat()).await;
    client
        .batch_execute(&format!("SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", env.name()))
        .await
        .unwrap();

    let (failed, _) = findings(&env, &config, 0).await;
    assert_eq!(failed, [""; 0]);

    let refused = run(&["slot", "create", env.name()]).await;
    assert!(refused.code == 3 && refused.stderr.contains("events_slots"), "{refused:?}");
    run(&["migrate", "apply"]).await.text(0);
    assert!(run(&["slot", "create", env.name()]).await.text(0).contains("exists"));

    let shown = run(&["events", "show", "2", "--output", "json"]).await.json(1);
    assert_eq!((&shown["row"], &shown["aggregate_id"]), (&"present".into(), &"2".into()));
    assert_eq!(run(&["events", "show", "99"]).await.code, 5);
    let verified = run(&["events", "verify", "--output", "json"]).await.json(1);
    assert_eq!((&verified["rows"], &verified["missing"]["count"]), (&3.into(), &3.into()));
    assert_eq!(verified["missing"]["first"][2]["id"], "3");

    let wrong = TempFile::config(
        &env,
        "-numbers-wrong",
        &of(&options).with("transforms.outbox.table.field.event.key", "entity_id"),
    );
    fails(&env, &["--connector-config", wrong.path()], "table.field.event.key").await;
    client.batch_execute("ALTER TABLE events ALTER at TYPE timestamptz").await.unwrap();
    fails(&env, &config, "table.field.event.timestamp").await;
}
