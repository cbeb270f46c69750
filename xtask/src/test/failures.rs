//! The summary of the tests that failed. Only the end of a long output may be kept.

use std::fs;
use std::path::Path;

/// The most lines of a panic's message.
const LINES: usize = 12;
/// The most characters of a line. The middle of a longer one is left out.
const CHARACTERS: usize = 800;

/// A test that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The arguments that run its suite again.
    suite: String,
    /// The name of the test. A suite that ended early has no name for the test that ended it.
    test: Option<String>,
    /// The panic with its message, or the last lines that were printed.
    lines: Vec<String>,
}

/// Returns the tests that failed, by the file that cargo's output and that of the test programs was written to.
pub(super) fn of_file(path: &Path) -> Vec<Failure> {
    // The output of tests need not be UTF-8. Without a file, nothing ran.
    fs::read(path).map(|output| of(&String::from_utf8_lossy(&output))).unwrap_or_default()
}

/// Returns the summary of the failures, for each output with its name; `None` without failures.
pub(super) fn summary(outputs: &[(String, Vec<Failure>)]) -> Option<String> {
    if outputs.iter().all(|(_, failures)| failures.is_empty()) {
        return None;
    }
    let mut text = String::from("\nfailed tests:\n");
    for (place, failures) in outputs {
        for failure in failures {
            let test = failure.test.as_deref().unwrap_or("the program has ended before its tests");
            text.push_str(&format!("\n{}{place}: {test}\n", failure.suite));
            for line in &failure.lines {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    Some(text)
}

fn of(output: &str) -> Vec<Failure> {
    let lines: Vec<String> = output.lines().map(without_colors).collect();
    let mut failures = Vec::new();
    let mut begin = 0;

    for (at, line) in lines.iter().enumerate() {
        if is_heading(line) {
            begin = at;
        } else if let Some(suite) = failed_suite(line) {
            let (printed, rest) = lines.split_at(at);
            failures.extend(of_suite(suite, printed.get(begin..).unwrap_or_default(), cause(rest)));
            begin = at + 1;
        }
    }
    failures
}

/// Returns whether a suite begins here: cargo's line, and that of the second lane.
fn is_heading(line: &str) -> bool {
    line.starts_with("     Running ") || line.starts_with("   Doc-tests ")
}

/// Returns the arguments that run a suite again, by the line that follows the output of one that has failed.
fn failed_suite(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("error: ")?.split_once("failed, to rerun pass `")?;
    rest.strip_suffix('`')
}

/// Returns how a program ended that did not end its tests. Cargo says it below the line of the failed suite.
fn cause(lines: &[String]) -> Option<&String> {
    let mut next = lines.iter().skip(1).filter(|line| !line.is_empty());
    next.next().filter(|line| *line == "Caused by:").and_then(|_| next.next())
}

fn of_suite(suite: &str, lines: &[String], cause: Option<&String>) -> Vec<Failure> {
    let names = failed_tests(lines);
    if names.is_empty() {
        let printed: Vec<&String> = lines.iter().chain(cause).filter(|line| !line.trim().is_empty()).collect();
        let last = printed.iter().skip(printed.len().saturating_sub(LINES)).map(|line| shortened(line)).collect();
        return vec![Failure { suite: suite.to_owned(), test: None, lines: last }];
    }

    let of_test = |name: &String| Failure {
        suite: suite.to_owned(),
        test: Some(name.clone()),
        lines: message(name, section(name, lines)),
    };
    names.iter().map(of_test).collect()
}

/// Returns the names of the list that ends the output of a suite.
fn failed_tests(lines: &[String]) -> Vec<String> {
    let Some(begin) = lines.iter().rposition(|line| line == "failures:") else { return Vec::new() };
    let list = lines.iter().skip(begin + 1).take_while(|line| line.starts_with("    "));
    list.map(|line| line.trim().to_owned()).collect()
}

/// Returns the output of a test.
fn section<'a>(name: &str, lines: &'a [String]) -> &'a [String] {
    let heading = format!("---- {name} stdout ----");
    let Some(begin) = lines.iter().position(|line| *line == heading) else { return &[] };
    let rest = lines.get(begin + 1..).unwrap_or_default();
    let is_end = |line: &String| line == "failures:" || (line.starts_with("---- ") && line.ends_with(" stdout ----"));
    let end = rest.iter().position(is_end).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// Returns the panic that ended a test, with its message. A test that returned an error has no panic.
fn message(name: &str, output: &[String]) -> Vec<String> {
    let own = format!("thread '{name}'");
    let is_panic = |line: &&String| line.starts_with("thread '") && line.contains(" panicked at ");
    // Handlers may panic in the same thread before, on purpose.
    let panics = || output.iter().enumerate().filter(|(_, line)| is_panic(line));
    let last = panics().rfind(|(_, line)| line.starts_with(&own)).or_else(|| panics().next_back());
    let begin = last.map_or(0, |(at, _)| at);

    let lines = output.iter().skip(begin).take_while(|line| !is_end_of_message(line));
    lines.filter(|line| !line.trim().is_empty()).take(LINES).map(|line| shortened(line)).collect()
}

fn is_end_of_message(line: &str) -> bool {
    line == "stack backtrace:" || line.starts_with("note: run with `RUST_BACKTRACE")
}

/// Leaves out the middle of a long line.
fn shortened(line: &str) -> String {
    let length = line.chars().count();
    if length <= CHARACTERS {
        return line.to_owned();
    }
    let begin: String = line.chars().take(CHARACTERS / 2).collect();
    let end: String = line.chars().skip(length - CHARACTERS / 2).collect();
    format!("{begin} […] {end}")
}

/// Removes the sequences of colors, which begin with ESC and end with `m`, and that of the character set.
fn without_colors(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.strip_prefix("(B").or_else(|| part.split_once('m').map(|(_, rest)| rest));
        plain.push_str(rest.unwrap_or(part));
    }
    plain
}

#[cfg(test)]
mod tests;
