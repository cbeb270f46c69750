use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

const LINES: usize = 20;
const BYTES: u64 = 16 * 1024;

/// Returns the length of a log; 0 if there is none.
pub(super) fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

/// Returns the last lines of what a log got after `start`; for messages, so that a log that cannot be read is an empty
/// one.
pub(super) fn tail(path: &Path, start: u64) -> String {
    let start = start.max(length(path).saturating_sub(BYTES));
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => last_lines(&String::from_utf8_lossy(&bytes)),
        Err(_) => String::new(),
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let text = (1..=30).map(|n| format!("line {n}\n")).collect::<String>();
        let end = last_lines(&text);
        assert!(end.starts_with("line 11\n") && end.ends_with("\nline 30"), "{end}");
        assert_eq!(last_lines("one"), "one");
    }
}
