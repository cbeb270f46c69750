use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use xtask::FULL_VARIABLE;
use xtask::stack::{Data, Interrupt, PostgresVersion, STACK_VARIABLE, Stack, StackOptions, workspace};

use super::arguments::Arguments;
use super::failures;
use super::follow::Follower;
use super::plan::{Extent, Selection};
use super::targets::Target;

use crate::child::ChildGroup;
use crate::outcome::{Outcome, Result, report};
use crate::program;

/// The variable by which a user names the directory of PostgreSQL's programs.
const POSTGRES_VARIABLE: &str = "OUTBOX_POSTGRES_BIN";

/// Runs of tests, one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane<'a> {
    pub(super) interrupt: &'a Interrupt,
    pub(super) arguments: &'a Arguments,
    pub(super) extent: Extent,
}

/// The file that cargo and the tests write to.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    colors: Colors,
}

/// Whether cargo and the tests write colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colors {
    Never,
    Always,
}

impl Output {
    /// Creates the file of the first lane, which is shown as it is written.
    pub(super) fn shown(options: &StackOptions) -> Result<(Self, Follower)> {
        let colors = if io::stdout().is_terminal() { Colors::Always } else { Colors::Never };
        let output = Self { path: path(options), colors };
        File::create(&output.path)?;
        let follower = Follower::start(&output.path)?;
        Ok((output, follower))
    }

    /// Creates the file of the tests on a stack, and reports where it is.
    pub(super) fn file(options: &StackOptions) -> Result<Self> {
        let output = Self { path: path(options), colors: Colors::Never };
        fs::create_dir_all(options.directory())?;
        File::create(&output.path)?;
        report(&format!("more tests run at the same time; their output follows, and is in {}", output.path.display()));
        Ok(output)
    }

    fn line(&self, text: &str) -> io::Result<()> {
        writeln!(File::options().append(true).open(&self.path)?, "{text}")
    }

    fn redirect(&self, command: &mut Command) -> io::Result<()> {
        let file = File::options().append(true).open(&self.path)?;
        command.stdout(Stdio::from(file.try_clone()?)).stderr(Stdio::from(file));
        Ok(())
    }
}

/// The servers of a lane.
#[derive(Debug)]
pub(super) struct Servers {
    state: PathBuf,
    /// The directory of PostgreSQL's programs.
    postgres: PathBuf,
}

impl Servers {
    /// Lets a program use these servers, and start other ones of the same PostgreSQL.
    fn choose(&self, command: &mut Command) -> Result<()> {
        command.env(STACK_VARIABLE, &self.state);
        // The testkit prefers the programs in `PATH`. Its tests of a certain version download that one all the same.
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths([self.postgres.clone()].into_iter().chain(env::split_paths(&path)))?;
        command.env("PATH", path);
        let of_user = env::var_os(POSTGRES_VARIABLE).map(PathBuf::from);
        if of_user.is_some_and(|directory| directory.canonicalize().ok().as_deref() != Some(&*self.postgres)) {
            command.env_remove(POSTGRES_VARIABLE);
        }
        Ok(())
    }
}

