//! Questions that the program asks on a terminal. `script`, of util-linux, makes one.

use std::process::Stdio;
use std::time::Duration;

use outbox_test_support::{TestEnv, eventually, stack};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::fixture::{order, run_at};

/// The program on a terminal.
struct Terminal {
    program: Child,
    keyboard: ChildStdin,
    screen: ChildStdout,
    shown: String,
}

impl Terminal {
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let command = [&[env!("CARGO_BIN_EXE_outbox")][..], arguments].concat().join(" ");
        let mut program = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (keyboard, screen) = (program.stdin.take().unwrap(), program.stdout.take().unwrap());
        Self { program, keyboard, screen, shown: String::new() }
    }

    /// Waits for a question, and types the answer.
    async fn answer(&mut self, question: &str, answer: &str) {
        self.shows(question).await;
        self.keyboard.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
    }

    async fn shows(&mut self, question: &str) {
        while !self.shown.contains(question) {
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(300), self.screen.read(&mut bytes)).await;
            let read = read.expect("a question").unwrap();
            assert!(read > 0, "the program has ended without {question:?}: {}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }

    /// Waits until the terminal does not show what is typed. A question is on the screen a moment before.
    async fn hides(&self) {
        let script = self.program.id().unwrap();
        eventually("the terminal hides what is typed", async || {
            let children = std::fs::read_to_string(format!("/proc/{script}/task/{script}/children")).unwrap();
            let child = children.split_whitespace().next().ok_or(String::new())?;
            let terminal = std::fs::read_link(format!("/proc/{child}/fd/0")).map_err(|e| e.to_string())?;
            let state = Command::new("stty").arg("-F").arg(terminal).arg("-a").output().await.unwrap();
            let state = String::from_utf8_lossy(&state.stdout).into_owned();
            if state.split_whitespace().any(|word| word == "-echo") { Ok(()) } else { Err(state) }
        })
        .await;
    }

    /// Waits for the end, and returns the exit code and all that was shown.
    async fn end(mut self) -> (i32, String) {
        let mut rest = Vec::new();
        self.screen.read_to_end(&mut rest).await.unwrap();
        let code = self.program.wait().await.unwrap().code().unwrap();
        (code, self.shown + &String::from_utf8_lossy(&rest))
    }
}

#[tokio::test]
async fn a_password_is_asked_for_and_not_shown() {
    let env = TestEnv::builder().database().build().await;
    let role = format!("{}_role", env.name());
    let client = env.client().await;
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'")).await.unwrap();
    let url = format!("postgres://{role}@{}", env.url().split_once('@').unwrap().1);
    let list = ["slot", "list", "--output", "json", "--database-url", &url];

    for (password, expected) in [("hunter2", 0), ("hunter3", 4)] {
        let mut terminal = Terminal::start(&list, &[]);
        let question = format!("Password for {role} at ");
        terminal.shows(&question).await;
        terminal.hides().await;
        terminal.answer(&question, password).await;
        let (code, shown) = terminal.end().await;
        assert_eq!(code, expected, "{shown}");
        assert!(!shown.contains(password), "{shown}");
    }
}

#[tokio::test]
async fn a_password_is_asked_for_once_however_many_connections_need_it() {
    let env = TestEnv::builder().slot().build().await;
    let role = format!("{}_role", env.name());
    let client = env.client().await;
    client.batch_execute(&format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'hunter2'")).await.unwrap();

    let url = format!("postgres://{role}@{}", env.url().split_once('@').unwrap().1);
    let brokers = stack().kafka_bootstrap();
    let mut terminal = Terminal::start(
        &["doctor", "--group", "a", "--group", "b", "--database-url", &url, "--brokers", &brokers],
        &[],
    );
    terminal.answer("Password for ", "hunter2").await;
    let (code, shown) = terminal.end().await;
    assert!(code == 1 && shown.contains("group b"), "{shown}");
    assert_eq!(shown.matches("Password for ").count(), 1, "{shown}");
}

#[tokio::test]
async fn a_deleted_connector_is_cleaned_up_as_far_as_the_user_accepts() {
    let env = TestEnv::builder().slot().kafka().build().await;
    let connector = env.connector();
    connector.start().await;
    env.enqueue(&[order(1)]).await;
    env.records(env.topic(), 1).await;
    env.confirmed().await;
    let url = stack().connect_url();
    let variables = [("CONNECT_URL", url.as_str()), ("DATABASE_URL", env.url())];
    let delete = ["connector", "delete", env.name()];

    let mut terminal = Terminal::start(&delete, &variables);
    terminal.answer("Delete the connector", "n").await;
    let (code, shown) = terminal.end().await;
    assert!(code == 3 && shown.contains("nothing was changed"), "{shown}");

    let mut terminal = Terminal::start(&delete, &variables);
    let slot = format!("Drop its slot {} as well", env.name());
    for (question, answer) in [
        ("Delete the connector", "y"),
        ("Remove its offsets as well?", "y"),
        (&*slot, "y"),
        ("Drop its publication outbox as well?", "n"),
    ] {
        terminal.answer(question, answer).await;
    }
    let (code, shown) = terminal.end().await;
    assert_eq!(code, 0, "{shown}");
    for text in [&*format!("also removed: slot {}", env.name()), "also removed: offsets", "remains: publication outbox"]
    {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    assert_eq!(run_at(&env, &["slot", "show", env.name()]).await.code, 5);
}
