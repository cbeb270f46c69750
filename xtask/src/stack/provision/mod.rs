//! Finds or downloads the servers' programs.

mod chromium;
mod debian;
mod java;
mod maven;
mod pgbouncer;
mod postgres;
mod preflight;
mod search;
mod task;

use std::path::PathBuf;

use outbox_testkit::local::{Account, Programs as PostgresPrograms};

pub use self::chromium::chromium;
pub(crate) use self::maven::once;
pub(crate) use self::pgbouncer::pgbouncer;
pub use self::postgres::installed_postgres;
pub use self::preflight::prepare_for_tests;
pub(crate) use self::task::Task;
use super::error::StackError;
use super::options::StackOptions;
use super::paths;
use super::state::lock_file;

/// The programs of all servers.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) postgres: PostgresPrograms,
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
        preflight::provide(options)?;

        let task = Task::of(options);
        let java = java::find().ok_or_else(|| StackError::new("Java was removed while it was looked for"))?;
        Ok(Self {
            postgres: postgres::find_or_get(&task, options, account)?,
            kafka: maven::kafka(&task, &dist, &java)?,
            plugins: maven::debezium(&task, &dist, &java)?,
            java: java.program,
        })
    }
}

/// Returns the jar of the JMX exporter for Prometheus, which is downloaded once.
///
/// # Errors
/// There is no Java, no Maven or no network.
pub fn jmx_exporter() -> Result<PathBuf, StackError> {
    let options = StackOptions::development();
    let dist = options.paths.dist();
    paths::create(&dist)?;
    paths::create(&options.paths.logs())?;
    let _lock = lock_file(&dist.join("lock"), &options.interrupt, || {})?;
    let java = java::find().ok_or_else(|| StackError::new("there is no Java 17 or newer"))?;
    maven::jmx_exporter(&Task::of(&options), &dist, &java)
}
