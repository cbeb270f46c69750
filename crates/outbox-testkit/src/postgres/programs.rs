use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::error::{Kind, OLDEST, PostgresError};

pub(super) const SHELL: &str = "/bin/sh";

/// The directory of PostgreSQL's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) directory: PathBuf,
    pub(super) version: u32,
}

impl Programs {
    /// Returns what is in a directory, if PostgreSQL can be run from there.
    pub(super) fn at(directory: &Path, account: Option<&Account>) -> Result<Self, String> {
        // PostgreSQL looks for its libraries next to the program that a link leads to.
        let postgres = directory.join("postgres").canonicalize().map_err(|_| "there is no `postgres`".to_owned())?;
        let directory = postgres.parent().unwrap_or(directory).to_path_buf();
        if !directory.join("initdb").is_file() {
            return Err("there is no `initdb`".to_owned());
        }
        if let Some(account) = account.filter(|account| !account.can_reach(&postgres)) {
            return Err(format!(
                "the user `{}`, whom PostgreSQL runs as in place of root, cannot reach it",
                account.name
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

    /// Returns what is in a directory that the user names.
    pub(super) fn named(directory: &Path, account: Option<&Account>) -> Result<Self, PostgresError> {
        Self::at(directory, account)
            .map_err(|missing| PostgresError::new(Kind::NotPrograms { directory: directory.to_owned(), missing }))
    }
}

/// Leaves nothing of the caller's environment but what finding programs and libraries takes: `PGDATA`, `PGOPTIONS` and
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

fn major(version: &str) -> Option<u32> {
    // "postgres (PostgreSQL) 15.18 (Debian …)", "postgres (PostgreSQL) 19beta1"
    let (_, number) = version.split_once(") ")?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..digits)?.parse().ok()
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
}
