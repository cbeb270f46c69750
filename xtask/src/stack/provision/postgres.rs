//! PostgreSQL, which the testkit finds; here, a chosen version of it is downloaded.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::Path;
use std::process::Command;

use outbox_testkit::local::{Account, Programs};

use super::java::Java;
use super::maven::{Maven, once};
use super::task::Task;
use crate::stack::error::StackError;
use crate::stack::options::StackOptions;
use crate::stack::paths;
use crate::stack::postgres_version::PostgresVersion;

/// Returns PostgreSQL's programs: of the version that is asked for, which is downloaded, or else those that the testkit
/// finds on this machine, or downloaded ones if there are none.
pub(crate) fn find_or_get(
    task: &Task<'_>,
    options: &StackOptions,
    account: Option<&Account>,
    java: &Java,
) -> Result<Programs, StackError> {
    if options.postgres.is_none()
        && let Some(found) = Programs::find(account)?
    {
        return Ok(found);
    }

    let build = options.postgres.unwrap_or_else(PostgresVersion::newest).build();
    let directory = options.paths.reachable(&options.paths.dist().join("postgresql"), account)?.join(build);
    once(&directory, |partial| {
        download(task, java, build, partial)?;
        if let Some(account) = account {
            account.own(partial)?;
        }
        Ok(())
    })?;

    let programs = directory.join("bin");
    Programs::at(&programs, account).map_err(|missing| {
        StackError::new(format!("PostgreSQL in {} is of no use: {missing}; remove that directory", directory.display()))
    })
}

/// Returns the version of the PostgreSQL that stacks run by default, if it is installed and a known one.
pub fn installed_postgres() -> Option<PostgresVersion> {
    let account = Account::for_postgres().ok()?;
    let version = Programs::find(account.as_ref()).ok()??.version();
    PostgresVersion::all().find(|known| known.number() == version)
}

fn download(task: &Task<'_>, java: &Java, build: &str, directory: &Path) -> Result<(), StackError> {
    let platform = match (OS, ARCH) {
        ("linux", "x86_64") => "linux-amd64",
        ("linux", "aarch64") => "linux-arm64v8",
        ("macos", "x86_64") => "darwin-amd64",
        ("macos", "aarch64") => "darwin-arm64v8",
        _ => {
            return Err(StackError::new(format!(
                "PostgreSQL {build} cannot be downloaded for {OS} on {ARCH}; install PostgreSQL so that `postgres` and \
                 `initdb` are in PATH"
            )));
        }
    };

    task.report(&format!("getting PostgreSQL {build} (mvn)"));
    let archive = directory.join("archive");
    paths::create(&archive)?;
    Maven::find(java)?.unpack(
        task,
        &format!("io.zonky.test.postgres:embedded-postgres-binaries-{platform}:{build}"),
        &archive,
    )?;

    let packed = fs::read_dir(&archive)
        .map_err(StackError::file("read", &archive))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "txz"))
        .ok_or_else(|| {
            StackError::new(format!("the archive of PostgreSQL in {} has no .txz file", archive.display()))
        })?;

    let mut tar = Command::new("tar");
    tar.args(["--no-same-owner", "-xJf"]).arg(&packed).arg("-C").arg(directory);
    task.run("unpack PostgreSQL (tar needs `xz` for it)", tar)?;
    fs::remove_dir_all(&archive).map_err(StackError::file("remove", &archive))
}
