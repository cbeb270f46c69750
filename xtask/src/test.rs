//! `cargo xtask test`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;
use xtask::stack::{
    Data, Interrupt, STACK_VARIABLE, Service, Stack, StackOptions, install_pgbouncer, lock_file, log_tail, workspace,
};

use crate::child::ChildGroup;
use crate::{Outcome, report};

#[derive(Debug, Args)]
pub(crate) struct TestTask {
    /// What to pass on to `cargo test`, after `--`; without a package among it, all are tested
    #[arg(last = true, value_name = "ARGUMENTS OF CARGO TEST")]
    arguments: Vec<OsString>,
}

impl TestTask {
    pub(crate) fn run(self, interrupt: &Interrupt) -> Outcome {
        // Servers are of no use to tests that do not build.
        if !self.is_documentation_only() {
            let built = self.cargo(&["--no-run"], interrupt, None)?;
            if built != ExitCode::SUCCESS || interrupt.is_raised() {
                return Ok(built);
            }
        }
        let options = StackOptions::test().interrupt(interrupt.clone()).report(report);
        std::fs::create_dir_all(options.directory())?;
        let _only_one = lock_file(&options.directory().join("run.lock"), interrupt, || {
            report("waiting for another `cargo xtask test` of this workspace");
        })?;
        // A run that was killed has left its servers running.
        Stack::down(&options, Data::Remove)?;

        let outcome = Stack::up(&options)
            .and_then(|_| install_pgbouncer(&options))
            .map_err(Into::into)
            .and_then(|()| self.cargo(&[], interrupt, Some(&options.state_file())));
        // This must not be interrupted by what has interrupted the tests.
        let options = options.interrupt(Interrupt::default());
        let passed = matches!(outcome, Ok(ExitCode::SUCCESS));
        if !passed {
            if !interrupt.is_raised() {
                show_connect_log(&options);
            }
            report(&format!(
                "the servers' logs are in {}, all of their files in {}",
                options.logs().display(),
                options.directory().display()
            ));
        }
        Stack::down(&options, if passed { Data::Remove } else { Data::Keep })?;
        outcome
    }

    fn cargo(&self, before: &[&str], interrupt: &Interrupt, state: Option<&Path>) -> Outcome {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(["test", "--all-features"]).args(before);
        if !self.names_a_package() {
            command.arg("--workspace");
        }
        command.args(&self.arguments).current_dir(workspace());
        if let Some(state) = state {
            command.env(STACK_VARIABLE, state);
        }
        let status = ChildGroup::spawn(&mut command)?.wait(interrupt)?;
        if interrupt.is_raised() {
            return Err("interrupted".into());
        }
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    fn names_a_package(&self) -> bool {
        self.own_arguments()
            .any(|argument| argument == "-p" || argument == "--package" || argument.starts_with("--package="))
    }

    fn is_documentation_only(&self) -> bool {
        self.own_arguments().any(|argument| argument == "--doc")
    }

    /// Cargo's arguments, without those of the test programs.
    fn own_arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map_while(|argument| (argument != "--").then(|| argument.to_str().unwrap_or_default()))
    }
}

/// What fails far from its cause has mostly failed there.
fn show_connect_log(options: &StackOptions) {
    let log = options.logs().join("connect.log");
    if log.exists() {
        report(&format!("the end of {}'s log:\n{}", Service::Connect, log_tail(&log, 0, 30)));
    }
}
