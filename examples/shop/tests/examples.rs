//! The programs of this package, run as the book's tutorial runs them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(300);

/// A program that runs until the test ends, and the lines that it prints.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    /// Starts a program with variables of the environment.
    fn start(path: &str, environment: &[(String, String)]) -> Self {
        let environment = environment.iter().map(|(name, value)| (name, value));
        let mut child = Command::new(path).envs(environment).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Waits for the next line.
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// Ends the program as Ctrl-C does, and checks that it ends well.
    fn interrupt(mut self) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn orders_reach_the_consumers() {
    let servers = Program::start(env!("CARGO_BIN_EXE_servers"), &[]);
    let export = servers.line();
    let variables = export.strip_prefix("export ").unwrap().split(' ').map(|variable| {
        let (name, value) = variable.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('\'').to_owned())
    });
    let variables: Vec<_> = variables.collect();

    let consumer = Program::start(env!("CARGO_BIN_EXE_consumer"), &variables);
    let producer = Program::start(env!("CARGO_BIN_EXE_producer"), &variables);
    assert_eq!(producer.line(), "placed order 1");
    assert_eq!(consumer.line(), "reserved 2 for order 1");

    let producer = Program::start(env!("CARGO_BIN_EXE_sqlx"), &variables);
    assert_eq!(producer.line(), "placed order 2");
    assert_eq!(consumer.line(), "reserved 2 for order 2");

    let batches = Program::start(env!("CARGO_BIN_EXE_batch_consumer"), &variables);
    assert!(["added 2 of 1 events", "added 4 of 2 events"].contains(&&*batches.line()));
    batches.interrupt();
    consumer.interrupt();
    servers.interrupt();
}
