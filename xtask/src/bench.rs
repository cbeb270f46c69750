//! `cargo xtask bench`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::{Args, Subcommand};
use xtask::stack::{Data, Interrupt, STACK_VARIABLE, Stack, StackOptions, lock_file};

use crate::child::ChildGroup;
use crate::outcome::{Outcome, report};
use crate::program;

/// If they were built one by one, shared dependencies would be built twice, with different features.
const TOGETHER: [&str; 3] = ["--release", "--package=outbox-relay", "--package=outbox-bench"];

#[derive(Debug, Subcommand)]
pub(crate) enum BenchTask {
    /// The relay next to Debezium on Kafka Connect
    Relay(Measurement),
    /// The consumer: decoding, fetching, effects
    Consumer(Measurement),
    /// Enqueue: what it adds to a transaction
    Enqueue(Measurement),
}

#[derive(Debug, Args)]
pub(crate) struct Measurement {
    /// The arguments for `outbox-bench`, after `--`; `-- --help` lists it
    #[arg(last = true, value_name = "ARGUMENTS OF OUTBOX-BENCH")]
    arguments: Vec<OsString>,
}

impl BenchTask {
    pub(crate) fn run(self, interrupt: &Interrupt) -> Outcome {
        let needs_relay = !matches!(self, Self::Enqueue(_));
        let (subject, measurement) = match self {
            Self::Relay(measurement) => ("relay", measurement),
            Self::Consumer(measurement) => ("consumer", measurement),
            Self::Enqueue(measurement) => ("enqueue", measurement),
        };
        let bench = program::build("outbox-bench", &TOGETHER)?;
        let mut command = Command::new(bench);
        command.arg(subject);

        if needs_relay {
            command.arg("--relay").arg(program::build("outbox-relay", &TOGETHER)?);
        }

        command.args(&measurement.arguments);
        interrupt.check()?;
        if measurement.only_asks() {
            return ended(&mut command, interrupt);
        }
        on_servers(&mut command, interrupt)
    }
}

impl Measurement {
    /// Returns whether nothing is to be measured.
    fn only_asks(&self) -> bool {
        self.arguments.iter().any(|argument| argument == "--help" || argument == "-h")
    }
}

/// Runs it with separate servers, which are removed even if it fails.
fn on_servers(command: &mut Command, interrupt: &Interrupt) -> Outcome {
    let options = StackOptions::bench().interrupt(interrupt.clone()).report(report);
    std::fs::create_dir_all(options.directory())?;
    let _only_one = lock_file(&options.directory().join("run.lock"), interrupt, || {
        report("waiting for another `cargo xtask bench` of this workspace");
    })?;
    // A run that was killed has left its servers running.
    Stack::down(&options, Data::Remove)?;
    let outcome =
        Stack::up(&options).map_err(Into::into).and_then(|_| measure(command, &options.state_file(), interrupt));
    // The interrupt of the measurement must not interrupt this.
    Stack::down(&options.interrupt(Interrupt::default()), Data::Remove)?;
    outcome
}

fn measure(command: &mut Command, state: &Path, interrupt: &Interrupt) -> Outcome {
    ended(command.env(STACK_VARIABLE, state), interrupt)
}

fn ended(command: &mut Command, interrupt: &Interrupt) -> Outcome {
    let status = ChildGroup::spawn(command)?.wait(interrupt)?;
    interrupt.check()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
