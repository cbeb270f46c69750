//! Files of deploy/, and the programs of the workspace.

use std::path::{Path, PathBuf};

use serde_json::Value;
use xtask::stack::workspace;

/// Returns the path of a file of deploy/.
pub(crate) fn path(file: &str) -> PathBuf {
    workspace().join("deploy").join(file)
}

pub(crate) fn text(file: &str) -> String {
    let path = path(file);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub(crate) fn yaml(file: &str) -> Value {
    parse(file, &text(file))
}

pub(crate) fn parse(name: &str, text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Returns the path of a program of the workspace.
pub(crate) fn program(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_order-service")).with_file_name(name);
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build --all-features -p outbox-cli -p outbox-relay`",
        program.display()
    );
    program
}
