use std::process::Stdio;

use outbox_test_support::{TestEnv, eventually};
use tokio::process::{Child, Command};

use crate::fixture::{TempFile, order, program, run_at};

/// `outbox relay run` with an environment's slot.
pub(crate) struct Relay(Child);

impl Relay {
    pub(crate) fn start(env: &TestEnv, config: &str) -> Self {
        let arguments = ["relay", "run", "--connector", config, "--brokers", env.brokers()];
        Self(program(&arguments).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Drains it by SIGTERM.
    pub(crate) async fn stop(mut self) {
        let pid = self.0.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        assert!(self.0.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn the_relay_checks_its_servers_and_relays_events() {
    let env = TestEnv::builder().slot().topic(1).build().await;
    let file = TempFile::config(&env, "-relay", env.config());
    let check = ["relay", "check", file.path(), "--connect", "--topic", env.topic(), "--output", "json"];
    let checked = run_at(&env, &check).await.json(0);
    assert_eq!(checked["accepted"], true);
    let servers = checked["servers"].as_array().unwrap();
    assert!(servers.iter().any(|check| check["check"] == format!("topic {}", env.topic()).as_str()), "{checked}");

    let relay = Relay::start(&env, file.path());
    let event = order(1);
    env.enqueue(std::slice::from_ref(&event)).await;
    assert_eq!(env.records(env.topic(), 1).await[0].key(), "1");
    let show = ["events", "show", &event.id().to_string(), "--connector-config", file.path(), "--output", "json"];
    let shown = run_at(&env, &show).await.json(0);
    assert!(shown["records"][0]["wal_position"].as_str().unwrap().contains('/'), "{shown}");
    relay.stop().await;
    eventually("the slot is free", async || env.slot_is("NOT active").await).await;
}

#[tokio::test]
async fn what_the_relay_rejects_is_named() {
    let env = TestEnv::builder().slot().topic(1).build().await;
    let refused = env.config().clone().with("plugin.name", "wal2json");
    let file = TempFile::config(&env, "-relay", &refused);
    let checked = run_at(&env, &["relay", "check", file.path()]).await;
    assert!(checked.text(1).starts_with("rejected") && checked.stdout.contains("plugin.name"), "{checked:?}");
    let missing = run_at(&env, &["relay", "check", "no-such-file.json"]).await;
    assert!(missing.code == 2 && missing.stderr.contains("no-such-file.json"), "{missing:?}");
    let run = run_at(&env, &["relay", "run", "--connector", file.path()]).await;
    assert!(run.code == 2 && run.stderr.contains("plugin.name"), "{run:?}");
}
