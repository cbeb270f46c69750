use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::account::{Account, is_reachable};
use super::error::{Kind, PostgresError};
use super::programs::{SHELL, clean_environment};
use super::random;

const KEEPER: &str = include_str!("home.sh");

/// A temporary directory that is removed with the value, and also if this process is killed.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    keeper: Child,
}

impl Home {
    /// Makes a directory that only its owner can read: `account` or the current user.
    pub(super) fn create(account: Option<&Account>) -> Result<Self, PostgresError> {
        let home = Self::create_in(&parent(account)?)?;
        File::create_new(home.log()).map_err(PostgresError::file("create", &home.log()))?;
        if let Some(account) = account {
            account.own(&home.log())?;
            account.own(&home.path)?;
        }
        Ok(home)
    }

    /// Makes a directory for the current user in a given place.
    pub(super) fn create_in(parent: &Path) -> Result<Self, PostgresError> {
        let path = parent.join(format!("outbox-testkit-{}", random::hex::<8>()?));
        // The watchdog starts before the directory is made, because a process that is killed in between would leave the
        // directory.
        let home = Self { keeper: keep(&path)?, path };
        DirBuilder::new().mode(0o700).create(&home.path).map_err(PostgresError::file("create", &home.path))?;
        Ok(home)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// Writes a file that only its owner can read.
    pub(super) fn write_secret(
        &self,
        name: &str,
        secret: &str,
        account: Option<&Account>,
    ) -> Result<PathBuf, PostgresError> {
        let path = self.path.join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(secret.as_bytes()))
            .map_err(PostgresError::file("write", &path))?;
        if let Some(account) = account {
            account.own(&path)?;
        }
        Ok(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "temporary directory of PostgreSQL remains");
        }
        if let Some(mut lifeline) = self.keeper.stdin.take() {
            let _ = lifeline.write_all(b"gone\n");
        }
        let _ = self.keeper.wait();
    }
}

/// Starts the process that removes the directory if this one is killed.
fn keep(path: &Path) -> Result<Child, PostgresError> {
    let mut command = Command::new(SHELL);
    command.args(["-c", KEEPER, "outbox-testkit-directory"]).arg(path);
    clean_environment(&mut command);
    // It is not in the terminal's process group, because Ctrl-C must not end it before this process.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(PostgresError::file("run", Path::new(SHELL)))
}

/// Returns the system's temporary directory, unless that is one which `account` may not pass through.
fn parent(account: Option<&Account>) -> Result<PathBuf, PostgresError> {
    let own = std::env::temp_dir();
    [own.as_path(), Path::new("/tmp"), Path::new("/var/tmp")]
        .iter()
        .filter_map(|directory| directory.canonicalize().ok())
        .find(|directory| is_reachable(directory, account))
        .ok_or_else(|| {
            PostgresError::new(Kind::Account(format!(
                "PostgreSQL's data would be in {}, which is missing or closed to the user that it runs as: let TMPDIR \
                 name another directory",
                own.display()
            )))
        })
}
