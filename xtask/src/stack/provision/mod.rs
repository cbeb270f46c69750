//! Finds the servers' programs on this machine, or gets them.

mod chromium;
mod debian;
mod java;
mod maven;
mod pgbouncer;
mod postgres;
mod prometheus;
mod task;

use std::path::{Path, PathBuf};

pub use self::chromium::{chromium, install_chromium};
use self::debian::Debian;
pub(crate) use self::maven::once;
pub use self::pgbouncer::install_pgbouncer;
pub(crate) use self::pgbouncer::pgbouncer;
pub use self::postgres::installed_postgres;
pub(crate) use self::postgres::major_version;
pub use self::prometheus::install_prometheus;
pub(crate) use self::task::Task;
use super::account::Account;
use super::error::StackError;
use super::options::StackOptions;
use super::paths;
use super::state::lock_file;

/// The programs of all servers.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The directory of `initdb`, `postgres` and, if there is one, `psql`.
    pub(crate) postgres: PathBuf,
    pub(crate) java: PathBuf,
    /// The directory of Kafka's and Kafka Connect's jars.
    pub(crate) kafka: PathBuf,
    /// The directory that has a directory for each of Kafka Connect's plugins.
    pub(crate) plugins: PathBuf,
}

impl Programs {
    pub(crate) fn provide(options: &StackOptions, account: Option<&Account>) -> Result<Self, StackError> {
        let dist = options.paths.dist();
        paths::create(&dist)?;
        let _lock = lock_file(&dist.join("lock"), &options.interrupt, || {
            (options.report)("waiting for another process that is downloading");
        })?;
        let task = Task::of(options);
        let debian = Debian::detect();
        let java = java::find_or_install(&task, debian.as_ref())?;
        Ok(Self {
            postgres: postgres::find_or_get(&task, debian.as_ref(), options, account, &java)?,
            kafka: maven::kafka(&task, debian.as_ref(), &dist, &java)?,
            plugins: maven::debezium(&task, debian.as_ref(), &dist, &java)?,
            java: java.program,
        })
    }
}

/// Returns a program of the directories in `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|program| is_program(program))
}

pub(crate) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
