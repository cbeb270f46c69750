//! Configurations of connectors as they are in use: which of them the relay accepts, and what it reports of each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The reports that are expected, as a table. `UPDATE_EXPECTED=1` writes it.
const EXPECTED: &str = "tests/configs/expected.md";

const HEAD: &str = "# What the relay reports of each file

`files/` has configurations of connectors as they are in use, and `worker.properties` the converters of the Connect worker.
A file without an entry under \"rejected\" is accepted. `UPDATE_EXPECTED=1 cargo test -p outbox-relay --test configs` writes
this table.

| file | rejected | warnings |
|---|---|---|
";

fn in_crate(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(in_crate("tests/configs/files")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs `outbox-relay check` as where a relay runs: its variables do not concern a check.
fn program(arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_outbox-relay"));
    program.arg("check").args(arguments).env("KAFKA_BROKERS", "b:9092").env("HOME", "/nonexistent").output().unwrap()
}

fn report(arguments: &[&str]) -> Value {
    serde_json::from_slice(&program(arguments).stdout).unwrap()
}

fn check(file: &Path) -> Value {
    let worker = in_crate("tests/configs/worker.properties");
    report(&[file.to_str().unwrap(), "--worker-config", worker.to_str().unwrap(), "--output", "json"])
}

/// Returns a cell with a line for each finding.
fn listed(findings: &Value) -> String {
    let line = |finding: &Value| {
        let part =
            |name: &str, before: &str| finding[name].as_str().map(|part| format!("{before}{part}")).unwrap_or_default();
        [part("key", ""), part("value", "="), part("reason", ": "), part("remedy", ": ")].concat().replace('|', "\\|")
    };
    findings.as_array().unwrap().iter().map(line).collect::<Vec<_>>().join("<br>")
}

#[test]
fn what_is_reported_of_each_file_is_as_expected() {
    let mut table = HEAD.to_owned();
    for file in files() {
        let (name, check) = (file.file_stem().unwrap().to_str().unwrap(), check(&file));
        writeln!(table, "| {name} | {} | {} |", listed(&check["rejected"]), listed(&check["warnings"])).unwrap();
    }

    let path = in_crate(EXPECTED);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (found, expected) in table.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "UPDATE_EXPECTED=1 writes {EXPECTED}");
    }
    assert_eq!(table.lines().count(), expected.lines().count());
}

#[test]
fn an_accepted_configuration_is_outlined() {
    for file in files() {
        let check = check(&file);
        let outline = check["outline"].as_object().unwrap();
        assert_eq!(check["accepted"], !outline.is_empty(), "{}", file.display());
        assert!(outline.values().all(|what| !what.as_str().unwrap().is_empty()), "{}: {outline:?}", file.display());
    }
}

fn file(name: &str) -> String {
    in_crate(&format!("tests/configs/{name}")).to_str().unwrap().to_owned()
}

#[test]
fn the_command_s_exit_code_says_whether_a_file_is_accepted() {
    let (accepted, rejected) = (
        file("files/19-near-recommended-expanded.json"),
        file("files/43-cloudevents-converter-misplaced-options.json"),
    );

    let (no_json, missing) = (file("expected.md"), file("missing.yaml"));
    let no_connector = file("worker.properties");
    for (arguments, code) in [
        (vec![&*accepted], 0),
        (vec![&*accepted, "--strict"], 0),
        (vec![&*rejected], 1),
        (vec![&*no_connector], 1),
        (vec![&*no_json], 2),
        (vec![&*missing], 2),
        (vec![], 2),
    ] {
        assert_eq!(program(&arguments).status.code(), Some(code), "{arguments:?}");
    }

    let text = String::from_utf8(program(&[&accepted]).stdout).unwrap();
    assert!(text.starts_with("accepted\n") && text.contains("ledger.events.${routedByValue}"), "{text}");
}

#[test]
fn the_command_reports_as_json_and_completes_by_the_worker() {
    let without_converters = file("files/33-rust-service-outbox-log.json");
    let alone = report(&[&without_converters, "--output", "json"]);
    let keys: Vec<_> = alone["rejected"].as_array().unwrap().iter().map(|finding| &finding["key"]).collect();
    assert_eq!(keys, ["key.converter", "value.converter"]);
    let worker = file("worker.properties");
    let completed = report(&[&without_converters, "--worker-config", &worker, "--output", "json"]);
    assert_eq!(completed["accepted"], true, "{completed:#}");
    assert_eq!(completed["outline"]["value"], "payload, JsonConverter with schemas");
}

#[test]
fn a_connector_is_reported_alike_in_each_form_of_file() {
    let [json, properties, yaml] = ["json", "properties", "yaml"].map(|form| {
        let report = report(&[&file(&format!("forms/shop.{form}")), "--output", "json"]);
        let rejected: Vec<_> = report["rejected"].as_array().unwrap().iter().map(|finding| &finding["key"]).collect();
        assert_eq!(rejected, ["value.converter"], "{form}: {report:#}");
        report
    });
    assert_eq!((&json, &json), (&properties, &yaml));
}

/// Returns the report of a file with this content.
fn report_of(name: &str, content: &str) -> (Output, String) {
    let path = std::env::temp_dir().join(format!("outbox-{}-{name}.json", std::process::id()));
    std::fs::write(&path, content).unwrap();
    let output = program(&[path.to_str().unwrap()]);
    std::fs::remove_file(path).unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8(text).unwrap())
}

#[test]
fn files_that_are_not_whole_are_reported_in_full() {
    let accepted = std::fs::read_to_string(file("files/91-a-list-as-the-payload.json")).unwrap();
    let (output, report) = report_of("bom", &format!("\u{feff}{accepted}"));
    assert_eq!(output.status.code(), Some(0), "{report}");

    let (output, report) = report_of("nested", r#"{"name": "n", "config": {"transforms": ["outbox"]}}"#);
    assert!(output.status.code() == Some(2) && report.contains("the value of transforms is neither"), "{report}");

    // Neither a router nor a table.
    let (output, report) = report_of("bare", r#"{"database.hostname": "h", "plugin.name": "pgoutput"}"#);
    assert_eq!(output.status.code(), Some(1), "{report}");
    for key in [
        "connector.class",
        "topic.prefix",
        "key.converter",
        "value.converter",
        "transforms",
        "database.user",
        "database.dbname",
    ] {
        assert!(report.contains(&format!("\n  {key}: ")), "{key}: {report}");
    }
}
