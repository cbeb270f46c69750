//! `cargo xtask test`.

mod arguments;
mod failures;
mod follow;
mod lane;
mod plan;
mod targets;

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::thread;

use clap::Args;
use xtask::stack::{
    Data, Interrupt, PostgresVersion, Stack, StackOptions, installed_postgres, lock_file, prepare_for_tests,
};

use self::arguments::Arguments;
use self::lane::{Lane, Output, Servers};
use self::plan::{Extent, OtherVersion, Plan};
use crate::outcome::{Outcome, Result, report};

#[derive(Debug, Args)]
pub(crate) struct TestTask {
    /// Run the longer suites as well, the others with more events, and outbox-pg and the relay on PostgreSQL 14 to 18
    #[arg(long)]
    full: bool,
    /// Run the tests on this version of PostgreSQL only, from 14 to 18, which is downloaded
    #[arg(long, value_name = "VERSION")]
    postgres: Option<PostgresVersion>,
    /// The arguments for `cargo test`, after `--`; without a package among it, all are tested
    #[arg(last = true, value_name = "ARGUMENTS OF CARGO TEST")]
    arguments: Vec<OsString>,
}

impl TestTask {
    pub(crate) fn run(self, interrupt: &Interrupt) -> Outcome {
        let arguments = Arguments::new(&self.arguments);
        let is_documentation_only = arguments.has("--doc");
        let options = StackOptions::test().interrupt(interrupt.clone()).report(report);
        if !is_documentation_only {
            prepare_for_tests(&options)?;
        }
        let plan = self.plan(&arguments)?;
        let lane = Lane { interrupt, arguments: &arguments, extent: self.extent() };

        fs::create_dir_all(options.directory())?;
        let _only_one = lock_file(&options.directory().join("run.lock"), interrupt, || {
            report("waiting for another `cargo xtask test` of this workspace");
        })?;
        // Tests that do not build need no servers.
        let mut messages = String::new();
        for selection in plan.build.iter().filter(|_| !is_documentation_only) {
            match lane.build(selection, &options.directory().join("build.json"))? {
                Ok(of_cargo) => messages.push_str(&of_cargo),
                Err(failed) => return Ok(failed),
            }
        }

        // A run that was killed has left its servers running.
        let all_others = PostgresVersion::all().map(StackOptions::test_on);
        for left in all_others.chain([options.clone()]) {
            Stack::down(&left, Data::Remove)?;
        }
        let options = match self.postgres {
            Some(version) => options.postgres_version(version),
            None => options,
        };
        run_lanes(&lane, &plan, &messages, &options)
    }

    fn plan(&self, arguments: &Arguments) -> Result<Plan> {
        let all = targets::all()?;
        Ok(match self.postgres {
            Some(_) => Plan::on_one_version(arguments, &all, self.extent()),
            None => {
                // Without an installed one, the newest is downloaded.
                let version = installed_postgres().unwrap_or_else(PostgresVersion::newest);
                Plan::new(arguments, &all, self.extent(), version)
            }
        })
    }

    fn extent(&self) -> Extent {
        if self.full { Extent::Full } else { Extent::Usual }
    }
}

/// Runs the tests of both lanes, and prints the tests that failed at the very end.
fn run_lanes(lane: &Lane<'_>, plan: &Plan, messages: &str, options: &StackOptions) -> Outcome {
    let versions = || plan.second.iter().map(|of| of.version);
    lane::remove_outputs(versions().map(StackOptions::test_on).chain([options.clone()]));
    let outcome = run_both(lane, plan, messages, options);
    if !lane.interrupt.is_raised() {
        lane::show_failures(options, versions());
    }
    outcome
}

/// Runs the tests of both lanes at the same time. The output of the first lane is shown as it is written. When that lane
/// has ended, the output of the second one follows as a whole.
fn run_both(lane: &Lane<'_>, plan: &Plan, messages: &str, options: &StackOptions) -> Outcome {
    thread::scope(|scope| {
        let mut second = None;
        let first = lane.on_stack(options.clone(), |servers| {
            // The second lane starts only now, because two stacks that start at the same time might choose the same
            // ports.
            second = (!plan.second.is_empty()).then(|| scope.spawn(|| run_second(lane, &plan.second, messages)));
            let (output, _follower) = Output::shown(options)?;
            lane.test(&plan.first, servers, &output)
        });

        let second = second.map_or(Ok(ExitCode::SUCCESS), |second| {
            let ended = second.join().unwrap_or_else(|_| Err("the second lane of tests has panicked".into()));
            if !lane.interrupt.is_raised() {
                plan.second.iter().for_each(|of| lane::show(of.version));
            }
            ended
        });

        match first? {
            ExitCode::SUCCESS => second,
            failed => {
                second?;
                Ok(failed)
            }
        }
    })
}

/// Runs the tests of the second lane, on one version of PostgreSQL after the other. Continues after tests that fail.
fn run_second(lane: &Lane<'_>, plan: &[OtherVersion], messages: &str) -> Outcome {
    // In their usual sizes: the first lane has the larger ones.
    let lane = Lane { extent: Extent::Usual, ..*lane };
    let mut outcome = ExitCode::SUCCESS;

    for of in plan {
        let options = StackOptions::test_on(of.version).interrupt(lane.interrupt.clone());
        let output = Output::file(&options)?;
        let tested = lane.on_stack(options, |servers| test_version(&lane, of, messages, servers, &output));
        // The first lane may run for half an hour more.
        let tested = tested.inspect_err(|error| report(&format!("no tests on PostgreSQL {}: {error}", of.version)))?;
        if tested != ExitCode::SUCCESS {
            outcome = tested;
        }
    }
    Ok(outcome)
}

fn test_version(lane: &Lane<'_>, of: &OtherVersion, messages: &str, servers: &Servers, output: &Output) -> Outcome {
    let mut outcome = ExitCode::SUCCESS;
    for suite in &of.suites {
        let program = suite.executable(messages);
        let program = program.ok_or_else(|| format!("cargo did not report the program of {}", suite.name))?;
        let tested = lane.suite(suite, &program, servers, output)?;
        if tested != ExitCode::SUCCESS {
            outcome = tested;
        }
    }
    let documentation = lane.test(of.documentation.as_slice(), servers, output)?;
    Ok(if outcome == ExitCode::SUCCESS { documentation } else { outcome })
}
