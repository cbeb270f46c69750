use outbox_core::TableLayout;
use outbox_test_support::{TestEnv, eventually};

use crate::doctor::fails;
use crate::fixture::{TempFile, order, run, run_at};

#[tokio::test]
async fn list_and_show_report_lag_and_the_events_that_wait() {
    let env = TestEnv::builder().slot().build().await;
    env.enqueue_each(&[order(1), order(2), order(3)]).await;

    let listed = run_at(&env, &["slot", "list", "--output", "json"]).await.json(0);
    let slot = listed["slots"].as_array().unwrap().iter().find(|slot| slot["name"] == env.name()).unwrap().clone();
    assert_eq!(slot["plugin"], "pgoutput");
    assert_eq!((&slot["active"], &slot["wal_status"]), (&false.into(), &"reserved".into()));
    assert!(slot["lag_bytes"].as_i64().unwrap() > 0 && slot["retained_bytes"].as_i64().unwrap() > 0, "{slot}");

    let shown = run_at(&env, &["slot", "show", env.name(), "--list", "2", "--output", "json"]).await.json(0);
    let waiting = &shown["unpublished"];
    assert_eq!(waiting["count"], 3);
    let first: Vec<_> = waiting["first"].as_array().unwrap().iter().map(|event| &event["aggregate_id"]).collect();
    assert_eq!(first, ["1", "2"]);
    assert_eq!(waiting["first"][0]["event_type"], "OrderCreated");
    assert_eq!(waiting["oldest_committed_at"], waiting["first"][0]["committed_at"]);

    let text = run_at(&env, &["slot", "show", env.name(), "--list", "2"]).await;
    let text = text.text(0);
    assert!(text.contains("still to send:") && text.contains("3 events, the oldest of 20"), "{text}");
    assert!(text.contains("… and 1 more"), "{text}");
    let text = run_at(&env, &["slot", "list"]).await;
    assert!(text.text(0).lines().next().unwrap().starts_with("SLOT "), "{text:?}");
}

#[tokio::test]
async fn advance_refuses_to_lose_events_and_lists_them() {
    let env = TestEnv::builder().slot().build().await;
    env.enqueue_each(&[order(1), order(2)]).await;
    let client = env.client().await;
    let between: String = client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.unwrap().get(0);
    env.enqueue_each(&[order(3)]).await;

    let refused = run_at(&env, &["slot", "advance", env.name()]).await;
    assert!(refused.text(3).contains("order           1"), "{refused:?}");
    assert!(refused.stderr.contains("3 events") && refused.stderr.contains("--lose-events"), "{refused:?}");
    let refused = run_at(&env, &["slot", "advance", env.name(), "--to", &between, "--output", "json"]).await.json(3);
    assert_eq!((&refused["lost"]["count"], &refused["done"]), (&2.into(), &false.into()));

    let done =
        run_at(&env, &["slot", "advance", env.name(), "--to", &between, "--lose-events", "--output", "json"]).await;
    let done = done.json(0);
    assert_eq!((&done["lost"]["count"], &done["done"]), (&2.into(), &true.into()));
    env.slot_is(&format!("confirmed_flush_lsn >= '{between}'")).await.unwrap();
    let shown = run_at(&env, &["slot", "show", env.name(), "--output", "json"]).await.json(0);
    assert_eq!(shown["unpublished"]["count"], 1, "only the third is left: {shown}");
    assert_eq!(shown["unpublished"]["first"][0]["aggregate_id"], "3");
}

#[tokio::test]
async fn drop_needs_a_confirmation_and_consent_to_a_loss() {
    let env = TestEnv::builder().slot().build().await;
    let refused = run_at(&env, &["slot", "drop", env.name()]).await;
    assert!(refused.code == 3 && refused.stderr.contains("--yes"), "{refused:?}");
    env.enqueue(&[order(1)]).await;
    let refused = run_at(&env, &["slot", "drop", env.name(), "--yes"]).await;
    assert!(refused.code == 3 && refused.stderr.contains("1 events"), "{refused:?}");
    env.slot_is("NOT active").await.unwrap();

    let dropped = run_at(&env, &["slot", "drop", env.name(), "--lose-events"]).await;
    assert!(dropped.text(0).contains("events lost: 1"), "{dropped:?}");
    assert_eq!(run_at(&env, &["slot", "drop", env.name(), "--yes"]).await.code, 5);

    let refused = run_at(&env, &["slot", "create", env.name()]).await;
    assert_eq!(refused.code, 3, "it was there before: {refused:?}");
    let created = run_at(&env, &["slot", "create", env.name(), "--recreate"]).await;
    assert!(created.text(0).contains("recreated"), "{created:?}");
    let again = run_at(&env, &["slot", "create", env.name(), "--output", "json"]).await.json(0);
    assert_eq!(again["result"], "exists");
    assert!(run_at(&env, &["slot", "drop", env.name(), "--yes"]).await.text(0).contains("events lost: 0"));
}

