//! The search for PostgreSQL's programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
#[cfg(feature = "download")]
use super::download;
use super::error::{DIRECTORY, Kind, PostgresError};
use super::programs::Programs;

/// Directories that packages and installers use; `*` is any version.
const USUAL: [&str; 8] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Library/PostgreSQL/*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// Finds the programs that the environment names, else installed ones, else downloaded ones.
pub(super) async fn find(downloaded: bool, account: Option<&Account>) -> Result<Programs, PostgresError> {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return Programs::named(Path::new(&directory), account);
    }
    if !downloaded {
        let account = account.cloned();
        let installed = tokio::task::spawn_blocking(move || installed(account.as_ref()))
            .await
            .map_err(|error| PostgresError::caused(Kind::Runtime, error))?;
        if let Some(found) = installed {
            return Ok(found);
        }
    }
    #[cfg(feature = "download")]
    return download::get(account).await;
    #[cfg(not(feature = "download"))]
    return Err(PostgresError::new(Kind::NotInstalled));
}

/// Returns the installed programs: those in `PATH` are the user's choice, then those that `pg_config` reports, then
/// the newest in the usual places.
fn installed(account: Option<&Account>) -> Option<Programs> {
    let usable = |directory: PathBuf| Programs::at(&directory, account).ok();
    let chosen = in_path("postgres").and_then(|program| usable(program.parent()?.to_path_buf()));
    chosen.or_else(|| reported_by_pg_config().and_then(usable)).or_else(|| {
        USUAL.iter().flat_map(|pattern| expand(pattern)).filter_map(usable).max_by_key(|programs| programs.version)
    })
}

fn reported_by_pg_config() -> Option<PathBuf> {
    let output = Command::new(in_path("pg_config")?).arg("--bindir").output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(directory.trim()))
}

fn in_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// Returns the existing directories that a pattern with at most one `*` stands for.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let Some((parent, prefix)) = before.rsplit_once('/') else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(Path::new(parent)) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::home::Home;
    use super::*;

    #[test]
    fn a_pattern_stands_for_what_exists() {
        let root = Home::create_in(&std::env::temp_dir()).unwrap();
        fs::create_dir(root.path().join("pg-15")).unwrap();
        fs::create_dir(root.path().join("other")).unwrap();
        let pattern = format!("{}/pg-*/bin", root.path().display());
        assert_eq!(expand(&pattern), [root.path().join("pg-15/bin")]);
    }
}
