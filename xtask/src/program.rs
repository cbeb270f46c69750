//! Programs of the workspace that the tasks run.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use xtask::stack::workspace;

use crate::outcome::report;

/// Builds the program of a package, with these arguments to cargo, and reports where it is.
pub(crate) fn build(package: &str, arguments: &[&str]) -> Result<PathBuf, Box<dyn Error + Send + Sync>> {
    report(&format!("building {package}"));
    let output = Command::new(cargo())
        .args(["build", "--package", package])
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("{package} does not build").into());
    }

    executables(&String::from_utf8_lossy(&output.stdout), package)
        .next()
        .ok_or_else(|| format!("cargo did not report where the program of {package} is").into())
}

/// Returns where the programs of a name are, by cargo's messages.
pub(crate) fn executables(messages: &str, name: &str) -> impl Iterator<Item = PathBuf> {
    messages.lines().filter_map(move |line| program(name, line))
}

/// Returns the cargo that runs this program.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"))
}

/// Returns where a program is if a line of cargo's messages says it.
fn program(name: &str, message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_ours = message.pointer("/target/name")?.as_str()? == name;
    let program = message.get("executable")?.as_str()?;
    is_ours.then(|| PathBuf::from(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_read_from_cargos_messages() {
        let ours = r#"{"reason":"compiler-artifact","target":{"name":"order-service"},
                       "executable":"/t/order-service"}"#;
        assert_eq!(program("order-service", ours), Some(PathBuf::from("/t/order-service")));
        assert_eq!(program("outbox-relay", ours), None);
        let library = r#"{"target":{"name":"serde"},"executable":null}"#;
        assert_eq!(program("serde", library), None);
        assert_eq!(program("serde", "{\"reason\":\"build-finished\"}"), None);
    }
}
