//! `cargo xtask test`.

mod arguments;
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
use self::lane::{Destination, Lane};
use self::plan::{Extent, Plan};
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

        // Servers are of no use to tests that do not build.
        if !is_documentation_only {
            for selection in &plan.build {
                let built = lane.cargo(selection, &["--no-run"], None, &Destination::Terminal)?;
                if built != ExitCode::SUCCESS || interrupt.is_raised() {
                    return Ok(built);
                }
            }
        }
        fs::create_dir_all(options.directory())?;
        let _only_one = lock_file(&options.directory().join("run.lock"), interrupt, || {
            report("waiting for another `cargo xtask test` of this workspace");
        })?;
        // A run that was killed has left its servers running.
        let all_others = PostgresVersion::all().map(StackOptions::test_on);
        for left in all_others.chain([options.clone()]) {
            Stack::down(&left, Data::Remove)?;
        }

        let options = match self.postgres {
            Some(version) => options.postgres_version(version),
            None => options,
        };
        run_lanes(&lane, &plan, options)
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

/// Runs the tests of both lanes at the same time. The first lane writes to the terminal, and when it has ended, the
/// output of the second one follows as a whole.
fn run_lanes(lane: &Lane<'_>, plan: &Plan, options: StackOptions) -> Outcome {
    thread::scope(|scope| {
        let mut second = None;
        let first = lane.on_stack(options, |servers| {
            // Only now: two stacks that start at the same time might choose the same ports.
            second = (!plan.second.is_empty()).then(|| scope.spawn(|| run_second(lane, plan)));
            lane.test(&plan.first, servers, &Destination::Terminal)
        });
        let second = second.map_or(Ok(ExitCode::SUCCESS), |second| {
            let ended = second.join().unwrap_or_else(|_| Err("the second lane of tests has panicked".into()));
            if !lane.interrupt.is_raised() {
                plan.second.iter().for_each(|(version, _)| lane::show(*version));
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

/// Runs the tests of the second lane, on one version of PostgreSQL after the other, also after one that fails.
fn run_second(lane: &Lane<'_>, plan: &Plan) -> Outcome {
    // In their usual sizes: the first lane has the larger ones.
    let lane = Lane { extent: Extent::Usual, ..*lane };
    let mut outcome = ExitCode::SUCCESS;
    for (version, runs) in &plan.second {
        let options = StackOptions::test_on(*version).interrupt(lane.interrupt.clone());
        let output = Destination::file(&options)?;
        let tested = lane.on_stack(options, |servers| lane.test(runs, servers, &output))?;
        if tested != ExitCode::SUCCESS {
            outcome = tested;
        }
    }
    Ok(outcome)
}
