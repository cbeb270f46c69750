use std::path::PathBuf;
use std::process::Stdio;

use outbox_core::{ConnectorConfig, OutboxEvent};
use outbox_test_support::TestEnv;
use serde_json::Value;
use tokio::process::Command;

/// The output of the program, and its exit.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Returns the JSON document, after a check of the exit code.
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Checks the exit code, and returns what was printed.
    pub(crate) fn text(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        &self.stdout
    }
}

/// Returns the program without the variables of this process that it would read.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outbox"));
    command.args(arguments).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs the program. What it prints as JSON must be in the document.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let ran = ran(program(arguments).envs(variables.iter().copied())).await;
    if arguments.contains(&"json")
        && let Ok(json) = serde_json::from_str(&ran.stdout)
    {
        crate::documents::check_members(arguments, &json);
    }
    ran
}

pub(crate) async fn ran(command: &mut Command) -> Ran {
    let output = command.output().await.unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the program at an environment's database and the shared Kafka Connect. On a busy machine, servers may take
/// longer for an answer than the default.
pub(crate) async fn run_at(env: &TestEnv, arguments: &[&str]) -> Ran {
    let patience: &[&str] = if arguments.contains(&"--timeout") { &[] } else { &["--timeout", "300"] };
    let arguments = &[arguments, patience].concat();
    let url = outbox_test_support::stack().connect_url();
    let brokers = outbox_test_support::stack().kafka_bootstrap();
    run(arguments, &[("DATABASE_URL", env.url()), ("CONNECT_URL", &url), ("KAFKA_BROKERS", &brokers)]).await
}

pub(crate) fn order(number: usize) -> OutboxEvent {
    OutboxEvent::builder("order", number.to_string(), "OrderCreated").json("{}").build().unwrap()
}

/// A file that is removed with the value.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(crate) fn config(env: &TestEnv, suffix: &str, config: &ConnectorConfig) -> Self {
        Self::new(&format!("{}{suffix}.json", env.name()), &config.to_json())
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}
