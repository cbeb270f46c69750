use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use outbox_testkit::local::Account;

use super::error::StackError;
use super::process::ProcessIdentity;
use super::service::Service;

/// The places of a stack's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    name: String,
    /// The directory of all stacks. It is not in `target`, so that `cargo clean` cannot remove the state of servers
    /// that run: nothing would stop them any more.
    base: PathBuf,
}

impl Paths {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), base: workspace().join(".stack") }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.base.join(&self.name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root().join("state.json")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.root().join("logs")
    }

    pub(crate) fn log(&self, service: Service) -> PathBuf {
        self.logs().join(format!("{}.log", service.key()))
    }

    /// Returns the directory of one server's configuration and data.
    pub(crate) fn home(&self, service: Service) -> PathBuf {
        self.root().join(service.key())
    }

    /// Returns the directory of downloads, which all stacks of the workspace share.
    pub(crate) fn dist(&self) -> PathBuf {
        self.base.join("dist")
    }

    /// Creates `directory` so that `account` can reach and write it; if something above it is
    /// closed to that user, a directory in the system's temporary one takes its place.
    pub(crate) fn reachable(&self, directory: &Path, account: Option<&Account>) -> Result<PathBuf, StackError> {
        create(directory)?;
        let Some(account) = account else {
            return Ok(directory.to_path_buf());
        };
        account.own(directory)?;
        if account.can_reach(directory) {
            return Ok(directory.to_path_buf());
        }

        let substitute = self.substitute_for(directory);
        let base = self.temporary();
        create(&base)?;
        refuse_a_strangers(&base)?;
        create(&substitute)?;
        for opened in substitute.ancestors().take_while(|path| *path != base) {
            open_to_all(opened)?;
        }

        open_to_all(&base)?;
        account.own(&substitute)?;
        if account.can_reach(&substitute) {
            return Ok(substitute);
        }

        Err(StackError::new(format!(
            "PostgreSQL refuses to run as root, and the user `{}` can reach neither {} nor {}; \
             let it pass through the directories above (chmod o+x) or run this as an ordinary user",
            account.name(),
            directory.display(),
            substitute.display()
        )))
    }

    /// Removes the stack's data, configuration and logs; what was downloaded stays.
    pub(crate) fn purge(&self) -> Result<(), StackError> {
        let mut directories = vec![self.logs()];
        for service in Service::ALL {
            let home = self.home(service);
            directories.push(self.substitute_for(&home));
            directories.push(home);
        }

        for directory in directories {
            match fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StackError::caused(format!("cannot remove {}", directory.display()), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn substitute_for(&self, directory: &Path) -> PathBuf {
        let inside = directory.strip_prefix(&self.base).unwrap_or(directory);
        self.temporary().join(inside)
    }

    /// Returns a directory in the system's temporary directory, by a name of the workspace's own.
    fn temporary(&self) -> PathBuf {
        // FNV-1a: the name must be the same in every run and with every compiler.
        let hash = self.base.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        std::env::temp_dir().join(format!("outbox-{hash:016x}"))
    }
}

/// A directory of one test, which is removed with this value.
#[derive(Debug)]
pub(crate) struct OwnDirectory(PathBuf);

impl OwnDirectory {
    /// Creates a directory for a server of this name in the system's temporary one.
    ///
    /// Removes those that killed processes have left.
    pub(crate) fn create(server: &str) -> Result<Self, StackError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let (parent, prefix) = (std::env::temp_dir(), format!("outbox-{server}-"));
        for found in fs::read_dir(&parent).into_iter().flatten().flatten() {
            if creator(&found.file_name(), &prefix).is_some_and(|pid| ProcessIdentity::of(pid).is_none()) {
                // Another process may be removing it, too.
                let _ = fs::remove_dir_all(found.path());
            }
        }
        let path = parent.join(format!("{prefix}{}-{number}", std::process::id()));
        create(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns the process id in the name of an [`OwnDirectory`].
fn creator(name: &OsStr, prefix: &str) -> Option<u32> {
    let (pid, number) = name.to_str()?.strip_prefix(prefix)?.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

/// Returns the directory of the workspace's `Cargo.toml`.
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

pub(crate) fn create(directory: &Path) -> Result<(), StackError> {
    fs::create_dir_all(directory).map_err(StackError::file("create", directory))
}

pub(crate) fn write(path: &Path, content: &str) -> Result<(), StackError> {
    fs::write(path, content).map_err(StackError::file("write", path))
}

fn open_to_all(directory: &Path) -> Result<(), StackError> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
        .map_err(StackError::file("change the mode of", directory))
}

/// Rejects a directory of another user. In a directory that all may write to, someone else may have been there first.
fn refuse_a_strangers(directory: &Path) -> Result<(), StackError> {
    let found = fs::symlink_metadata(directory).map_err(StackError::file("look at", directory))?;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(StackError::new(format!("{} belongs to another user; remove it", directory.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_goes_with_its_value_and_what_a_dead_process_left_with_the_next() {
        // No process has this id: it is above what systems allow.
        let left = std::env::temp_dir().join("outbox-paths-test-4294967295-0");
        create(&left).unwrap();
        let own = OwnDirectory::create("paths-test").unwrap();
        let other = OwnDirectory::create("paths-test").unwrap();
        assert!(own.path().is_dir() && other.path().is_dir() && !left.exists());
        let path = own.path().to_path_buf();
        drop(own);
        assert!(!path.exists());
        assert_eq!(creator(OsStr::new("outbox-kafka-12-3"), "outbox-kafka-"), Some(12));
        assert_eq!(creator(OsStr::new("outbox-kafka-extra-12-3"), "outbox-kafka-"), None);
        assert_eq!(creator(OsStr::new("outbox-kafka-12"), "outbox-kafka-"), None);
    }

    #[test]
    fn the_test_stack_has_its_own_data_but_shares_the_downloads() {
        let development = Paths::new("development");
        let test = Paths::new("test");
        assert_ne!(development.root(), test.root());
        assert_ne!(development.substitute_for(&development.root()), test.substitute_for(&test.root()));
        assert_eq!(development.dist(), test.dist());
        assert!(!development.root().starts_with(workspace().join("target")));
        assert!(workspace().join("Cargo.toml").is_file());
    }
}
