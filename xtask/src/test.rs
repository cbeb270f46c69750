//! `cargo xtask test`.

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use serde_json::Value;
use xtask::FULL_VARIABLE;
use xtask::stack::{
    Data, Interrupt, PostgresVersion, STACK_VARIABLE, Stack, StackOptions, installed_postgres, lock_file,
    prepare_for_tests, workspace,
};

use crate::child::ChildGroup;
use crate::outcome::{Outcome, report};
use crate::program;

#[derive(Debug, Args)]
pub(crate) struct TestTask {
    /// Run the longer suites as well, and the others with more events
    #[arg(long)]
    full: bool,
    /// Run the tests on this version of PostgreSQL, from 14 to 18, which is downloaded
    #[arg(long, value_name = "VERSION")]
    postgres: Option<PostgresVersion>,
    /// The arguments for `cargo test`, after `--`; without a package among it, all are tested
    #[arg(last = true, value_name = "ARGUMENTS OF CARGO TEST")]
    arguments: Vec<OsString>,
}

impl TestTask {
    pub(crate) fn run(self, interrupt: &Interrupt) -> Outcome {
        let default = StackOptions::test().interrupt(interrupt.clone()).report(report);
        if !self.is_documentation_only() {
            prepare_for_tests(&default)?;
        }

        // Servers are of no use to tests that do not build.
        let long = self.long_suites()?;
        if !self.is_documentation_only() {
            // The longer suites are built in any case: a change that breaks one must not wait for the next full run.
            let builds = long.iter().map(LongSuite::selection).chain([self.selection()]);
            for selection in builds {
                let built = self.cargo(&selection, &["--no-run"], interrupt, None)?;
                if built != ExitCode::SUCCESS || interrupt.is_raised() {
                    return Ok(built);
                }
            }
        }
        let options = match self.postgres {
            Some(version) => default.clone().postgres_version(version),
            None => default.clone(),
        };
        std::fs::create_dir_all(options.directory())?;
        let _only_one = lock_file(&options.directory().join("run.lock"), interrupt, || {
            report("waiting for another `cargo xtask test` of this workspace");
        })?;

        // A run that was killed has left its servers running.
        Stack::down(&options, Data::Remove)?;

        let mut outcome = self.on_stack(options, |state| self.test(&long, interrupt, state));
        for version in self.other_versions() {
            if !matches!(outcome, Ok(ExitCode::SUCCESS)) {
                break;
            }
            report(&format!("the suites that depend on PostgreSQL, with version {version}"));
            let options = default.clone().postgres_version(version);
            outcome = self.on_stack(options, |state| Self::test_postgres(interrupt, state));
        }
        outcome
    }

    /// Starts the servers, runs tests on them, and stops the servers.
    fn on_stack(&self, options: StackOptions, test: impl FnOnce(&Path) -> Outcome) -> Outcome {
        let outcome = Stack::up(&options).map_err(Into::into).and_then(|_| test(&options.state_file()));
        // This must not be interrupted by what has interrupted the tests.
        let options = options.interrupt(Interrupt::default());
        let passed = matches!(outcome, Ok(ExitCode::SUCCESS));
        if !passed {
            report(&format!(
                "the servers' logs are in {}, all of their files in {}",
                options.logs().display(),
                options.directory().display()
            ));
        }

        Stack::down(&options, if passed { Data::Remove } else { Data::Keep })?;
        outcome
    }

