//! An address that leads to a standby or to a pooler, and a clock that is wrong.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::Stdio;

use outbox_test_support::{TestEnv, connect, eventually, stack};
use tokio::process::Command;
use xtask::stack::OwnPgBouncer;

use crate::doctor::{findings, of_json};
use crate::fixture::{TempFile, ran, run};

#[tokio::test]
async fn a_standby_is_found_and_nothing_is_said_of_what_only_its_primary_has() {
    let server = outbox_testkit::Postgres::start().await.unwrap();
    let env = TestEnv::builder().postgres(server.url()).outbox().build().await;
    let file = TempFile::config(&env, "-standby", env.config());

    // It starts in recovery, and stays there until it is promoted.
    let data: String = env.client().await.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    let (signal, owner) = (Path::new(&data).join("standby.signal"), std::fs::metadata(&data).unwrap());
    std::fs::write(&signal, "").unwrap();
    chown(&signal, Some(owner.uid()), Some(owner.gid())).unwrap();
    server.crash().await.unwrap();

    let (failed, _) = findings(&env, &["--connector-config", file.path()], 1).await;
    assert!(
        failed[0].starts_with("server: it is a standby") && failed[0].contains("-> set DATABASE_URL"),
        "{failed:#?}"
    );
    assert!(!failed.iter().any(|one| one.contains("slot create")), "{failed:#?}");

    let promote = "SELECT pg_promote()";
    connect(&server.url()).await.batch_execute(promote).await.unwrap();
    let (failed, _) = findings(&env, &["--connector-config", file.path()], 1).await;
    assert!(failed.iter().any(|one| one.contains("-> outbox slot create")), "{failed:#?}");
}

#[tokio::test]
async fn a_pooler_in_place_of_the_server_is_found() {
    let env = TestEnv::builder().slot().topic(1).build().await;
    let file = TempFile::config(&env, "-pooler", env.config());
    let pooler = OwnPgBouncer::start(env.url(), 2).unwrap();
    let brokers = stack().kafka_bootstrap();
    let doctor = ["doctor", "--output", "json", "--connector-config", file.path(), "--topic", env.topic()];
    let found = run(&doctor, &[("DATABASE_URL", pooler.url()), ("KAFKA_BROKERS", &brokers)]).await;
    let (failed, _) = of_json(&found.json(1));
    let [one] = &failed[..] else { panic!("{failed:#?}") };
    assert!(one.starts_with("postgresql: ") && one.contains("PgBouncer") && one.contains("connect to"), "{one}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_found() {
    let env = TestEnv::builder().slot().topic(1).build().await;
    let file = TempFile::config(&env, "-clock", env.config());
    let brokers = stack().kafka_bootstrap();
    let finds = async |shift: &str| {
        let mut doctor = Command::new("faketime");
        doctor
            .args(["--exclude-monotonic", "-f", shift, env!("CARGO_BIN_EXE_outbox"), "doctor", "--output", "json"])
            .args(["--connector-config", file.path(), "--topic", env.topic()])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs([("DATABASE_URL", env.url()), ("KAFKA_BROKERS", &*brokers)])
            .stdin(Stdio::null());
        let (_, warnings) = of_json(&ran(&mut doctor).await.json(0));
        warnings.into_iter().find(|one| one.starts_with("clock: "))
    };

    for (shift, ahead) in [("-90s", "90"), ("+2h", "-7200")] {
        let text = format!("clock: PostgreSQL's clock differs from this machine's by {ahead} s");
        eventually(format!("a finding with {text}"), async || {
            finds(shift).await.filter(|found| found.starts_with(&text) && found.contains("-> synchronize"))
        })
        .await;
    }
    assert_eq!(finds("+0s").await, None);
}
