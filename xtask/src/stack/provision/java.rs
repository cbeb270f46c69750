use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::search::{is_program, on_path};

const OLDEST: u32 = 17;

/// A Java that Kafka can run on.
#[derive(Debug)]
pub(crate) struct Java {
    pub(crate) program: PathBuf,
    /// Its installation, if it is not simply the one in `PATH`.
    pub(crate) home: Option<PathBuf>,
}

/// Returns a Java that is new enough.
pub(super) fn find() -> Option<Java> {
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
