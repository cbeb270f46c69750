//! The error of a measurement, and the report of its progress.

use std::error::Error;

/// Any reason why there is no figure.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Reports the progress of a run.
pub(crate) fn report(line: &str) {
    eprintln!("bench: {line}");
}
