use std::path::{Path, PathBuf};

use super::search::{is_program, on_path};
use crate::stack::error::StackError;

/// The names of the program, by distribution.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome"];
/// Its path on macOS, which is not in `PATH`.
const MACOS: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

/// Returns the program of Chromium, or of a browser that is built of it.
///
/// # Errors
/// None is installed. The error says how to install one.
pub fn chromium() -> Result<PathBuf, StackError> {
    let found = || NAMES.iter().find_map(|name| on_path(name));
    found().or_else(|| Some(Path::new(MACOS)).filter(|path| is_program(path)).map(Path::to_owned)).ok_or_else(|| {
        StackError::new(
            "no Chromium in PATH: `apt-get install chromium fonts-liberation`, `brew install google-chrome`",
        )
    })
}
