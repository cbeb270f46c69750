use outbox_test_support::{TestEnv, eventually};
use serde_json::Value;

use crate::consumer::Stock;
use crate::fixture::{TempFile, order, run, run_at};

/// Runs the doctor, checks its exit code, and returns the failed checks and warnings, as `check: found -> remedy`.
pub(crate) async fn findings(env: &TestEnv, arguments: &[&str], code: i32) -> (Vec<String>, Vec<String>) {
    let ran = run_at(env, &[&["doctor", "--output", "json"], arguments].concat()).await;
    of_json(&ran.json(code))
}

/// Runs the doctor until a failed check or a warning has a text.
pub(crate) async fn finds(env: &TestEnv, arguments: &[&str], text: &str) {
    eventually(format!("a finding with {text}"), async || {
        let ran = run_at(env, &[&["doctor", "--output", "json"], arguments].concat()).await;
        let (mut found, warnings) = of_json(&ran.json(ran.code));
        found.extend(warnings);
        if found.iter().any(|one| one.contains(text)) { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Returns the failed checks and the warnings of a document.
pub(crate) fn of_json(found: &Value) -> (Vec<String>, Vec<String>) {
    for name in ["Migrations::", "Republish::", "SlotOptions::", "RowLife::", "_role_sql", "call create_slot"] {
        assert!(!found.to_string().contains(name), "an operator does not know {name}: {found}");
    }
    let of = |status: &str| {
        let checks = found["checks"].as_array().unwrap().iter().filter(|check| check["status"] == status);
        let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
        checks
            .map(|check| format!("{}: {} -> {}", text(check, "name"), text(check, "found"), text(check, "remedy")))
            .collect()
    };
    (of("failed"), of("warning"))
}

/// Checks that one thing has failed with a text.
pub(crate) async fn fails(env: &TestEnv, arguments: &[&str], text: &str) {
    let (failed, _) = findings(env, arguments, 1).await;
    assert!(failed.iter().any(|one| one.contains(text)), "{text} is not among {failed:#?}");
}

#[tokio::test]
async fn a_pipeline_that_works_has_no_failed_check() {
    let env = TestEnv::builder().slot().topic(1).build().await;
    let connector = env.connector();
    connector.start().await;
    env.slot_becomes("active").await;
    env.enqueue(&[order(1)]).await;
    let file = TempFile::config(&env, "-doctor", env.config());
    let arguments = ["--connector", env.name(), "--connector-config", file.path()];

    let (failed, _) = findings(&env, &arguments, 0).await;
    assert_eq!(failed, [""; 0]);
    let text = run_at(&env, &[&["doctor"], &arguments[..]].concat()).await;
    let expected = ["kafka connect", "connector plugin", "table", "publication", "slot active", "clock", env.topic()];
    for check in expected {
        assert!(text.text(0).lines().any(|line| line.contains(check)), "{check} is not in {text:?}");
    }
    assert!(text.stdout.contains("0 failed"), "{text:?}");
}

#[tokio::test]
async fn what_is_broken_in_the_database_is_found_with_its_remedy() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-doctor", env.config());
    let arguments = ["--connector-config", file.path()];
    let client = env.client().await;
    let table = env.pipeline().layout().qualified_name();
    let sql = async |sql: &str| client.batch_execute(sql).await.unwrap();

    sql("ALTER PUBLICATION outbox SET (publish = 'update')").await;
    fails(&env, &arguments, "leaves out inserts").await;
    sql(&format!("ALTER PUBLICATION outbox SET (publish = 'insert'); ALTER PUBLICATION outbox DROP TABLE {table}"))
        .await;
    fails(&env, &arguments, "does not hold").await;
    sql("DROP PUBLICATION outbox").await;
    fails(&env, &arguments, "outbox migrate apply, then outbox slot create").await;
    sql(&format!("CREATE PUBLICATION outbox FOR TABLE {table} WITH (publish = 'insert')")).await;

    let vanishing = [&arguments[..], &["--row-life", "delete-on-insert"]].concat();
    fails(&env, &vanishing, "-> outbox migrate apply").await;
    sql(&format!("ALTER TABLE {table} ALTER payload TYPE text")).await;
    fails(&env, &arguments, "column \"payload\"").await;
    sql(&format!("ALTER TABLE {table} ALTER payload TYPE json USING payload::json")).await;

    run_at(&env, &["slot", "drop", env.name(), "--yes"]).await.text(0);
    fails(&env, &arguments, &format!("-> outbox slot create {}", env.name())).await;
    run_at(&env, &["slot", "create", env.name(), "--recreate"]).await.text(0);
    let (_, warnings) = findings(&env, &arguments, 0).await;
    assert!(warnings.iter().any(|one| one.starts_with("slot active: false")), "{warnings:#?}");
    assert_eq!(run_at(&env, &[&["doctor", "--strict"], &arguments[..]].concat()).await.code, 1);

    let role = format!("{}_app", env.name());
    let named = [&arguments[..], &["--application-role", &role]].concat();
    fails(&env, &named, "outbox roles").await;
    let script = run_at(&env, &["roles", "--application", &role]).await;
    sql(script.text(0)).await;
    let (failed, _) = findings(&env, &named, 0).await;
    assert_eq!(failed, [""; 0]);
}

#[tokio::test]
async fn without_a_configuration_nothing_is_said_of_one() {
    let env = TestEnv::builder().outbox().build().await;
    let found = run_at(&env, &["doctor", "--output", "json"]).await.json(1);
    let checks = found["checks"].as_array().unwrap();
    let of_connector = checks.iter().filter(|check| check["name"].as_str().unwrap().starts_with("connector "));
    let [assumed] = &of_connector.collect::<Vec<_>>()[..] else { panic!("{found}") };
    assert_eq!(assumed["status"], "skipped");
    assert!(assumed["remedy"].as_str().unwrap().contains("--connector-config FILE"), "{assumed}");
    // The slot of the recommended configuration is not there.
    assert!(checks.iter().any(|check| check["name"] == "slot" && check["status"] == "failed"), "{found}");
}

#[tokio::test]
async fn a_configuration_that_loses_events_is_found() {
    let env = TestEnv::builder().slot().build().await;
    let broken = env.config().clone().with("table.include.list", "outbox.other").with("slot.name", "Not A Slot");
    let file = TempFile::config(&env, "-doctor", &broken);
    let arguments = ["--connector-config", file.path()];
    fails(&env, &arguments, "table.include.list").await;
    fails(&env, &arguments, "slot.name").await;
}

#[tokio::test]
async fn a_failed_connector_and_an_absent_one_are_found() {
    let env = TestEnv::builder().slot().build().await;
    let arguments = ["--connector", env.name()];
    fails(&env, &arguments, "does not exist -> outbox connector apply").await;
    let connector = env.connector();
    connector.start().await;
    let changed = TempFile::config(&env, "-doctor", &env.config().clone().with("max.batch.size", "100"));
    let (_, warnings) = findings(&env, &["--connector", env.name(), "--connector-config", changed.path()], 0).await;
    assert!(warnings.iter().any(|one| one.contains("differs from the file in max.batch.size")), "{warnings:#?}");

    run_at(&env, &["connector", "pause", env.name()]).await.text(0);
    fails(&env, &arguments, "-> outbox connector resume").await;
    env.client().await.batch_execute("DROP PUBLICATION outbox").await.unwrap();
    run_at(&env, &["connector", "resume", env.name()]).await;
    run_at(&env, &["connector", "restart", env.name()]).await;
    eventually("the task has failed", async || run_at(&env, &["connector", "status", env.name()]).await.code == 1)
        .await;
    fails(&env, &arguments, "Publication autocreation is disabled").await;
}

/// Debezium itself advises a snapshot, which would publish every row again.
#[tokio::test]
async fn a_connector_whose_slot_was_lost_is_found_with_the_steps_that_repair_it() {
    let env = TestEnv::builder().slot().kafka().build().await;
    let connector = env.connector();
    connector.start().await;
    env.enqueue(&[order(1)]).await;
    env.records(env.topic(), 1).await;
    let name = env.name();
    let run = async |arguments: &[&str]| run_at(&env, arguments).await;
    run(&["connector", "stop", name]).await.text(0);
    env.slot_becomes("NOT active").await;
    run(&["slot", "drop", name, "--lose-events"]).await.text(0);
    env.enqueue(&[order(2)]).await;

    let refused = run(&["slot", "create", name]).await;
    assert!(
        refused.code == 3 && refused.stderr.contains(&format!("outbox slot create {name} --recreate")),
        "{refused:?}"
    );

    run(&["slot", "create", name, "--recreate"]).await.text(0);
    run(&["connector", "resume", name]).await;
    let failed = eventually("the task has failed", async || {
        let status = run(&["connector", "status", name]).await;
        if status.code == 1 { Ok(status) } else { Err(status) }
    });

    assert!(failed.await.stdout.contains("[…], but this is no longer available on the server"));
    fails(
        &env,
        &["--connector", name],
        &format!("-> its offsets are of a slot that was lost: outbox connector stop {name}"),
    )
    .await;

    run(&["connector", "stop", name]).await.text(0);
    run(&["connector", "offsets", name, "--delete", "--yes"]).await.text(0);
    run(&["connector", "resume", name]).await.text(0);
    let file = TempFile::config(&env, "-lost", env.config());
    let replay = ["replay", "run", "lost", "--missed", "--yes", "--connector-config", file.path()];
    run(&replay).await.text(0);
    env.records(env.topic(), 2).await;
}

#[tokio::test]
async fn servers_that_do_not_answer_are_found() {
    let env = TestEnv::builder().slot().build().await;
    let port = xtask::stack::free_port().unwrap();
    let nowhere = format!("http://127.0.0.1:{port}");
    fails(&env, &["--relay", &nowhere], "relay: ").await;
    fails(&env, &["--connector", "c", "--connect-url", &nowhere], "kafka connect: ").await;
    fails(&env, &["--brokers", &format!("127.0.0.1:{port}")], "kafka: ").await;
    fails(&env, &["--kafka-config", "/no/such.properties"], "-> check --kafka-config").await;
    let database = format!("postgres://postgres:postgres@127.0.0.1:{port}/none");
    let ran = run(&["doctor"], &[("DATABASE_URL", &database)]).await;
    assert!(ran.text(1).contains("check DATABASE_URL"), "{ran:?}");
}

#[tokio::test]
async fn dead_letters_and_partitions_that_nobody_reads_are_found() {
    let mut stock = Stock::new().await;
    let file = TempFile::config(&stock.env, "-doctor", stock.env.config());
    let arguments = ["--connector-config", file.path(), "--group", "stock"];
    fails(&stock.env, &arguments, "the group has no positions").await;
    stock.start();
    stock.place(1).await;
    stock.dead(1).await;

    let (_, warnings) = findings(&stock.env, &arguments, 0).await;
    assert!(
        warnings.iter().any(|one| one.contains("1 dead letters -> outbox dead-letters list stock")),
        "{warnings:#?}"
    );
    stock.stop().await;
    fails(&stock.env, &arguments, "read by nobody").await;
    stock.env.client().await.batch_execute("DROP TABLE outbox.consumer_position CASCADE").await.unwrap();
    fails(&stock.env, &arguments, "outbox migrate apply --consumer").await;
}
