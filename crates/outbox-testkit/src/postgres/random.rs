use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::error::PostgresError;

const SOURCE: &str = "/dev/urandom";

/// Returns `N` random bytes in lower-case hexadecimal digits.
pub(super) fn hex<const N: usize>() -> Result<String, PostgresError> {
    let mut bytes = [0_u8; N];
    File::open(SOURCE)
        .and_then(|mut source| source.read_exact(&mut bytes))
        .map_err(PostgresError::file("read", Path::new(SOURCE)))?;
    Ok(bytes.iter().fold(String::with_capacity(2 * N), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    }))
}
