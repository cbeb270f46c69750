use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::java::Java;
use super::maven::{Maven, once};
use super::search::on_path;
use super::task::Task;
use crate::stack::account::Account;
use crate::stack::error::StackError;
use crate::stack::options::StackOptions;
use crate::stack::paths;
use crate::stack::postgres_version::PostgresVersion;

/// Directories that installations use, besides those in `PATH`; `*` is any version.
const INSTALLED: [&str; 7] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Library/PostgreSQL/*/bin",
];

/// Returns the directory of PostgreSQL's programs: of the version that is asked for, which is downloaded, or else of
/// the newest one that is installed, or of a downloaded one if none is.
pub(crate) fn find_or_get(
    task: &Task<'_>,
    options: &StackOptions,
    account: Option<&Account>,
    java: &Java,
) -> Result<PathBuf, StackError> {
    if options.postgres.is_none()
        && let Some(found) = newest_installed()
    {
        return Ok(found);
    }
    let build = options.postgres.unwrap_or_else(PostgresVersion::newest).build();
    let directory = options.paths.reachable(&options.paths.dist().join("postgresql"), account)?.join(build);
    once(&directory, |partial| {
        download(task, java, build, partial)?;
        match account {
            Some(account) => account.own(partial),
            None => Ok(()),
        }
    })?;
    Ok(directory.join("bin"))
}

/// Returns the major version of the PostgreSQL in a directory, if it is one.
pub(crate) fn major_version(programs: &Path) -> Option<u32> {
    if !programs.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(programs.join("postgres")).arg("--version").output().ok()?;
    major(&String::from_utf8_lossy(&output.stdout))
}

/// Returns the version of the PostgreSQL that stacks run by default, if it is installed and a known one.
pub fn installed_postgres() -> Option<PostgresVersion> {
    let version = major_version(&newest_installed()?)?;
    PostgresVersion::all().find(|known| known.number() == version)
}

fn newest_installed() -> Option<PathBuf> {
    let in_path = on_path("postgres").and_then(|program| Some(program.parent()?.to_path_buf()));
    in_path
        .into_iter()
        .chain(reported_by_pg_config())
        .chain(INSTALLED.iter().flat_map(|pattern| expand(pattern)))
        .filter_map(|directory| Some((major_version(&directory)?, directory)))
        .filter(|(version, _)| oldest().is_none_or(|oldest| *version >= oldest.number()))
        .max_by_key(|(version, _)| *version)
        .map(|(_, directory)| directory)
}

fn reported_by_pg_config() -> Option<PathBuf> {
    let output = Command::new(on_path("pg_config")?).arg("--bindir").output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(directory.trim()))
}

/// Returns the existing directories that a pattern with at most one `*` stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let Some((parent, prefix)) = before.rsplit_once('/') else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .collect()
}

fn major(version: &str) -> Option<u32> {
    // "postgres (PostgreSQL) 15.18 (Debian …)", "postgres (PostgreSQL) 19beta1"
    let (_, number) = version.split_once(") ")?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..digits)?.parse().ok()
}

fn oldest() -> Option<PostgresVersion> {
    PostgresVersion::all().next()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_prints() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major("something else"), None);
    }

    #[test]
    fn a_pattern_stands_for_what_exists() {
        let root = std::env::temp_dir().join(format!("outbox-expand-{}", std::process::id()));
        fs::create_dir_all(root.join("pg-15")).unwrap();
        fs::create_dir_all(root.join("other")).unwrap();
        let pattern = format!("{}/pg-*/bin", root.display());
        assert_eq!(expand(&pattern), [root.join("pg-15/bin")]);
        fs::remove_dir_all(&root).unwrap();
    }
}
