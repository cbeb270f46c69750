//! PostgreSQL, which the testkit finds or downloads.

use std::time::Duration;

use outbox_testkit::local::{self, Account, Programs};

use super::task::Task;
use crate::stack::error::StackError;
use crate::stack::options::StackOptions;
use crate::stack::postgres_version::PostgresVersion;

/// The interval at which a download checks for an interrupt.
const POLL: Duration = Duration::from_millis(50);

/// Returns PostgreSQL's programs: of the version that is asked for, which is downloaded, or else those that the testkit
/// finds on this machine, or downloaded ones if there are none.
pub(crate) fn find_or_get(
    task: &Task<'_>,
    options: &StackOptions,
    account: Option<&Account>,
) -> Result<Programs, StackError> {
    if options.postgres.is_none()
        && let Some(found) = Programs::find(account)?
    {
        return Ok(found);
    }
    download(task, options.postgres.unwrap_or_else(PostgresVersion::newest), account)
}

/// Returns the version of the PostgreSQL that stacks run by default, if it is installed and a known one.
pub fn installed_postgres() -> Option<PostgresVersion> {
    let account = Account::for_postgres().ok()?;
    let version = Programs::find(account.as_ref()).ok()??.version();
    PostgresVersion::all().find(|known| known.number() == version)
}

fn download(task: &Task<'_>, version: PostgresVersion, account: Option<&Account>) -> Result<Programs, StackError> {
    let cannot_run = |error| StackError::caused("cannot run the download of PostgreSQL", error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot_run)?;
    task.report(&format!("getting PostgreSQL {version}, unless it was downloaded before"));

    runtime.block_on(async {
        let mut download = Box::pin(local::download(version.number(), account));
        loop {
            match tokio::time::timeout(POLL, &mut download).await {
                Ok(programs) => return Ok(programs?),
                Err(_) => task.interrupt.check()?,
            }
        }
    })
}
