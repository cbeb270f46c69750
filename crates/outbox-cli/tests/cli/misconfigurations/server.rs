//! PostgreSQL's settings and its access rules.

use std::path::Path;

use outbox_test_support::{TestEnv, connect, eventually};
use serde_json::Value;

use super::warns;
use crate::doctor::{fails, findings, of_json};
use crate::fixture::{TempFile, run, run_at};

#[tokio::test]
async fn a_server_without_logical_decoding_is_found() {
    let server = outbox_testkit::Postgres::builder().setting("wal_level", "replica").start().await.unwrap();
    let env = TestEnv::builder().postgres(server.url()).outbox().build().await;
    let file = TempFile::config(&env, "-server", env.config());
    fails(&env, &["--connector-config", file.path()], "server: wal_level is replica").await;
}

#[tokio::test]
async fn limits_of_a_server_and_wal_that_is_kept_and_removed_are_found() {
    let server = outbox_testkit::Postgres::builder()
        .setting("max_replication_slots", "1")
        .setting("max_wal_senders", "0")
        .setting("wal_init_zero", "off")
        .start()
        .await
        .unwrap();
    let env = TestEnv::builder().postgres(server.url()).slot().build().await;
    let file = TempFile::config(&env, "-limits", env.config());
    let arguments = ["--connector-config", file.path()];
    let client = env.client().await;
    let sql = async |sql: &str| client.batch_execute(sql).await.unwrap();

    let (failed, warnings) = findings(&env, &arguments, 1).await;
    assert!(failed.iter().any(|one| one.starts_with("replication connection: ")), "{failed:#?}");
    assert!(warnings.iter().any(|one| one.contains("raise max_replication_slots")), "{warnings:#?}");
    let advised = run_at(&env, &[&["doctor", "--output", "json"], &arguments[..]].concat()).await.json(1);
    let is_unlimited = |check: &&Value| check["name"] == "max slot wal keep size";
    let advice = advised["checks"].as_array().unwrap().iter().find(is_unlimited).unwrap();
    assert_eq!((&advice["status"], &advice["found"]), (&"ok".into(), &"-1".into()));
    assert!(advice["remedy"].as_str().unwrap().contains("consider a limit"), "{advice}");

    // Each switch skips the rest of a segment of 16 MiB.
    sql("SELECT pg_logical_emit_message(false, 'filler', ''), pg_switch_wal() FROM generate_series(1, 66)").await;
    let (_, warnings) = findings(&env, &arguments, 1).await;
    assert!(warnings.iter().any(|one| one.starts_with("wal held back: ")), "{warnings:#?}");
    sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1200MB'").await;
    sql("SELECT pg_reload_conf()").await;
    eventually("little WAL is left", async || {
        let (_, warnings) = findings(&env, &arguments, 1).await;
        if warnings.iter().any(|one| one.starts_with("wal until lost: ")) { Ok(()) } else { Err(warnings) }
    })
    .await;

    sql("ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'").await;
    sql("SELECT pg_reload_conf()").await;
    env.slot_becomes("safe_wal_size < 0").await;
    sql("CHECKPOINT").await;
    env.slot_becomes("wal_status = 'lost'").await;
    fails(&env, &arguments, &format!("-> outbox slot create {} --recreate", env.name())).await;
}

/// PostgreSQL has the setting since version 18.
#[tokio::test]
async fn a_limit_for_idle_slots_is_a_warning_where_no_table_keeps_events_and_advice_elsewhere() {
    let server = outbox_testkit::Postgres::builder().downloaded().start().await.unwrap();
    let env = TestEnv::builder().postgres(server.url()).slot().build().await;
    let file = TempFile::config(&env, "-idle", env.config());
    let arguments = ["--connector-config", file.path()];
    let name = "idle replication slot timeout";
    let check = async || {
        let found = run_at(&env, &[&["doctor", "--output", "json"], &arguments[..]].concat()).await;
        let found = found.json(found.code);
        found["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone()
    };

    let off = check().await;
    assert_eq!((&off["status"], &off["found"], &off["remedy"]), (&"ok".into(), &"0".into(), &Value::Null));
    let client = env.client().await;
    client.batch_execute("ALTER SYSTEM SET idle_replication_slot_timeout = '1d'").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();

    let advised = eventually("the limit is set", async || {
        let found = check().await;
        if found["found"] == "1d" { Ok(found) } else { Err(found) }
    })
    .await;
    assert_eq!(advised["status"], "ok");
    assert!(advised["remedy"].as_str().unwrap().contains("outbox replay run NAME --missed"), "{advised}");

    let vanishing = [&arguments[..], &["--row-life", "delete-on-insert"]].concat();
    let ran = run_at(&env, &[&["doctor", "--output", "json"], &vanishing[..]].concat()).await;
    let (_, warnings) = of_json(&ran.json(ran.code));
    let warning = format!("{name}: 1d -> no table keeps the events");
    assert!(warnings.iter().any(|one| one.starts_with(&warning)), "{ran:?}");
}

#[tokio::test]
async fn a_login_that_the_server_rejects_is_found() {
    let server = outbox_testkit::Postgres::start().await.unwrap();
    let env = TestEnv::builder().postgres(server.url()).slot().build().await;
    let file = TempFile::config(&env, "-login", env.config());
    let (_, address) = env.url().rsplit_once('@').unwrap();
    let as_role = |role: &str| format!("postgres://{role}:wrong@{address}");
    let found = async |role: &str| {
        let url = as_role(role);
        run(&["doctor", "--connector-config", file.path()], &[("DATABASE_URL", &url)]).await
    };
    let client = connect(&server.url()).await;
    client.batch_execute("CREATE ROLE barred LOGIN PASSWORD 'right'").await.unwrap();
    let ran = found("barred").await;
    assert!(ran.text(1).contains("password authentication failed"), "{ran:?}");

    let hba: String = client.query_one("SHOW hba_file", &[]).await.unwrap().get(0);
    let rules = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(Path::new(&hba), format!("host all barred all reject\n{rules}")).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    eventually("pg_hba.conf rejects the role", async || {
        let ran = found("barred").await;
        let text = ran.text(1).to_owned();
        if text.contains("pg_hba.conf") && text.contains("check DATABASE_URL") { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test]
async fn a_publication_that_is_newer_than_its_slot_is_found() {
    let env = TestEnv::builder().slot().build().await;
    let file = TempFile::config(&env, "-newer", env.config());
    let arguments = ["--connector-config", file.path()];
    let publication = "CREATE PUBLICATION outbox FOR TABLE outbox.outbox_message";
    let recreate = format!("DROP PUBLICATION outbox; {publication} WITH (publish = 'insert')");
    env.client().await.batch_execute(&recreate).await.unwrap();
    warns(&env, &arguments, "publication older than slot: false").await;
}
