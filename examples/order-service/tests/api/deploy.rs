use std::path::PathBuf;

use outbox_core::{ConnectorConfig, Identifier, Pipeline, TableLayout};
use xtask::stack::workspace;

#[test]
fn the_connector_is_the_recommended_one() {
    let config = ConnectorConfig::recommended(&TableLayout::recommended());
    assert_deployed("outbox-connector.json", &config.to_json());
}

#[test]
fn the_connectors_role_is_the_one_of_the_library() {
    let role = Identifier::new("outbox_connector").unwrap();
    assert_deployed("connector-role.sql", &outbox_pg::connector_role_sql(&Pipeline::recommended(), &role));
}

#[test]
fn the_applications_role_is_the_one_of_the_library() {
    let role = Identifier::new("outbox_application").unwrap();
    assert_deployed("application-role.sql", &outbox_pg::application_role_sql(&Pipeline::recommended(), &role));
}

#[test]
fn the_maintainers_role_is_the_one_of_the_library() {
    let role = Identifier::new("outbox_maintainer").unwrap();
    assert_deployed("maintainer-role.sql", &outbox_pg::maintainer_role_sql(&Pipeline::recommended(), &role));
}

#[test]
fn the_composed_servers_fit_the_connector() {
    let compose = std::fs::read_to_string(path("docker-compose.yml")).unwrap();
    for (key, value) in ConnectorConfig::recommended(&TableLayout::recommended()).iter() {
        if let Some(variable) = value.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}')) {
            assert!(compose.contains(&format!("{variable}:")), "{key} needs {variable} in Kafka Connect's environment");
        }
    }
}

fn assert_deployed(file: &str, wanted: &str) {
    let path = path(file);
    if std::env::var_os("UPDATE_DEPLOY").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "deploy/{file} is not what the library says; `UPDATE_DEPLOY=1 cargo test -p order-service deploy` rewrites it"
    );
}

fn path(file: &str) -> PathBuf {
    workspace().join("deploy").join(file)
}
