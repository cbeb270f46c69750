use std::path::{Path, PathBuf};

use super::debian::Debian;
use super::{Task, is_program, on_path};
use crate::stack::error::StackError;
use crate::stack::options::StackOptions;

/// The path on Debian, which is not in everybody's `PATH`.
const INSTALLED: &str = "/usr/sbin/pgbouncer";

/// Returns PgBouncer's program, where it is installed.
pub(crate) fn pgbouncer() -> Option<PathBuf> {
    on_path("pgbouncer").or_else(|| Some(Path::new(INSTALLED)).filter(|path| is_program(path)).map(Path::to_owned))
}

/// Installs PgBouncer, which no stack has but a test starts, where we may; elsewhere that test says what is missing.
pub fn install_pgbouncer(options: &StackOptions) -> Result<(), StackError> {
    match Debian::detect() {
        Some(debian) if pgbouncer().is_none() => debian.install(&Task::of(options), &["pgbouncer"]),
        _ => Ok(()),
    }
}
