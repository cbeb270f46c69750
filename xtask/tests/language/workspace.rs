//! The files of the workspace.

use std::path::{Path, PathBuf};

/// A file, with its path from the workspace's root.
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl SourceFile {
    /// Returns whether this is the file of that path.
    pub(crate) fn is(&self, path: &str) -> bool {
        self.path == Path::new(path)
    }

    /// Returns whether the file is part of a program or library, and not of its tests.
    pub(crate) fn is_source(&self) -> bool {
        let mut parts = self.path.iter();
        let is_test = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs" || part == "simulation";
        parts.clone().any(|part| part == "src") && !parts.any(is_test)
    }

    /// Returns whether lines are wrapped: programs write the pages in tests, and git merges the changelog line by line.
    pub(crate) fn is_wrapped(&self) -> bool {
        !self.path.iter().any(|part| part == "tests") && !self.is("CHANGELOG.md")
    }

    /// Formats a fault as editors link it: path, line, message.
    pub(crate) fn fault(&self, line: usize, message: &str) -> String {
        format!("{}:{line}: {message}", self.path.display())
    }
}

/// Returns the workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Reads all files with this extension, sorted by path.
pub(crate) fn files(extension: &str) -> Vec<SourceFile> {
    let (root, mut found) = (root(), Vec::new());
    collect(&root, extension, &mut found);
    found.sort();
    assert!(!found.is_empty(), "no .{extension} files in {}", root.display());

    let file = |path: PathBuf| SourceFile {
        text: std::fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(&root).unwrap().to_owned(),
    };
    found.into_iter().map(file).collect()
}

/// Finds the files below a directory; leaves out builds, hidden directories and links.
fn collect(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
}
