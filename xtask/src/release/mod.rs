//! `cargo xtask release --dry-run`.

mod bill;
mod checksums;
mod image;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use xtask::stack::workspace;

use self::bill::Bill;
use crate::outcome::{Outcome, Result, report};
use crate::program::{cargo, executables};

/// The target whose programs need no library of the system.
const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// The programs of a release.
const PROGRAMS: [Program; 2] = [
    Program { package: "outbox-relay", name: "outbox-relay", features: &["outbox-relay/otlp"] },
    Program { package: "outbox-cli", name: "outbox", features: &[] },
];

/// The files that go with each program.
const DOCUMENTS: [&str; 4] = ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// A program, and how it is built.
#[derive(Clone, Copy, Debug)]
struct Program {
    package: &'static str,
    name: &'static str,
    features: &'static [&'static str],
}

/// The platform that programs are built for.
#[derive(Debug)]
struct Target {
    name: String,
    /// The arguments to cargo that choose it. Without them, cargo builds for this machine.
    arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseTask {
    /// Make everything and publish nothing; there is no other way yet
    #[arg(long)]
    dry_run: bool,
    /// The profile of cargo to build with
    #[arg(long, default_value = "release")]
    profile: String,
    /// The target to build for; by default musl if rustc has it, and this machine's otherwise
    #[arg(long)]
    target: Option<String>,
}

impl ReleaseTask {
    pub(crate) fn run(self) -> Outcome {
        if !self.dry_run {
            return Err("nothing is published yet: run `cargo xtask release --dry-run`".into());
        }
        let target = match self.target {
            Some(name) => Target::of(name),
            None => Target::default()?,
        };
        let version = env!("CARGO_PKG_VERSION");
        let directory = workspace().join("target/release-dry-run");
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;

        for program in PROGRAMS {
            report(&format!("building {} for {}", program.name, target.name));
            let executable = program.build(&self.profile, &target)?;
            program.check(&executable, version)?;

            let name = format!("{}-{version}-{}", program.name, target.name);
            archive(&directory, &name, &executable)?;
            let bill = Bill::read(program.package, version, &program.arguments(&target))?;
            fs::write(directory.join(format!("{name}.cdx.json")), bill.to_string())?;
            image::write(&directory.join("images").join(program.name), program.name, &target.name, &executable)?;
        }
        checksums::write(&directory)?;
        report(&format!("archives, bills of materials, checksums and images are in {}", directory.display()));
        Ok(ExitCode::SUCCESS)
    }
}

impl Program {
    /// Returns the arguments to cargo that select the program's package.
    fn arguments(self, target: &Target) -> Vec<String> {
        let mut arguments = vec!["--locked".to_owned(), format!("--package={}", self.package)];
        arguments.extend(target.arguments.iter().cloned());
        if !self.features.is_empty() {
            arguments.push(format!("--features={}", self.features.join(",")));
        }
        arguments
    }

    fn build(self, profile: &str, target: &Target) -> Result<PathBuf> {
        let output = Command::new(cargo())
            .args(["build", "--message-format=json-render-diagnostics", "--profile", profile])
            .args(self.arguments(target))
            .current_dir(workspace())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("{} does not build for {}", self.package, target.name).into());
        }
        let found = executables(&String::from_utf8_lossy(&output.stdout), self.name).next();
        found.ok_or_else(|| format!("cargo did not report where the program {} is", self.name).into())
    }

    /// Checks that the program starts and is of the version that is released.
    fn check(self, executable: &Path, version: &str) -> Result<()> {
        let output = Command::new(executable).arg("--version").output()?;
        let answer = String::from_utf8_lossy(&output.stdout);
        if output.status.success() && answer.trim().ends_with(version) {
            return Ok(());
        }
        let name = self.name;
        Err(format!("`{name} --version` answers {:?} ({}), and not {version}", answer.trim(), output.status).into())
    }
}

impl Target {
    /// Returns the static target if rustc has its libraries, and the one of this machine otherwise.
    fn default() -> Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let libraries = Command::new(&rustc).args(["--print=target-libdir", "--target", STATIC_TARGET]).output()?;
        if Path::new(String::from_utf8(libraries.stdout)?.trim()).is_dir() {
            return Ok(Self::of(STATIC_TARGET.to_owned()));
        }
        report(&format!(
            "the target {STATIC_TARGET} is not installed, so the programs need this system's libraries; install it \
             with `rustup target add {STATIC_TARGET}`"
        ));

        let version = Command::new(&rustc).arg("-vV").output()?;
        let version = String::from_utf8(version.stdout)?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let name = host.ok_or("rustc does not say what machine this is")?.to_owned();
        Ok(Self { name, arguments: Vec::new() })
    }

    /// Returns the target of a name.
    fn of(name: String) -> Self {
        let arguments = vec![format!("--target={name}")];
        Self { name, arguments }
    }
}

/// Writes a program and its documents into `NAME.tar.gz`.
fn archive(directory: &Path, name: &str, executable: &Path) -> Result<()> {
    let content = directory.join(name);
    fs::create_dir(&content)?;
    for document in DOCUMENTS {
        fs::copy(workspace().join(document), content.join(document))?;
    }
    let file = executable.file_name().ok_or("the program has no name")?;
    fs::copy(executable, content.join(file))?;

    let packed = format!("{name}.tar.gz");
    let status = Command::new("tar").args(["-czf", &packed, name]).current_dir(directory).status()?;
    if !status.success() {
        return Err(format!("tar cannot pack {packed} ({status})").into());
    }
    Ok(fs::remove_dir_all(&content)?)
}