    /// Runs the selected tests, and in a full run the longer suites after them, until one of these runs fails. A run
    /// continues after a suite that fails, so that it shows all that do.
    fn test(&self, long: &[LongSuite], interrupt: &Interrupt, state: &Path) -> Outcome {
        let long = long.iter().filter(|_| self.full).map(LongSuite::selection);
        for selection in [self.selection()].into_iter().chain(long) {
            let passed = self.cargo(&selection, self.keep_going(), interrupt, Some(state))?;
            if passed != ExitCode::SUCCESS {
                return Ok(passed);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns the versions of PostgreSQL that a full run of everything tests after the default one.
    fn other_versions(&self) -> impl Iterator<Item = PostgresVersion> + use<> {
        let default = installed_postgres();
        let is_everything = self.full && self.postgres.is_none() && self.arguments.is_empty();
        PostgresVersion::all().filter(move |version| is_everything && Some(*version) != default)
    }

    /// Runs the suites that depend on PostgreSQL's version most, in their usual sizes.
    fn test_postgres(interrupt: &Interrupt, state: &Path) -> Outcome {
        for selection in [&["--package", "outbox-pg"][..], &["--package", "outbox-relay", "--test", "relay"]] {
            let task = Self { full: false, postgres: None, arguments: selection.iter().map(OsString::from).collect() };
            let passed = task.cargo(&task.selection(), task.keep_going(), interrupt, Some(state))?;
            if passed != ExitCode::SUCCESS {
                return Ok(passed);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn cargo(&self, selection: &[OsString], more: &[&str], interrupt: &Interrupt, state: Option<&Path>) -> Outcome {
        let mut command = Command::new(program::cargo());
        command.args(["test", "--all-features"]).args(more).args(selection);
        if let Some(filters) = self.arguments.iter().position(|argument| argument == "--") {
            command.args(self.arguments.iter().skip(filters));
        }
        command.current_dir(workspace());
        if let Some(state) = state {
            command.env(STACK_VARIABLE, state);
        }
        if self.full {
            command.env(FULL_VARIABLE, "1");
        }

        let status = ChildGroup::spawn(&mut command)?.wait(interrupt)?;
        if interrupt.is_raised() {
            return Err("interrupted".into());
        }

        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// Returns the arguments that select packages and targets.
    fn selection(&self) -> Vec<OsString> {
        let everything = if self.names_a_package() { None } else { Some(OsString::from("--workspace")) };
        everything.into_iter().chain(self.arguments.iter().take_while(|argument| *argument != "--").cloned()).collect()
    }

    /// Returns the longer suites of the selected packages; none if the arguments select targets.
    fn long_suites(&self) -> Result<Vec<LongSuite>, Box<dyn Error + Send + Sync>> {
        let targets = ["--lib", "--bin", "--bins", "--test", "--tests", "--doc", "--example", "--examples", "--bench"];
        let selects = |argument: &str| targets.contains(&argument) || argument.starts_with("--test=");
        if self.own_arguments().any(selects) {
            return Ok(Vec::new());
        }
        let mut suites = long_suites()?;
        let packages: Vec<_> = self.packages().collect();
        suites.retain(|suite| packages.is_empty() || packages.contains(&suite.package.as_str()));
        Ok(suites)
    }

    /// Returns the values of `-p` and `--package`.
    fn packages(&self) -> impl Iterator<Item = &str> {
        let mut arguments = self.own_arguments();
        std::iter::from_fn(move || {
            loop {
                let argument = arguments.next()?;
                if ["-p", "--package"].contains(&argument) {
                    return arguments.next();
                }
                if let Some(package) = argument.strip_prefix("--package=").or_else(|| argument.strip_prefix("-p")) {
                    return Some(package);
                }
            }
        })
    }

    fn names_a_package(&self) -> bool {
        self.packages().next().is_some()
    }

    fn is_documentation_only(&self) -> bool {
        self.own_arguments().any(|argument| argument == "--doc")
    }

    /// Returns cargo's option for the suites after one that fails, unless it is among the arguments.
    fn keep_going(&self) -> &'static [&'static str] {
        if self.own_arguments().any(|argument| argument == "--no-fail-fast") { &[] } else { &["--no-fail-fast"] }
    }

    /// Returns cargo's arguments, without those of the test programs.
    fn own_arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map_while(|argument| (argument != "--").then(|| argument.to_str().unwrap_or_default()))
    }
}

/// A test target that cargo runs only by its name (`test = false`), because it takes long.
#[derive(Debug, PartialEq, Eq)]
struct LongSuite {
    package: String,
    name: String,
}

impl LongSuite {
    fn selection(&self) -> Vec<OsString> {
        ["--package", &self.package, "--test", &self.name].map(OsString::from).into()
    }
}

/// Asks cargo for the longer suites of the workspace.
fn long_suites() -> Result<Vec<LongSuite>, Box<dyn Error + Send + Sync>> {
    let mut metadata = Command::new(program::cargo());
    metadata.args(["metadata", "--format-version=1", "--no-deps"]).current_dir(workspace());
    let output = metadata.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata ended with {}", output.status).into());
    }
    Ok(long_suites_of(&serde_json::from_slice(&output.stdout)?))
}

fn long_suites_of(metadata: &Value) -> Vec<LongSuite> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut suites = Vec::new();
    for package in list(metadata, "packages") {
        for target in list(&package, "targets") {
            let is_test = list(&target, "kind").iter().any(|kind| kind == "test");
            if is_test && target.get("test") == Some(&Value::Bool(false)) {
                suites.push(LongSuite { package: text(&package), name: text(&target) });
            }
        }
    }
    suites
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(arguments: &[&str]) -> TestTask {
        TestTask { full: true, postgres: None, arguments: arguments.iter().map(OsString::from).collect() }
    }

    #[test]
    fn packages_are_read_in_each_spelling() {
        let task = task(&["-p", "a", "--package=b", "--package", "c", "-pd", "--", "-p", "e"]);
        assert_eq!(task.packages().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(task.selection(), ["-p", "a", "--package=b", "--package", "c", "-pd"]);
    }

    #[test]
    fn without_a_package_all_are_selected() {
        assert_eq!(task(&["--", "filter"]).selection(), ["--workspace"]);
    }

    #[test]
    fn the_suites_are_the_tests_that_cargo_leaves_out() {
        let target =
            |kind: &str, name: &str, test: bool| serde_json::json!({"kind": [kind], "name": name, "test": test});
        let targets = [target("test", "usual", true), target("test", "long", false), target("bench", "other", false)];
        let metadata = serde_json::json!({"packages": [{"name": "a", "targets": targets}]});
        assert_eq!(long_suites_of(&metadata), [LongSuite { package: "a".to_owned(), name: "long".to_owned() }]);
    }

    #[test]
    fn only_a_full_run_of_everything_tests_the_other_versions_of_postgresql() {
        assert!(task(&[]).other_versions().count() >= PostgresVersion::all().count() - 1);
        assert_eq!(task(&["-p", "outbox-pg"]).other_versions().count(), 0);
    }

    #[test]
    fn arguments_that_select_targets_leave_the_long_suites_out() {
        assert_eq!(task(&["-p", "xtask", "--test", "stack"]).long_suites().unwrap(), []);
        assert_ne!(task(&["-p", "xtask"]).long_suites().unwrap(), []);
        assert_eq!(task(&["-p", "outbox-core"]).long_suites().unwrap(), []);
    }
}
