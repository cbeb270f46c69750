//! PostgreSQL's programs on this machine, and the search for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::error::{DIRECTORY, Kind, OLDEST, PostgresError};

pub(super) const SHELL: &str = "/bin/sh";

/// Directories that packages and installers use; `*` is any version.
const USUAL: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Library/PostgreSQL/*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// The directory of PostgreSQL's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    directory: PathBuf,
    version: u32,
}

impl Programs {
    /// Returns the programs in the directory that the environment names (`OUTBOX_POSTGRES_BIN`), else the installed
    /// ones; `None` if there are neither.
    ///
    /// # Errors
    /// The environment names a directory without PostgreSQL's programs.
    pub fn find(account: Option<&Account>) -> Result<Option<Self>, PostgresError> {
        Ok(Self::of_environment(account)?.or_else(|| Self::installed(account)))
    }

    /// Returns the programs in the directory that the environment names, if it names one.
    pub(super) fn of_environment(account: Option<&Account>) -> Result<Option<Self>, PostgresError> {
        let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
            return Ok(None);
        };
        let found = Self::at(&directory, account);
        found.map(Some).map_err(|missing| PostgresError::new(Kind::NotPrograms { directory, missing }))
    }

    /// Returns the installed programs: those in `PATH` are the user's choice, then those that `pg_config` reports, then
    /// the newest in the usual places.
    fn installed(account: Option<&Account>) -> Option<Self> {
        let usable = |directory: PathBuf| Self::at(&directory, account).ok();
        let chosen = in_path("postgres").and_then(|program| usable(program.parent()?.to_path_buf()));
        chosen.or_else(|| reported_by_pg_config().and_then(usable)).or_else(|| {
            USUAL.iter().flat_map(|pattern| expand(pattern)).filter_map(usable).max_by_key(|programs| programs.version)
        })
    }

    /// Returns the programs in a directory, if PostgreSQL can be run from there.
    ///
    /// # Errors
    /// It cannot be run. The error names the missing parts.
    pub fn at(directory: &Path, account: Option<&Account>) -> Result<Self, String> {
        // PostgreSQL looks for its libraries next to the program that a link leads to.
        let postgres = directory.join("postgres").canonicalize().map_err(|_| "there is no `postgres`".to_owned())?;
        let directory = postgres.parent().unwrap_or(directory).to_path_buf();
        if !directory.join("initdb").is_file() {
            return Err("there is no `initdb`".to_owned());
        }

        if let Some(account) = account.filter(|account| !account.can_reach(&postgres)) {
            return Err(format!(
                "the user `{}`, whom PostgreSQL runs as in place of root, cannot reach it",
                account.name()
            ));
        }

        let mut command = Command::new(&postgres);
        command.arg("--version");
        clean_environment(&mut command);
        let output = command.output().map_err(|error| format!("`postgres --version` cannot be run ({error})"))?;
        let answer = String::from_utf8_lossy(&output.stdout);
        match major(&answer) {
            Some(version) if version >= OLDEST => Ok(Self { directory, version }),
            Some(version) => Err(format!("its version is {version}")),
            None => Err(format!("`postgres --version` answers {:?} ({})", answer.trim(), output.status)),
        }
    }

    /// Returns the directory of `initdb` and `postgres`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the major version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }
}

/// Clears the caller's environment, except the variables for finding programs and libraries: `PGDATA`, `PGOPTIONS` and
/// a time zone must not reach a server that is to be the same everywhere.
pub(super) fn clean_environment(command: &mut Command) {
    command.env_clear();
    for name in ["PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C").env("TZ", "UTC");
}

fn reported_by_pg_config() -> Option<PathBuf> {
    let output = Command::new(in_path("pg_config")?).arg("--bindir").output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(directory.trim()))
}

fn in_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// Returns the existing directories that a pattern with at most one `*` stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let Some((parent, prefix)) = before.rsplit_once('/') else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(Path::new(parent)) else {
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

#[cfg(test)]
mod tests {
    use super::super::home::Home;
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_prints() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major("something else"), None);
    }

    #[test]
    fn a_pattern_stands_for_what_exists() {
        let root = Home::create_in(&std::env::temp_dir()).unwrap();
        fs::create_dir(root.path().join("pg-15")).unwrap();
        fs::create_dir(root.path().join("other")).unwrap();
        let pattern = format!("{}/pg-*/bin", root.path().display());
        assert_eq!(expand(&pattern), [root.path().join("pg-15/bin")]);
    }
}
