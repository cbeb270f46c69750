//! The result of a task, and its progress output.

use std::error::Error;
use std::process::ExitCode;

/// A result whose error is shown to the user, with its causes.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The end of a task.
pub(crate) type Outcome = Result<ExitCode>;

/// Reports the progress of a task.
pub(crate) fn report(line: &str) {
    eprintln!("xtask: {line}");
}