impl Lane<'_> {
    /// Starts the servers, runs tests on them, and stops the servers.
    pub(super) fn on_stack(&self, options: StackOptions, test: impl FnOnce(&Servers) -> Outcome) -> Outcome {
        let outcome = Stack::up(&options).map_err(Into::into).and_then(|stack| {
            test(&Servers { state: options.state_file(), postgres: stack.postgres_programs().to_owned() })
        });

        // The interrupt of the tests must not interrupt this.
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

    /// Runs the selected tests until a run fails. A run continues after a suite that fails, so that it shows all that
    /// do.
    pub(super) fn test(&self, runs: &[Selection], servers: &Servers, output: &Output) -> Outcome {
        let keep_going: &[&str] = if self.arguments.has("--no-fail-fast") { &[] } else { &["--no-fail-fast"] };
        for selection in runs {
            let passed = self.cargo(selection, keep_going, servers, output)?;
            if passed != ExitCode::SUCCESS {
                return Ok(passed);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Builds tests and returns cargo's messages about them, or its exit code if it fails.
    pub(super) fn build(
        &self,
        selection: &[OsString],
        messages: &Path,
    ) -> Result<std::result::Result<String, ExitCode>> {
        let mut command = self.command(selection, &["--no-run", "--message-format=json-render-diagnostics"]);
        command.stdout(File::create(messages)?);
        let built = self.ended(&mut command)?;
        if built != ExitCode::SUCCESS {
            return Ok(Err(built));
        }
        Ok(Ok(fs::read_to_string(messages)?))
    }

    /// Runs `cargo test`.
    fn cargo(&self, selection: &[OsString], more: &[&str], servers: &Servers, output: &Output) -> Outcome {
        let mut command = self.command(selection, more);
        output.redirect(&mut command)?;
        if output.colors == Colors::Always {
            self.color(&mut command);
        }
        servers.choose(&mut command)?;
        self.ended(&mut command)
    }

    fn command(&self, selection: &[OsString], more: &[&str]) -> Command {
        let mut command = Command::new(program::cargo());
        command.args(["test", "--all-features"]).args(more).args(selection).args(self.arguments.programs());
        command.current_dir(workspace());
        if self.extent == Extent::Full {
            command.env(FULL_VARIABLE, "1");
        }
        command
    }

    /// Lets cargo and the test programs write colors, as they do to a terminal.
    fn color(&self, command: &mut Command) {
        command.env("CARGO_TERM_COLOR", "always");
        let programs = self.arguments.programs();
        if programs.is_empty() {
            command.arg("--");
        }
        if !programs.iter().any(|argument| argument.as_encoded_bytes().starts_with(b"--color")) {
            command.arg("--color=always");
        }
    }

    /// Runs the program of a suite as cargo does. Cargo would build it again: it leaves out the features that only
    /// packages need that have no target in the selection.
    pub(super) fn suite(&self, suite: &Target, program: &Path, servers: &Servers, output: &Output) -> Outcome {
        output.line(&format!("     Running {} --test {} ({})", suite.package, suite.name, program.display()))?;
        let mut command = Command::new(program);
        command.args(self.arguments.of_program()).env("CARGO_PKG_NAME", &suite.package);
        if let Some(package) = suite.manifest.parent() {
            command.current_dir(package).env("CARGO_MANIFEST_DIR", package);
        }

        output.redirect(&mut command)?;
        servers.choose(&mut command)?;
        let ended = self.ended(&mut command)?;
        if ended != ExitCode::SUCCESS {
            output.line(&format!("error: test failed, to rerun pass `-p {} --test {}`", suite.package, suite.name))?;
        }
        Ok(ended)
    }

    fn ended(&self, command: &mut Command) -> Outcome {
        let status = ChildGroup::spawn(command)?.wait(self.interrupt)?;
        if self.interrupt.is_raised() {
            return Err("interrupted".into());
        }
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }
}

/// Prints the output of the tests that ran in the second lane.
pub(super) fn show(version: PostgresVersion) {
    let path = path(&StackOptions::test_on(version));
    report(&format!("the tests that ran at the same time, on PostgreSQL {version}:"));
    let printed = File::open(&path).and_then(|mut file| {
        let mut terminal = io::stdout().lock();
        io::copy(&mut file, &mut terminal)?;
        terminal.flush()
    });
    if let Err(error) = printed {
        report(&format!("cannot show {}: {error}", path.display()));
    }
}

/// Prints the tests that failed in the first lane, which has these options, and on the versions of the second one.
pub(super) fn show_failures(first: &StackOptions, second: impl Iterator<Item = PostgresVersion>) {
    let of_second = second.map(|version| {
        let failures = failures::of_file(&path(&StackOptions::test_on(version)));
        (format!(", PostgreSQL {version}"), failures)
    });
    let all: Vec<_> = [(String::new(), failures::of_file(&path(first)))].into_iter().chain(of_second).collect();
    if let Some(summary) = failures::summary(&all) {
        let mut terminal = io::stdout().lock();
        let _ = terminal.write_all(summary.as_bytes()).and_then(|()| terminal.flush());
    }
}

/// Removes the outputs of an earlier run, whose failures are not those of this one.
pub(super) fn remove_outputs(of: impl Iterator<Item = StackOptions>) {
    for options in of {
        let _ = fs::remove_file(path(&options));
    }
}

fn path(options: &StackOptions) -> PathBuf {
    options.directory().join("tests.log")
}
