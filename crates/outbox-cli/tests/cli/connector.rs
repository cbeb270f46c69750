use std::process::Stdio;

use outbox_test_support::{Connector, TestEnv, eventually};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::fixture::{TempFile, order, program, run, run_at};

/// Breaks a connector: its task fails at the missing publication, and keeps failing until it is there again.
async fn fail(env: &TestEnv) {
    env.client().await.batch_execute("DROP PUBLICATION outbox").await.unwrap();
    run_at(env, &["connector", "restart", env.name()]).await;
    eventually("it has failed", async || run_at(env, &["connector", "status", env.name()]).await.code == 1).await;
}

async fn repair(env: &TestEnv) {
    let table = env.pipeline().layout().qualified_name();
    let sql = format!("CREATE PUBLICATION outbox FOR TABLE {table} WITH (publish = 'insert')");
    env.client().await.batch_execute(&sql).await.unwrap();
}

/// Deletes the connector of an environment at the end of a test.
fn guard(env: &TestEnv) -> Connector {
    env.connector()
}

#[tokio::test]
async fn apply_validates_creates_changes_and_is_idempotent() {
    let env = TestEnv::builder().slot().build().await;
    let _guard = guard(&env);
    let file = TempFile::config(&env, "", env.config());

    let broken = env.config().clone().with("max.batch.size", "many").with("database.password", "hunter2");
    let broken = TempFile::config(&env, "-broken", &broken);
    let rejected = run_at(&env, &["connector", "apply", env.name(), broken.path()]).await;
    assert!(rejected.text(1).contains("max.batch.size"), "{rejected:?}");
    let rejected =
        run_at(&env, &["connector", "validate", env.name(), broken.path(), "--output", "json"]).await.json(1);
    assert_eq!(rejected["accepted"], false);
    assert_eq!(
        run_at(&env, &["connector", "status", env.name()]).await.code,
        5,
        "a rejected configuration creates nothing"
    );

    let dry = run_at(&env, &["connector", "apply", env.name(), file.path(), "--dry-run"]).await;
    assert!(dry.text(0).contains("slot.name"), "{dry:?}");
    assert!(!dry.stdout.contains("postgres:postgres") && dry.stdout.contains("[redacted]"), "{dry:?}");
    assert_eq!(run_at(&env, &["connector", "diff", env.name(), file.path()]).await.code, 5);

    let created = run_at(&env, &["connector", "apply", env.name(), file.path()]).await;
    assert!(created.text(0).starts_with(&format!("connector {} created\n", env.name())), "{created:?}");
    let again = run_at(&env, &["connector", "apply", env.name(), file.path()]).await;
    assert!(again.text(0).starts_with(&format!("connector {} unchanged\n", env.name())), "{again:?}");
    run_at(&env, &["connector", "diff", env.name(), file.path()]).await.text(0);

    let changed = TempFile::config(&env, "-changed", &env.config().clone().with("max.batch.size", "100"));
    let diff = run_at(&env, &["connector", "diff", env.name(), changed.path(), "--output", "json"]).await.json(1);
    assert_eq!(diff["changes"][0]["key"], "max.batch.size");
    let applied = run_at(&env, &["connector", "apply", env.name(), changed.path(), "--output", "json"]).await.json(0);
    assert_eq!((&applied["state"], &applied["tasks"][0]["state"]), (&"RUNNING".into(), &"RUNNING".into()));
    run_at(&env, &["connector", "diff", env.name(), changed.path()]).await.text(0);
}

#[tokio::test]
async fn a_connector_is_paused_resumed_stopped_and_restarted() {
    let env = TestEnv::builder().slot().build().await;
    let connector = env.connector();
    connector.start().await;
    let state = async |command: &[&str]| {
        let arguments = [&["connector"], command, &[env.name(), "--output", "json"]].concat();
        run_at(&env, &arguments).await.json(0)["state"].clone()
    };

    assert_eq!(state(&["pause"]).await, "PAUSED");
    assert_eq!(state(&["status"]).await, "PAUSED");
    assert_eq!(state(&["resume"]).await, "RUNNING");
    assert_eq!(state(&["stop"]).await, "STOPPED");
    env.slot_becomes("NOT active").await;
    assert_eq!(state(&["resume"]).await, "RUNNING");
    assert_eq!(state(&["restart"]).await, "RUNNING");
    assert_eq!(state(&["restart", "--only-failed"]).await, "RUNNING");
    let missing = run_at(&env, &["connector", "pause", "no-such-connector"]).await;
    assert_eq!(missing.code, 5, "{missing:?}");
}

