//! Servers in a process of their own: this program, run again for the one test at the end of this file.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use outbox_testkit::Postgres;

const TASK: &str = "OUTBOX_TESTKIT_TASK";

pub(crate) struct OtherProcess {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) answer: String,
}

impl OtherProcess {
    /// Starts it and waits for its answer.
    pub(crate) fn start(task: &str, env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["other_process::the_process", "--exact", "--nocapture"])
            .env(TASK, task)
            .env_remove("OUTBOX_POSTGRES_BIN")
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut answer = String::new();

        while !answer.starts_with("answer: ") {
            answer.clear();
            assert_ne!(stdout.read_line(&mut answer).unwrap(), 0, "no answer to {task}");
        }

        let answer = answer["answer: ".len()..].trim_end().to_owned();
        Self { child, stdout, answer }
    }

    pub(crate) fn url(&self) -> String {
        assert!(self.answer.starts_with("postgresql://"), "{}", self.answer);
        self.answer.clone()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn let_it_end(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
        self.stdout.read_to_string(&mut String::new()).unwrap();
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let started = match task.as_str() {
        "start" => Postgres::start().await,
        "start_unwatched" => {
            println!("\nanswer: starting");
            Postgres::start().await
        }
        "shared" => Postgres::shared().await,
        #[cfg(feature = "download")]
        "downloaded" => Postgres::builder().downloaded().start().await,
        "give_up" => {
            let milliseconds = std::env::var("MILLISECONDS").unwrap().parse().unwrap();
            let given_up = tokio::time::timeout(Duration::from_millis(milliseconds), Postgres::start()).await.is_err();
            println!("\nanswer: {given_up}");
            return;
        }
        other => panic!("{other}"),
    };
    let answer = started.as_ref().map_or_else(ToString::to_string, Postgres::url);
    println!("\nanswer: {}", answer.replace('\n', " / "));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
}
