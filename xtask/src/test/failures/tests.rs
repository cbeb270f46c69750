use super::*;

const OUTPUT: &str = "     Running unittests src/lib.rs (target/debug/deps/a-1)

running 1 test
test passes ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/cli/main.rs (target/debug/deps/cli-2)

running 3 tests
test first ... FAILED
test second ... FAILED
test third ... ok

failures:

---- first stdout ----

thread 'first' (7) panicked at tests/cli/main.rs:3:9:
on purpose

thread 'first' (7) panicked at tests/cli/main.rs:20:9:
assertion `left == right` failed: two
  left: 1

 right: 0
stack backtrace:
   0: std::panicking
PostgreSQL's log says of test_1:
    FATAL

---- second stdout ----
Error: \"refused\"


failures:
    first
    second

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

error: test failed, to rerun pass `-p outbox-cli --test cli`
     Running tests/all.rs (target/debug/deps/all-3)

running 1 test
test third ... ok
error: test failed, to rerun pass `-p b --test all`

Caused by:
  process didn't exit successfully: `target/debug/deps/all-3` (signal: 9, SIGKILL: kill)
error: 2 targets failed:
    `-p outbox-cli --test cli`
    `-p b --test all`
";

fn failure(suite: &str, test: Option<&str>, lines: &[&str]) -> Failure {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    Failure { suite: suite.to_owned(), test: test.map(str::to_owned), lines }
}

fn expected() -> Vec<Failure> {
    let cli = "-p outbox-cli --test cli";
    let panic = [
        "thread 'first' (7) panicked at tests/cli/main.rs:20:9:",
        "assertion `left == right` failed: two",
        "  left: 1",
        " right: 0",
    ];
    let printed = [
        "     Running tests/all.rs (target/debug/deps/all-3)",
        "running 1 test",
        "test third ... ok",
        "  process didn't exit successfully: `target/debug/deps/all-3` (signal: 9, SIGKILL: kill)",
    ];
    vec![
        failure(cli, Some("first"), &panic),
        failure(cli, Some("second"), &["Error: \"refused\""]),
        failure("-p b --test all", None, &printed),
    ]
}

#[test]
fn failed_tests_are_found_with_the_panic_that_ended_them() {
    assert_eq!(of(OUTPUT), expected());
}

#[test]
fn the_output_of_a_terminal_has_colors() {
    let green = OUTPUT.replace("     Running", "\u{1b}[1m\u{1b}[92m     Running\u{1b}[0m");
    let colored = green
        .replace("error:", "\u{1b}[1m\u{1b}[91merror\u{1b}[0m:")
        .replace("FAILED", "\u{1b}[31mFAILED\u{1b}(B\u{1b}[m");
    assert_eq!(of(&colored), expected());
}

#[test]
fn an_output_without_failures_has_no_summary() {
    let (passed, _) = OUTPUT.split_once("     Running tests/cli").unwrap();
    assert_eq!(of(passed), []);
    assert_eq!(summary(&[(String::new(), Vec::new()), (", PostgreSQL 18".to_owned(), Vec::new())]), None);
}

#[test]
fn the_summary_names_suite_server_test_and_panic() {
    let of_second = (", PostgreSQL 18".to_owned(), vec![failure("-p a --test b", Some("c"), &["panicked", "why"])]);
    let text = summary(&[(String::new(), Vec::new()), of_second]).unwrap();
    assert_eq!(text, "\nfailed tests:\n\n-p a --test b, PostgreSQL 18: c\n    panicked\n    why\n");
}

#[test]
fn a_long_line_keeps_its_begin_and_its_end() {
    let line = format!("begin {} end", "ä".repeat(2_000));
    let short = shortened(&line);
    assert!(short.starts_with("begin ä") && short.ends_with("ä end") && short.chars().count() < CHARACTERS + 10);
}
