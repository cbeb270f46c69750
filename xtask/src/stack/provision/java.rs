use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::debian::Debian;
use super::task::Task;
use super::{is_program, on_path};
use crate::stack::error::StackError;

const OLDEST: u32 = 17;

/// A Java that Kafka can run on.
#[derive(Debug)]
pub(crate) struct Java {
    pub(crate) program: PathBuf,
    /// Its installation, if it is not simply the one in `PATH`.
    pub(crate) home: Option<PathBuf>,
}

pub(crate) fn find_or_install(task: &Task<'_>, debian: Option<&Debian>) -> Result<Java, StackError> {
    if let Some(java) = find() {
        return Ok(java);
    }
    let Some(debian) = debian else {
        return Err(missing());
    };
    debian.install(task, &["default-jre-headless"])?;
    find().ok_or_else(missing)
}

fn find() -> Option<Java> {
    let from_path = on_path("java").map(|program| Java { program, home: None });
    let from_variable = std::env::var_os("JAVA_HOME").map(PathBuf::from);
    let installed = fs::read_dir("/usr/lib/jvm").ok();
    let from_homes = from_variable
        .into_iter()
        .chain(installed.into_iter().flatten().flatten().map(|e| e.path()))
        .map(|home| Java { program: home.join("bin/java"), home: Some(home) });
    from_path
        .into_iter()
        .chain(from_homes)
        .filter(|java| is_program(&java.program))
        .find(|java| version(&java.program).is_some_and(|version| version >= OLDEST))
}

fn version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").output().ok()?;
    major(&String::from_utf8_lossy(&output.stderr))
}

fn major(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("version \"")?;
    let digits = version.find(|c: char| !c.is_ascii_digit())?;
    version.get(..digits)?.parse().ok()
}

fn missing() -> StackError {
    StackError::new(format!(
        "no Java of version {OLDEST} or newer in PATH, JAVA_HOME or /usr/lib/jvm, which Kafka \
         needs; install one (Debian: `apt-get install default-jre-headless`, macOS: \
         `brew install openjdk`)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_java_prints() {
        assert_eq!(major("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(major("openjdk version \"25\" 2025-09-16"), Some(25));
        assert_eq!(major("java version \"1.8.0_402\""), Some(1));
        assert_eq!(major("no such thing"), None);
    }
}