#[tokio::test]
async fn events_are_counted_by_the_publication_of_the_connector_file() {
    let env = TestEnv::builder().outbox().build().await;
    let renamed = "ALTER PUBLICATION outbox RENAME TO orders; CREATE PUBLICATION outbox";
    env.client().await.batch_execute(renamed).await.unwrap();
    let config = env.config().clone().with("publication.name", "orders");
    let json = TempFile::config(&env, "-slot", &config);
    let create = ["slot", "create", env.name(), "--connector-config", json.path()];
    run_at(&env, &create).await.text(0);
    env.enqueue(&[order(1)]).await;
    let properties = TempFile::new(&format!("{}-slot.properties", env.name()), "publication.name = orders\n");

    let show = ["slot", "show", env.name(), "--connector-config", properties.path(), "--output", "json"];
    assert_eq!(run_at(&env, &show).await.json(0)["unpublished"]["count"], 1);
    for command in ["drop", "advance"] {
        let refused = run_at(&env, &["slot", command, env.name(), "--connector-config", json.path()]).await;
        assert_eq!(refused.code, 3, "{refused:?}");
    }
    let drop = ["slot", "drop", env.name(), "--yes", "--connector-config", json.path()];
    let refused = run_at(&env, &drop).await;
    assert!(refused.code == 3 && refused.stderr.contains("1 events"), "{refused:?}");
    assert!(run_at(&env, &create).await.text(0).contains("exists"));
    let other = run_at(&env, &[&drop[..], &["--publication", "outbox"]].concat()).await;
    assert!(other.text(0).contains("events lost: 0"), "an option counts more than the file: {other:?}");
}

#[tokio::test]
async fn messages_that_are_events_are_counted() {
    let env = TestEnv::builder().layout(TableLayout::messages()).slot().build().await;
    let file = TempFile::config(&env, "-slot", env.config());
    env.enqueue(&[order(1)]).await;
    env.client().await.batch_execute("SELECT pg_logical_emit_message(true, 'other', '{}')").await.unwrap();
    let drop = ["slot", "drop", env.name(), "--yes", "--connector-config", file.path(), "--output", "json"];
    let refused = run_at(&env, &drop).await.json(3);
    assert_eq!((&refused["lost"]["count"], &refused["lost"]["first"][0]["aggregate_id"]), (&1.into(), &"1".into()));
}

#[tokio::test]
async fn a_slot_in_use_is_refused_with_the_name_of_its_reader() {
    let env = TestEnv::builder().slot().build().await;
    let connector = env.connector();
    connector.start().await;
    env.slot_becomes("active").await;

    let listed = run_at(&env, &["slot", "list"]).await;
    assert!(listed.text(0).contains("Debezium Streaming"), "{listed:?}");
    for arguments in [["slot", "advance", env.name(), "--lose-events"], ["slot", "drop", env.name(), "--lose-events"]] {
        let refused = run_at(&env, &arguments).await;
        assert_eq!(refused.code, 3, "{refused:?}");
        assert!(refused.stderr.contains("Debezium Streaming (PID "), "{refused:?}");
    }
    env.slot_is("active").await.unwrap();
}

#[tokio::test]
async fn a_slot_of_another_database_is_refused() {
    let (env, other) = (TestEnv::builder().slot().build().await, TestEnv::builder().database().build().await);
    let refused = run_at(&other, &["slot", "drop", env.name(), "--lose-events"]).await;
    assert!(
        refused.code == 3 && refused.stderr.contains(&format!("belongs to the database {}", env.name())),
        "{refused:?}"
    );
}

#[tokio::test]
async fn passwords_come_from_everywhere_but_the_command_line() {
    let env = TestEnv::builder().database().build().await;
    let role = format!("{}_role", env.name());
    let client = env.client().await;
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")).await.unwrap();
    let address = env.url().split_once('@').unwrap().1;
    let with_password = format!("postgres://{role}:hunter2@{address}");
    let without = format!("postgres://{role}@{address}");

    let refused = run(&["slot", "list", "--database-url", &with_password], &[]).await;
    assert!(refused.code == 2 && refused.stderr.contains("PGPASSWORD"), "{refused:?}");
    assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
    run(&["slot", "list"], &[("DATABASE_URL", &with_password)]).await.text(0);
    run(&["slot", "list", "--database-url", &without], &[("PGPASSWORD", "hunter2")]).await.text(0);
    let command = ["slot", "list", "--database-url", &without, "--database-password-command", "echo hunter2"];
    run(&command, &[("PATH", "/usr/bin:/bin")]).await.text(0);
    let file = crate::fixture::TempFile::new(&role, "hunter2\n");
    run(&["slot", "list", "--database-url", &without, "--database-password-file", file.path()], &[]).await.text(0);

    let wrong = run(&["slot", "list", "--database-url", &without], &[("PGPASSWORD", "hunter3")]).await;
    assert!(wrong.code == 4 && wrong.stderr.contains("password authentication failed"), "{wrong:?}");
    assert!(!wrong.stderr.contains("hunter3"), "{wrong:?}");
    assert_eq!(run(&["slot", "list"], &[]).await.code, 2);
}

#[tokio::test]
async fn an_invalidated_slot_is_reported_and_can_be_dropped() {
    let server = outbox_testkit::Postgres::builder().setting("max_slot_wal_keep_size", "16MB").start().await.unwrap();
    let env = TestEnv::builder().postgres(server.url()).slot().build().await;
    let client = env.client().await;
    env.enqueue(&[order(1)]).await;
    eventually("the slot is lost", async || {
        client.batch_execute("SELECT pg_switch_wal(); CHECKPOINT").await.unwrap();
        env.enqueue(&[order(2)]).await;
        env.slot_is("wal_status = 'lost'").await
    })
    .await;

    let file = TempFile::config(&env, "-lost", env.config());
    fails(&env, &["--connector-config", file.path()], "--recreate").await;
    let shown = run_at(&env, &["slot", "show", env.name()]).await;
    assert!(shown.text(1).contains("invalidated"), "{shown:?}");
    assert_eq!(run_at(&env, &["slot", "advance", env.name(), "--lose-events"]).await.code, 3);
    let dropped = run_at(&env, &["slot", "drop", env.name(), "--yes"]).await;
    assert!(dropped.text(0).contains("not known"), "{dropped:?}");
}
