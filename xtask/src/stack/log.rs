use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;

/// Returns how long the file is now: where the lines of the next run begin.
pub(crate) fn end(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |log| log.len())
}

/// Returns the last lines of a log that were written after `from`, each indented.
pub fn tail(log: &Path, from: u64, lines: usize) -> String {
    last_lines(log, from, lines, |_| true)
}

/// Returns the last lines of a log that have a word, each indented; of the last 16 MiB of the log.
pub fn tail_with(log: &Path, word: &str, lines: usize) -> String {
    const SEARCHED: u64 = 16 << 20;
    last_lines(log, end(log).saturating_sub(SEARCHED), lines, |line| line.contains(word))
}

fn last_lines(log: &Path, from: u64, lines: usize, is_wanted: impl Fn(&str) -> bool) -> String {
    let mut last = VecDeque::new();
    if let Ok(mut file) = File::open(log)
        && file.seek(SeekFrom::Start(from)).is_ok()
    {
        for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if !is_wanted(&line) {
                continue;
            }
            if last.len() == lines {
                last.pop_front();
            }
            last.push_back(format!("    {line}"));
        }
    }

    last.into_iter().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_the_last_run_are_shown() {
        let log = std::env::temp_dir().join(format!("outbox-log-{}", std::process::id()));
        fs::write(&log, "before\n").unwrap();
        let from = end(&log);
        fs::write(&log, "before\none\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&log, from, 2), "    two\n    three");
        assert_eq!(tail(&log, from, 9), "    one\n    two\n    three");
        assert_eq!(tail_with(&log, "e", 2), "    one\n    three");
        fs::remove_file(&log).unwrap();
    }
}
