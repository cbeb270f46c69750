use outbox_test_support::TestEnv;

use crate::fixture::{TempFile, order, run, run_at};

#[tokio::test]
async fn an_outbox_is_removed_only_if_no_event_is_lost_and_nobody_reads_it() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-uninstall", env.config());
    let uninstall =
        async |more: &[&str]| run_at(&env, &[&["uninstall", "--connector-config", file.path()], more].concat()).await;
    env.enqueue(&[order(1)]).await;
    let refused = uninstall(&["--yes"]).await;
    assert!(refused.code == 3 && refused.stderr.contains("1 events of the slot"), "{refused:?}");
    assert!(refused.stdout.contains("OrderCreated"), "{refused:?}");

    let connector = env.connector();
    connector.start().await;
    env.confirmed().await;
    let refused = uninstall(&["--yes"]).await;
    assert!(refused.code == 3 && refused.stderr.contains("is in use by"), "{refused:?}");
    run_at(&env, &["connector", "delete", env.name(), "--yes"]).await.text(0);
    env.slot_becomes("NOT active").await;

    let asked = uninstall(&[]).await;
    assert!(asked.code == 3 && asked.stderr.contains("\"outbox_message\" with 1 rows? "), "{asked:?}");
    assert_eq!(env.rows().await, 1);
    let removed = uninstall(&["--yes", "--output", "json"]).await.json(0);
    assert_eq!((&removed["removed"], &removed["rows"]), (&true.into(), &1.into()));
    let client = env.client().await;
    let left = "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())
                    + (SELECT count(*) FROM pg_publication) + (SELECT count(*) FROM pg_namespace WHERE nspname = 'outbox')";
    assert_eq!(client.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(uninstall(&["--yes"]).await.text(0), "there is no outbox to remove\n");
}

#[tokio::test]
async fn an_outbox_that_cannot_be_removed_keeps_its_slot() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-uninstall", env.config());
    let client = env.client().await;
    client.batch_execute("CREATE VIEW report AS SELECT id FROM outbox.outbox_message").await.unwrap();
    let uninstall = ["uninstall", "--connector-config", file.path(), "--yes"];
    let failed = run_at(&env, &uninstall).await;
    assert!(failed.code == 4 && failed.stderr.contains("depend on them"), "{failed:?}");
    env.enqueue(&[order(1)]).await;
    let shown = run_at(&env, &["slot", "show", env.name(), "--output", "json"]).await.json(0);
    assert_eq!(shown["unpublished"]["count"], 1, "the slot has kept its place: {shown}");

    client.batch_execute("DROP VIEW report").await.unwrap();
    run_at(&env, &[&uninstall[..], &["--lose-events"]].concat()).await.text(0);
}

#[tokio::test]
async fn rows_without_a_slot_are_lost_only_by_consent_and_the_script_can_be_printed() {
    let env = TestEnv::builder().outbox().build().await;
    env.enqueue(&[order(1), order(2)]).await;
    let file = TempFile::config(&env, "-uninstall", env.config());
    let uninstall = ["uninstall", "--connector-config", file.path(), "--yes"];
    let refused = run_at(&env, &uninstall).await;
    assert!(refused.code == 3 && refused.stderr.contains("the table has 2 rows, and no slot"), "{refused:?}");
    run_at(&env, &[&uninstall[..], &["--lose-events"]].concat()).await.text(0);

    let printed = run(&["uninstall", "--print", "--table", "shop.events"], &[]).await;
    assert!(printed.text(0).contains("DROP TABLE IF EXISTS \"shop\".\"events\""), "{printed:?}");
}

#[tokio::test]
async fn an_outbox_without_a_table_is_removed() {
    let env = TestEnv::builder().layout(outbox_core::TableLayout::messages()).slot().build().await;
    let file = TempFile::config(&env, "-uninstall", env.config());
    let uninstall = ["uninstall", "--connector-config", file.path(), "--row-life", "message", "--yes"];
    env.enqueue(&[order(1)]).await;
    let refused = run_at(&env, &uninstall).await;
    assert!(refused.code == 3 && refused.stderr.contains("1 events of the slot"), "{refused:?}");
    let removed = run_at(&env, &[&uninstall[..], &["--lose-events"]].concat()).await;
    assert!(removed.text(0).contains("removed: the slot"), "{removed:?}");
}