#[tokio::test]
async fn status_and_list_name_the_cause_of_a_failure() {
    let env = TestEnv::builder().slot().build().await;
    let connector = env.connector();
    connector.start().await;
    fail(&env).await;

    let status = run_at(&env, &["connector", "status", env.name(), "--output", "json"]).await.json(1);
    assert_eq!(status["tasks"][0]["state"], "FAILED");
    let error = status["tasks"][0]["error"].as_str().unwrap();
    assert!(error.contains("Publication") && !error.contains('\n') && !error.contains("org."), "{error}");
    let text = run_at(&env, &["connector", "status", env.name()]).await;
    assert!(text.text(1).contains(error) && !text.stdout.contains("\tat "), "{text:?}");
    assert!(run_at(&env, &["connector", "status", env.name(), "--trace"]).await.text(1).contains("\tat "));

    let listed: Value = serde_json::from_str(&run_at(&env, &["connector", "list", "-o", "json"]).await.stdout).unwrap();
    let ours = listed["connectors"].as_array().unwrap().iter().find(|one| one["name"] == env.name()).unwrap().clone();
    assert_eq!(ours["class"], "io.debezium.connector.postgresql.PostgresConnector");
    assert_eq!(ours["tasks"][0]["error"], error);
}

#[tokio::test]
async fn a_supervised_connector_runs_again_as_soon_as_it_can() {
    let env = TestEnv::builder().slot().build().await;
    let connector = env.connector();
    connector.start().await;
    fail(&env).await;

    let url = outbox_test_support::stack().connect_url();
    let pauses = ["--interval", "0.2", "--first-pause", "0.5", "--longest-pause", "2", "--output", "json"];
    let mut supervisor = program(&[&["connector", "supervise", env.name()], &pauses[..]].concat())
        .env("CONNECT_URL", url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
    let mut pauses = Vec::new();
    while pauses.len() < 4 {
        let step: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        if step["event"] == "failed" {
            assert!(step["error"].as_str().unwrap().contains("Publication"), "{step}");
            pauses.push(step["pause_seconds"].as_f64().unwrap());
        }
    }

    assert_eq!(pauses, [0.5, 1.0, 2.0, 2.0]);
    repair(&env).await;

    loop {
        let step: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        if step["event"] == "running" {
            break;
        }
    }

    let pid = supervisor.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").arg(&pid).status().await.unwrap().success());
    assert!(supervisor.wait().await.unwrap().success());
    eventually("it runs", async || run_at(&env, &["connector", "status", env.name()]).await.code == 0).await;
}

#[tokio::test]
async fn delete_says_what_remains() {
    let env = TestEnv::builder().slot().kafka().build().await;
    let connector = env.connector();
    connector.start().await;
    env.enqueue(&[order(1)]).await;
    env.records(env.topic(), 1).await;
    env.confirmed().await;

    let refused = run_at(&env, &["connector", "delete", env.name()]).await;
    assert!(refused.code == 3 && refused.stderr.contains("--yes"), "{refused:?}");
    let offsets = run_at(&env, &["connector", "offsets", env.name(), "--output", "json"]).await.json(0);
    assert_eq!(offsets["offsets"][0]["partition"]["server"], env.name());
    assert_eq!(run_at(&env, &["connector", "offsets", env.name(), "--delete", "--yes"]).await.code, 4, "it runs");

    let deleted = run_at(&env, &["connector", "delete", env.name(), "--yes"]).await;
    let text = deleted.text(0);
    assert!(text.contains(&format!("remains: slot {}", env.name())), "{text}");
    assert!(text.contains("remains: publication outbox") && text.contains("remains: offsets"), "{text}");
    assert_eq!(run_at(&env, &["connector", "status", env.name()]).await.code, 5);
    env.slot_is("NOT active").await.unwrap();
}

#[tokio::test]
async fn delete_cleans_up_only_if_no_events_are_lost() {
    let env = TestEnv::builder().slot().kafka().build().await;
    let connector = env.connector();
    connector.start().await;
    env.enqueue(&[order(1)]).await;
    env.records(env.topic(), 1).await;
    env.confirmed().await;
    let all = ["--yes", "--delete-offsets", "--drop-slot", "--drop-publication"];
    let delete = [&["connector", "delete", env.name()], &all[..]].concat();

    run_at(&env, &["connector", "stop", env.name()]).await.text(0);
    env.slot_becomes("NOT active").await;
    env.enqueue(&[order(2)]).await;
    let refused = run_at(&env, &delete).await;
    assert!(refused.code == 3 && refused.stderr.contains("is stopped, not deleted"), "{refused:?}");
    env.slot_is("NOT active").await.unwrap();

    run_at(&env, &["connector", "resume", env.name()]).await.text(0);
    env.records(env.topic(), 2).await;
    env.confirmed().await;
    let deleted = run_at(&env, &[&delete[..], &["--output", "json"]].concat()).await.json(0);
    assert_eq!(
        (&deleted["slot"], &deleted["publication"], &deleted["offsets"]),
        (&Value::Null, &Value::Null, &0.into())
    );
    assert_eq!(run_at(&env, &["slot", "show", env.name()]).await.code, 5);
}

#[tokio::test]
async fn a_worker_that_is_not_there_is_an_error_of_a_server() {
    let port = xtask::stack::free_port().unwrap();
    let url = format!("http://127.0.0.1:{port}");
    let failed = run(&["connector", "list", "--connect-url", &url], &[]).await;
    assert!(failed.code == 4 && failed.stderr.contains(&port.to_string()), "{failed:?}");
    assert_eq!(run(&["connector", "list", "--connect-url", "http://u:p@connect"], &[]).await.code, 2);
}
