//! The page docs/replace-debezium.md, run as it is written.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use outbox_test_support::{Connector, stack};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::fixture::RelayEnv;
use crate::load::Load;

const PATIENCE: Duration = Duration::from_secs(120);
/// The shell prints it after the commands of a section.
const DONE: &str = "the section is done";

#[tokio::test]
async fn the_commands_of_the_page_replace_debezium_and_go_back_under_load() {
    let mut fixture = RelayEnv::new(3).await;
    // With the privileges of the page.
    let role = format!("{}_connector", fixture.name());
    let sql = format!(
        "CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'sesame'; GRANT USAGE ON SCHEMA outbox TO {role};
         GRANT SELECT ON outbox.outbox_message TO {role}"
    );
    fixture.client().await.batch_execute(&sql).await.unwrap();
    fixture.config = fixture.config.with("database.user", &*role).with("database.password", "sesame");
    let connector = Connector::new(fixture.name(), fixture.config.clone());
    connector.start().await;
    let load = Load::start(&fixture, 10);
    load.writes(300).await;

    let mut shell = Shell::start(&fixture);
    shell.run("## 1. Take").await;
    shell.run("## 2. Check").await;
    for _ in 0..2 {
        shell.run("## 3. Change over").await;
        load.writes(300).await;
        shell.run("## 4. See").await;
        shell.run("## Go back").await;
        connector.ask(|rest, name| rest.wait_running(name, PATIENCE)).await;
        fixture.slot_becomes("active").await;
        load.writes(300).await;
    }
    shell.run("## 3. Change over").await;
    shell.run("## Finish").await;
    load.writes(300).await;
    load.end().await;
    fixture.all_arrived_once_and_in_order().await;
    shell.end().await;
}

/// A shell that runs the page's commands in a directory for them.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    page: String,
    directory: PathBuf,
}

impl Shell {
    fn start(fixture: &RelayEnv) -> Self {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/replace-debezium.md");
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}_replace", fixture.name()));
        fs::create_dir_all(&directory).unwrap();

        let program = PathBuf::from(env!("CARGO_BIN_EXE_outbox-relay"));
        let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut child = Command::new("sh")
            .args(["-e", "-u"])
            .current_dir(&directory)
            .env("PATH", path)
            .env("CONNECT", stack().connect_url())
            .env("CONNECTOR", fixture.name())
            .env("KAFKA_BROKERS", &fixture.brokers)
            .env("OUTBOX_RELAY_LISTEN", format!("127.0.0.1:{}", xtask::stack::free_port().unwrap()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let page = fs::read_to_string(page).unwrap();
        Self { child, input, output: BufReader::new(output).lines(), page, directory }
    }

    /// Runs the commands of the section whose heading begins so, and waits until they have ended.
    async fn run(&mut self, heading: &str) {
        let commands = commands(&self.page, heading);
        assert!(!commands.is_empty(), "the page has no commands in {heading}");
        eprintln!("{commands}");
        self.input.write_all(format!("{commands}\nprintf '\\n{DONE}\\n'\n").as_bytes()).await.unwrap();

        loop {
            let line = timeout(PATIENCE, self.output.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("{heading} does not end: {}", self.log())).unwrap();
            let line = line.unwrap_or_else(|| panic!("a command of {heading} failed: {}", self.log()));
            eprintln!("> {line}");
            if line == DONE {
                return;
            }
        }
    }

    /// Ends the relay and the shell.
    async fn end(mut self) {
        self.input.write_all(b"kill -TERM \"$(cat relay.pid)\"\nwait\nexit\n").await.unwrap();
        assert!(timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().success(), "{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("relay.log")).unwrap_or_default()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the relay's log:\n{}", self.log());
            // The shell leaves its background process behind.
            if let Ok(pid) = fs::read_to_string(self.directory.join("relay.pid")) {
                _ = std::process::Command::new("kill").arg(pid.trim()).status();
            }
        }
        _ = fs::remove_dir_all(&self.directory);
    }
}

/// Returns the contents of the blocks with commands in a section.
fn commands(page: &str, heading: &str) -> String {
    let section =
        page.split("\n## ").find(|section| heading.strip_prefix("## ").is_some_and(|name| section.starts_with(name)));
    let blocks = section.unwrap_or_default().split("```sh\n").skip(1);
    blocks.filter_map(|block| block.split_once("```")).map(|(commands, _)| commands).collect()
}
