//! The directory that an image is built from: a Dockerfile and the program.

use std::fs;
use std::path::Path;

use crate::outcome::Result;

/// An image without a libc, for static programs.
const STATIC_BASE: &str = "gcr.io/distroless/static-debian12:nonroot";
/// An image with glibc.
const GLIBC_BASE: &str = "gcr.io/distroless/cc-debian12:nonroot";

/// Writes the directory: `docker build DIRECTORY` makes the image, without a compiler.
pub(crate) fn write(directory: &Path, name: &str, target: &str, executable: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    fs::copy(executable, directory.join(name))?;
    Ok(fs::write(directory.join("Dockerfile"), dockerfile(name, target))?)
}

fn dockerfile(name: &str, target: &str) -> String {
    let base = if target.ends_with("musl") { STATIC_BASE } else { GLIBC_BASE };
    format!("FROM {base}\nCOPY {name} /usr/local/bin/{name}\nUSER 65532:65532\nCMD [\"{name}\"]\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_program_needs_no_libc() {
        assert!(dockerfile("outbox", "x86_64-unknown-linux-musl").starts_with("FROM gcr.io/distroless/static-"));
        assert!(dockerfile("outbox", "x86_64-unknown-linux-gnu").starts_with("FROM gcr.io/distroless/cc-"));
    }
}
