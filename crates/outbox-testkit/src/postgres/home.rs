use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::account::{Account, is_reachable};
use super::error::{Kind, PostgresError};
use super::random;

/// A temporary directory that goes with the value.
#[derive(Debug)]
pub(super) struct Home(PathBuf);

impl Home {
    /// Makes one that nobody but its owner, `account` or the current user, can look into.
    pub(super) fn create(account: Option<&Account>) -> Result<Self, PostgresError> {
        let home = Self::create_in(&parent(account)?)?;
        File::create_new(home.log()).map_err(PostgresError::file("create", &home.log()))?;
        if let Some(account) = account {
            account.own(&home.log())?;
            account.own(&home.0)?;
        }
        Ok(home)
    }

    /// Makes one for the current user in a certain place.
    pub(super) fn create_in(parent: &Path) -> Result<Self, PostgresError> {
        let path = parent.join(format!("outbox-testkit-{}", random::hex::<8>()?));
        DirBuilder::new().mode(0o700).create(&path).map_err(PostgresError::file("create", &path))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.0.join("server.log")
    }

    /// Writes a file that only its owner can read.
    pub(super) fn write_secret(
        &self,
        name: &str,
        secret: &str,
        account: Option<&Account>,
    ) -> Result<PathBuf, PostgresError> {
        let path = self.0.join(name);
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
        if let Err(error) = fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a temporary directory of PostgreSQL stays behind");
        }
    }
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
