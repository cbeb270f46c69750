//! Misconfigurations of each server: a test breaks a real stack in that way, and reads what `outbox doctor` finds.

mod address;
mod configuration;
mod consumer;
mod database;
mod kafka;
mod partitions;
mod permissions;
mod relay;
mod server;
mod worker;

use outbox_test_support::TestEnv;

use crate::doctor::findings;

/// Checks that one thing is a warning with a text, and that no check has failed.
async fn warns(env: &TestEnv, arguments: &[&str], text: &str) {
    let (_, warnings) = findings(env, arguments, 0).await;
    assert!(warnings.iter().any(|one| one.contains(text)), "{text} is not among {warnings:#?}");
}
