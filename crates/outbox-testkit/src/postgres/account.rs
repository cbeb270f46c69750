use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::error::{Kind, PostgresError};

/// The user that PostgreSQL runs as if this process is root, as which it refuses to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    /// Returns the account of another user, `None` if the current user will do.
    ///
    /// # Errors
    /// There is no other user.
    pub fn for_postgres() -> Result<Option<Self>, PostgresError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let path = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(path).map_err(PostgresError::file("read", path))?;
        ["postgres", "nobody"].iter().find_map(|name| Self::find(&passwd, name)).map(Some).ok_or_else(|| {
            PostgresError::new(Kind::Account(
                "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as: \
                 create one or run this as an ordinary user"
                    .to_owned(),
            ))
        })
    }

    /// Returns the name of the user.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes a command run as the user.
    pub fn run(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file or directory to the user.
    ///
    /// # Errors
    /// This process may not do that, or there is no such file.
    pub fn own(&self, path: &Path) -> Result<(), PostgresError> {
        chown(path, Some(self.uid), Some(self.gid)).map_err(PostgresError::file("change the owner of", path))
    }

    /// Returns whether the user may traverse every directory above `path`, and `path` itself.
    #[must_use]
    pub fn can_reach(&self, path: &Path) -> bool {
        path.ancestors().filter_map(|directory| fs::metadata(directory).ok()).all(|directory| {
            let needed = if directory.uid() == self.uid {
                0o100
            } else if directory.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            directory.mode() & needed != 0
        })
    }

    fn find(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            let mut numbers = fields.skip(1).map(str::parse::<u32>);
            Some(Self { name: name.to_owned(), uid: numbers.next()?.ok()?, gid: numbers.next()?.ok()? })
        })
    }
}

/// Returns whether PostgreSQL, run as `account` or as the current user, may pass through `path`.
pub(super) fn is_reachable(path: &Path, account: Option<&Account>) -> bool {
    account.is_none_or(|account| account.can_reach(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n\
                      postgres2:x:7:8::/:/bin/sh\n\
                      postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        let found = Account::find(passwd, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (101, 104));
        assert_eq!(Account::find(passwd, "nobody"), None);
    }
}
