use std::path::{Path, PathBuf};

use super::search::{is_program, on_path};

/// The path on Debian, which is not in every user's `PATH`.
const INSTALLED: &str = "/usr/sbin/pgbouncer";

/// Returns PgBouncer's program, if it is installed.
pub(crate) fn pgbouncer() -> Option<PathBuf> {
    on_path("pgbouncer").or_else(|| Some(Path::new(INSTALLED)).filter(|path| is_program(path)).map(Path::to_owned))
}
