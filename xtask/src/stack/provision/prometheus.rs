use super::debian::Debian;
use super::{Task, on_path};
use crate::stack::error::StackError;
use crate::stack::options::StackOptions;

/// Installs Prometheus and promtool, which the tests of deploy/ run, on Debian and its relatives as root. Elsewhere
/// those tests name what is missing.
pub fn install_prometheus(options: &StackOptions) -> Result<(), StackError> {
    match Debian::detect() {
        Some(debian) if on_path("promtool").is_none() => debian.install(&Task::of(options), &["prometheus"]),
        _ => Ok(()),
    }
}
